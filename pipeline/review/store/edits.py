"""What a person does to regions: draws, moves, renames and deletes them; and the mark for a second reader.

A region's row shows it as it is now; every edit keeps what it was before and what it was after.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from pipeline.errors import InputError
from pipeline.review.store.batches import Asked, Prepared, Step, perform
from pipeline.review.store.changes import Scene, refuse_stale_images
from pipeline.review.store.conflict import Missing
from pipeline.review.store.derived import Concern
from pipeline.review.store.places import first_finding, places
from pipeline.review.store.tables import Edit, Finding, Item, Region, Run
from pipeline.review.values import (
    Actor,
    BoxValue,
    ChangeRequest,
    DeleteRequest,
    DrawRequest,
    Outcome,
    TagRequest,
)
from pipeline.types import Box
from pipeline.types import Region as FoundRegion

SMALLEST = 2.0
"""Pixels that a box has at least on each side."""
DETECTOR = "reviewer"
_EDIT: tuple[Concern, ...] = ("edit",)
_MEASURED = ("cluster", "share", "enrichment", "effect")
"""Columns that describe the pixels of one box: another box has none of them."""
_STATE = ("kind", "text", "x0", "y0", "x1", "y1", "deleted", "edited", *_MEASURED)
"""Columns that edits change; place and finding follow from them."""


def draw(session: Session, run: str, actor: Actor, request: DrawRequest) -> Outcome:
    """Add a region; its box is cut to the image.

    Raises:
        Missing: no such audit or image.
        InputError: less than `SMALLEST` of the box lies on the image.
        Conflict: somebody else changed the image.
    """

    def prepare(audit: Run) -> Prepared:
        item = _current_item(session, audit, actor, request.image_id, request.expected)
        region = _drawn(item, actor, request)

        def append(step: Step) -> None:
            session.add(region)
            after = _state(region)
            _put(session, step, region, {**after, "deleted": True}, after)

        return Prepared(1, [item.image], append, _EDIT)

    return perform(session, Asked(run, actor, "draw", request.key, _content(request)), prepare)


def change(session: Session, run: str, actor: Actor, region_id: str, request: ChangeRequest) -> Outcome:
    """Give a region another box, cut to the image, or another kind.

    What was measured on the old box is gone with it, and what was read with the old kind.

    Raises:
        Missing: no such audit or region.
        InputError: nothing to change, a deleted region, or less than `SMALLEST` of the box lies on the image.
        Conflict: somebody else changed the image.
    """

    def prepare(audit: Run) -> Prepared:
        if request.box is None and request.kind is None:
            raise InputError("Give a box or a kind: there is nothing to change.")
        region = _present_region(session, run, region_id)
        item = _current_item(session, audit, actor, region.image, request.expected, region_too=True)
        after = {**_state(region), "edited": True}
        if request.box is not None:
            after |= dict(zip(("x0", "y0", "x1", "y1"), _fitted(request.box, item).as_tuple(), strict=True))
            after |= dict.fromkeys(_MEASURED)
        if request.kind not in (None, region.kind):
            after |= {"kind": request.kind, "text": None}
        return Prepared(1, [item.image], lambda step: _put(session, step, region, _state(region), after), _EDIT)

    return perform(session, Asked(run, actor, "change", request.key, f"{region_id} {_content(request)}"), prepare)


def delete(session: Session, run: str, actor: Actor, region_id: str, request: DeleteRequest) -> Outcome:
    """Mark a region as none.

    Raises:
        Missing: no such audit or region.
        InputError: it is deleted already.
        Conflict: somebody else changed the image.
    """

    def prepare(audit: Run) -> Prepared:
        region = _present_region(session, run, region_id)
        item = _current_item(session, audit, actor, region.image, request.expected, region_too=True)
        before = _state(region)
        return Prepared(
            1, [item.image], lambda step: _put(session, step, region, before, {**before, "deleted": True}), _EDIT
        )

    return perform(session, Asked(run, actor, "delete", request.key, region_id), prepare)


def tag(session: Session, run: str, actor: Actor, image_id: str, request: TagRequest) -> Outcome:
    """Mark an image for a second reader, or take the mark off.

    Raises:
        Missing: no such audit or image.
        Conflict: somebody else changed the image.
    """

    def prepare(audit: Run) -> Prepared:
        item = _current_item(session, audit, actor, image_id, request.expected)
        return Prepared(0, [item.image], lambda step: _put_tag(session, step, item, tagged=request.tagged), _EDIT)

    return perform(session, Asked(run, actor, "tag", request.key, f"{image_id} {request.tagged}"), prepare)


def take_back(session: Session, step: Step, edit: Edit) -> None:
    """Bring a region or a tag to the state before `edit`."""
    if edit.region is None:
        item = session.get_one(Item, (step.run, edit.image), populate_existing=True)
        _put_tag(session, step, item, tagged=edit.before["tagged"])
        return
    region = session.get_one(Region, (step.run, edit.region), populate_existing=True)
    _put(session, step, region, _state(region), edit.before)


def _content(request: DrawRequest | ChangeRequest) -> str:
    return request.model_dump_json(exclude={"key", "expected"})


def _current_item(
    session: Session, audit: Run, actor: Actor, image_id: str, expected: int, *, region_too: bool = False
) -> Item:
    """The image, which nobody else changed. With `region_too`, decisions count that the actor may not see yet."""
    refuse_stale_images(session, Scene(audit, actor, hidden_too=region_too), {image_id: expected})
    return session.get_one(Item, (audit.run, image_id), populate_existing=True)


def _present_region(session: Session, run: str, region_id: str) -> Region:
    region = session.get(Region, (run, region_id), populate_existing=True)
    if region is None:
        raise Missing(f"The audit {run} has no region {region_id!r}.")
    if region.deleted:
        raise InputError(f"The region {region_id!r} was deleted. Whoever deleted it can undo that.")
    return region


def _drawn(item: Item, actor: Actor, request: DrawRequest) -> Region:
    box = _fitted(request.box, item)
    # The same box drawn twice is two regions: one of them may have been deleted.
    found = FoundRegion(item.image, request.kind, box, DETECTOR, 1.0).region_id
    region_id = hashlib.sha256(f"{found}|{actor.name}|{request.key}".encode()).hexdigest()[:16]
    return Region(
        run=item.run,
        region=region_id,
        image=item.image,
        kind=request.kind,
        x0=box.x0,
        y0=box.y0,
        x1=box.x1,
        y1=box.y1,
        detector=DETECTOR,
        confidence=1.0,
        origin="drawn",
        place="",
        deleted=False,
        edited=True,
    )


def _fitted(box: BoxValue, item: Item) -> Box:
    inside = Box(box.x0, box.y0, box.x1, box.y1).clipped(item.width, item.height)
    if inside is None or min(inside.width, inside.height) < SMALLEST:
        raise InputError(
            f"The box must cover at least {SMALLEST:g} x {SMALLEST:g} pixels of the image, which is {item.width} x "
            f"{item.height} pixels. Draw a larger one."
        )
    return inside


def _state(region: Region) -> dict[str, Any]:
    return {name: getattr(region, name) for name in _STATE}


def _put(session: Session, step: Step, region: Region, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Bring a region to a state, and append how."""
    for name, value in after.items():
        setattr(region, name, value)
    item = session.get_one(Item, (step.run, region.image))
    region.place = places(region.x0, region.y0, region.x1, region.y1, item.width, item.height)[0]
    region.finding = _finding(session, step.run, region)
    session.flush()
    _append(session, step, region.image, region.region, before, after)


def _finding(session: Session, run: str, region: Region) -> str | None:
    by_rank = select(Finding.finding, Finding.kind, Finding.text).where(Finding.run == run).order_by(Finding.rank)
    return first_finding(session.execute(by_rank).tuples(), region.kind, region.text)


def _put_tag(session: Session, step: Step, item: Item, *, tagged: bool) -> None:
    before = {"tagged": item.tagged}
    item.tagged = tagged
    session.flush()
    _append(session, step, item.image, None, before, {"tagged": tagged})


def _append(
    session: Session, step: Step, image: str, region: str | None, before: dict[str, Any], after: dict[str, Any]
) -> None:
    session.execute(insert(Edit).values(**step.stamp(), image=image, region=region, before=before, after=after))
