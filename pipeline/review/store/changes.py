"""What others did in the meantime: optimistic locking, by revisions of the audit, told in words.

With two readers a decision counts as done only when both made theirs: until then it is neither shown nor in the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from pipeline.review.store.conflict import Conflict, Missing
from pipeline.review.store.tables import Batch, Decision, Edit, Finding, Item, Region, Run
from pipeline.review.values import Actor, Change

_SEEN = ("decided", "conflict")
"""States in which every reader sees the others' verdicts."""
_DECIDED = {
    "accepted": "accepted {} as a shortcut",
    "rejected": "rejected {} as a false alarm",
    "keep": "kept {} as clinically needed",
    "unsure": "is unsure about {}",
    None: "took back a decision about {}",
}
_EDITED = {
    "draw": "drew {}",
    "change": "changed the box or the kind of {}",
    "delete": "deleted {}",
    "tag": "tagged {} for a second reader, or took the tag off",
    "undo": "undid a change of {}",
    "redo": "repeated a change of {}",
}


@dataclass(frozen=True)
class Scene:
    """Where to look for what others did: everything is compared with what `actor` may have seen."""

    audit: Run
    actor: Actor
    since: int = 0
    """Revision of the audit that the actor saw."""
    hidden_too: bool = False
    """Count decisions that the actor may not see yet, without telling what they are."""


def refuse_stale_images(session: Session, scene: Scene, expected: Mapping[str, int]) -> None:
    """Check that nobody else changed these images.

    Args:
        session: of the database.
        scene: its `since` is not used.
        expected: image id -> version that the actor saw.

    Raises:
        Missing: an unknown image.
        Conflict: somebody else changed one.
    """
    if not expected:
        return
    run = scene.audit.run
    present = select(Item.image, Item.version).where(Item.run == run, Item.image.in_(expected))
    versions = dict(session.execute(present).tuples().all())
    stale: dict[int, list[str]] = defaultdict(list)
    for image, seen in expected.items():
        if image not in versions:
            raise Missing(f"The audit {run} has no image {image!r}.")
        if versions[image] > seen:
            stale[max(seen, 0)].append(image)
    found = []
    for seen, images in sorted(stale.items()):
        here = select(Region.region).where(Region.run == run, Region.image.in_(images))
        later = Scene(scene.audit, scene.actor, seen, scene.hidden_too)
        found += _of_regions(session, later, here) + _edits(session, later, Edit.image.in_(images))
    _refuse(found)


def refuse_changed_regions(session: Session, scene: Scene, regions: Select[Any]) -> None:
    """Check that nobody else decided about, changed or drew any of these regions, or decided about their findings.

    Raises:
        Conflict: somebody did.
    """
    _refuse(_of_regions(session, scene, regions) + _edits(session, scene, Edit.region.in_(regions)))


def refuse_changed_subjects(session: Session, scene: Scene, batch: int) -> None:
    """Check that nobody else touched what a batch decided about or changed.

    Raises:
        Conflict: somebody did.
    """
    subjects = {
        subject: select(Decision.subject_id).where(Decision.batch == batch, Decision.subject == subject)
        for subject in ("region", "finding")
    }
    edited = select(Edit.region).where(Edit.batch == batch, Edit.region.is_not(None))
    tagged = select(Edit.image).where(Edit.batch == batch, Edit.region.is_(None))
    redrawn = Scene(scene.audit, scene.actor, scene.since, hidden_too=True)
    _refuse(
        _decisions(session, scene, "region", subjects["region"])
        + _decisions(session, scene, "finding", subjects["finding"])
        + _decisions(session, redrawn, "region", edited)
        + _edits(session, scene, or_(Edit.region.in_(subjects["region"]), Edit.region.in_(edited)))
        + _edits(session, scene, and_(Edit.region.is_(None), Edit.image.in_(tagged)))
    )


def refuse_decided_finding(session: Session, scene: Scene, finding: str) -> None:
    """Check that nobody else decided about a finding.

    Raises:
        Conflict: somebody did.
    """
    _refuse(_decisions(session, scene, "finding", select(Finding.finding).where(Finding.finding == finding)))


