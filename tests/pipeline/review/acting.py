"""For tests of what people do in a review: short ways to act, and a slow, obvious check of everything derived."""

from __future__ import annotations

from itertools import count, groupby, pairwise
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.review.store import Store
from pipeline.review.store.decisions import decide
from pipeline.review.store.places import places
from pipeline.review.store.tables import Batch, Decision, Edit, Finding, Item, Region, Run
from pipeline.review.values import Actor, DecisionRequest, Outcome, Target, Verdict

ANN, BEN, CLEO = (Actor(name=name, role="reviewer") for name in ("ann", "ben", "cleo"))
BOSS = Actor(name="boss", role="admin")
_numbers = count()


def new_key() -> str:
    """A key for one request."""
    return f"key-{next(_numbers):08d}"


def say(store: Store, run: str, actor: Actor, verdict: Verdict | None, *, key: str = "", **request: Any) -> Outcome:
    """Decide in a transaction of its own; `finding`, `regions`, `images`, `kind` and `scope` are the target."""
    target = {name: request.pop(name) for name in ("finding", "regions", "images", "kind", "scope") if name in request}
    asked = DecisionRequest(key=key or new_key(), target=Target(**target), verdict=verdict, **request)
    with store.writing() as session:
        return decide(session, run, actor, asked)


def act(store: Store, what: Any, run: str, actor: Actor, *arguments: Any) -> Outcome:
    """Do one of `draw`, `change`, `delete`, `tag`, `undo` and `redo` in a transaction of its own."""
    with store.writing() as session:
        outcome: Outcome = what(session, run, actor, *arguments)
        return outcome


def log(session: Session) -> list[tuple[Any, ...]]:
    """Every row of the append-only tables."""
    return [
        tuple(row)
        for table in (Batch, Decision, Edit)
        for row in session.execute(select(*table.__table__.columns).order_by(table.id))
    ]


def derived_columns(session: Session, run: str) -> dict[str, Any]:
    """All that follows from the log, versions aside."""
    return {
        "findings": session.execute(
            select(Finding.finding, Finding.verdict, Finding.status, Finding.regions)
            .where(Finding.run == run)
            .order_by(Finding.finding)
        ).all(),
        "regions": session.execute(
            select(*(each for each in Region.__table__.columns)).where(Region.run == run).order_by(Region.region)
        ).all(),
        "items": session.execute(
            select(Item.image, Item.regions, Item.open, Item.conflicts, Item.tagged)
            .where(Item.run == run)
            .order_by(Item.row)
        ).all(),
    }


def check_consistent(session: Session, run: str) -> None:
    """Derive verdicts, states, counts and versions anew from the log, row by row, and compare."""
    audit = session.get_one(Run, run, populate_existing=True)
    decisions = session.scalars(select(Decision).where(Decision.run == run).order_by(Decision.id)).all()
    batches = {each.id: each for each in session.scalars(select(Batch).where(Batch.run == run))}
    edits = session.scalars(select(Edit).where(Edit.run == run).order_by(Edit.id)).all()
    findings = {each.finding: each for each in session.scalars(select(Finding).where(Finding.run == run))}
    regions = {each.region: each for each in session.scalars(select(Region).where(Region.run == run))}
    items = {each.image: each for each in session.scalars(select(Item).where(Item.run == run))}

    assert sorted(each.revision for each in batches.values()) == sorted({each.revision for each in batches.values()})
    assert all(each.revision <= audit.revision for each in batches.values())
    _check_chains(decisions)

    for subject, rows in (("finding", findings), ("region", regions)):
        for subject_id, row in rows.items():
            told = [each for each in decisions if (each.subject, each.subject_id) == (subject, subject_id)]
            assert (row.verdict, row.status) == _slow_rule(told, audit.readers), (subject, subject_id)

    for name, finding in findings.items():
        assert finding.regions == sum(each.finding == name and not each.deleted for each in regions.values())
    for image, item in items.items():
        here = [each for each in regions.values() if each.image == image and not each.deleted]
        ruled = [each.finding is not None and findings[each.finding].status == "decided" for each in here]
        undecided = [each.status in ("open", "second") and not rule for each, rule in zip(here, ruled, strict=True)]
        conflicts = [each.status == "conflict" for each in here]
        assert (item.regions, item.open, item.conflicts) == (len(here), sum(undecided), sum(conflicts))

    for image, item in items.items():
        told = [each.revision for each in batches.values() if image in each.outcome["versions"]]
        assert item.version == max(told, default=0)

    for region_id, region in regions.items():
        own = [each for each in edits if each.region == region_id]
        if own:
            assert {name: getattr(region, name) for name in own[-1].after} == own[-1].after
            item, named = items[region.image], [each for each in findings.values() if each.kind == region.kind]
            box = (region.x0, region.y0, region.x1, region.y1)
            assert region.place == places(*box, item.width, item.height)[0]
            assert region.finding == (named[0].finding if named else None)  # one for each kind, none for a text
        for earlier, later in pairwise(own):
            assert later.before == earlier.after
    for image, item in items.items():
        tags = [each.after["tagged"] for each in edits if each.image == image and each.region is None]
        assert item.tagged == (tags[-1] if tags else False)


def _check_chains(decisions: Any) -> None:
    """Each decision supersedes the one its reviewer made before on that subject, so that no two of them fork."""

    def chain(each: Decision) -> tuple[str, str, str]:
        return each.subject, each.subject_id, each.reviewer

    for _, group in groupby(sorted(decisions, key=lambda each: (chain(each), each.id)), key=chain):
        made = list(group)
        assert [each.supersedes for each in made] == [None, *(each.id for each in made[:-1])]


def _slow_rule(told: list[Decision], readers: int) -> tuple[str | None, str]:
    last = {each.reviewer: each for each in told}
    present = sorted((each for each in last.values() if each.verdict), key=lambda each: each.standing)
    if not present:
        return None, "open"
    if readers == 1:
        return present[-1].verdict, "decided"
    settled = [each.verdict for each in present if each.adjudicates]
    if settled:
        return settled[-1], "decided"
    verdicts = {each.verdict for each in present}
    if len(present) == 1:
        return None, "second"
    return (verdicts.pop(), "decided") if len(verdicts) == 1 else (None, "conflict")