def visible(audit: Run, actor: Actor | None) -> ColumnElement[bool]:
    """Which decisions of an audit `actor` may see: of two readers the own, and those that both made; null: all."""
    run = audit.run
    if actor is None or audit.readers == 1:
        return Decision.run == run
    regions = select(Region.region).where(Region.run == run, Region.status.in_(_SEEN))
    findings = select(Finding.finding).where(Finding.run == run, Finding.status.in_(_SEEN))
    return and_(
        Decision.run == run,
        or_(
            Decision.reviewer == actor.name,
            and_(Decision.subject == "region", Decision.subject_id.in_(regions)),
            and_(Decision.subject == "finding", Decision.subject_id.in_(findings)),
        ),
    )


def _refuse(found: list[tuple[int, Change]]) -> None:
    if found:
        unique = {(revision, change.subject, change.subject_id): change for revision, change in found}
        raise Conflict([unique[key] for key in sorted(unique)])


def _of_regions(session: Session, scene: Scene, regions: Select[Any]) -> list[tuple[int, Change]]:
    named = select(Region.finding).where(Region.run == scene.audit.run, Region.region.in_(regions))
    named = named.where(Region.finding.is_not(None))
    return _decisions(session, scene, "region", regions) + _decisions(session, scene, "finding", named)


def _decisions(session: Session, scene: Scene, subject: str, subjects: Select[Any]) -> list[tuple[int, Change]]:
    """Decisions of others on these subjects after `scene.since`, with their revisions."""
    table, its_id, its_kind = (
        (Region, Region.region, Region.kind) if subject == "region" else (Finding, Finding.finding, Finding.title)
    )
    statement = (
        select(Batch.revision, Batch.action, Batch.at, Decision, its_kind, table.status, Item.row)
        .join(Batch, Batch.id == Decision.batch)
        .join(table, and_(table.run == Decision.run, its_id == Decision.subject_id))
        .outerjoin(Item, and_(Item.run == Decision.run, Item.image == Decision.image))
        .where(*_later(scene, Decision), Decision.subject == subject, Decision.subject_id.in_(subjects))
    )
    return list(_told(session.execute(statement), scene, subject))


def _told(rows: Any, scene: Scene, subject: str) -> Iterator[tuple[int, Change]]:
    for revision, action, at, decision, named, status, row in rows:
        thing = f"the {named} on image {row}" if subject == "region" else f"the finding “{named}”"
        if scene.audit.readers == 1 or status in _SEEN:
            words = _DECIDED[decision.verdict].format(thing)
        elif scene.hidden_too:
            words = f"decided about {thing}"
        else:
            continue
        yield revision, _change(decision, subject, decision.subject_id, action, words, at)


def _edits(session: Session, scene: Scene, which: ColumnElement[bool]) -> list[tuple[int, Change]]:
    """Edits of others after `scene.since`, with their revisions."""
    statement = (
        select(Batch.revision, Batch.action, Batch.at, Edit, Region.kind, Item.row)
        .join(Batch, Batch.id == Edit.batch)
        .join(Item, and_(Item.run == Edit.run, Item.image == Edit.image))
        .outerjoin(Region, and_(Region.run == Edit.run, Region.region == Edit.region))
        .where(*_later(scene, Edit), which)
    )
    found = []
    for revision, action, at, edit, kind, row in session.execute(statement):
        thing = f"image {row}" if edit.region is None else f"the {kind} on image {row}"
        subject = "image" if edit.region is None else "region"
        words = _EDITED[action].format(thing)
        found.append((revision, _change(edit, subject, edit.region or edit.image, action, words, at)))
    return found


def _later(scene: Scene, table: type[Decision] | type[Edit]) -> tuple[ColumnElement[bool], ...]:
    return table.run == scene.audit.run, table.reviewer != scene.actor.name, Batch.revision > scene.since


def _change(row: Decision | Edit, subject: Any, subject_id: str, action: Any, words: str, at: datetime) -> Change:
    return Change(
        image_id=row.image,
        subject=subject,
        subject_id=subject_id,
        action=action,
        words=f"{row.reviewer} {words} on {at:%Y-%m-%d} at {at:%H:%M} UTC.",
        reviewer=row.reviewer,
        at=at,
    )
