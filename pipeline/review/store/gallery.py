"""What the pages ask about many images: audits and findings, windows of a gallery, its filters, and the next image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipeline.review.store import matching
from pipeline.review.store.catalogue import Catalogue, catalogue
from pipeline.review.store.left import left_for
from pipeline.review.store.overview import audit, audits, findings
from pipeline.review.store.status import DECIDED, OPEN, SECOND, STATUSES
from pipeline.review.values import Actor, Facet, Filters, GalleryItem, GalleryPage, Neighbour, Sort

__all__ = ["audit", "audits", "facets", "findings", "image_ids", "neighbour", "page"]

Positions = NDArray[np.int64]
_LOOKED_AT = 64
"""Images of which it is asked at once whether a reader has something left to decide."""


def facets(session: Session, run: str, filters: Filters, *, hidden: bool) -> dict[str, list[Facet]]:
    """For each filter its values, and how many images have them among those that fit all other filters.

    Keys: kind, finding, label, source, split, status, cluster, saliency_cluster, origin, explained, tagged, held_back;
    the last three have the values ``true`` and ``false``. At most `matching.SHOWN` values each, most frequent first.
    With `hidden` (blind reading) label, source, split and saliency_cluster are counted in the whole audit.

    Raises:
        Missing: the review knows no such audit.
    """
    return matching.facets(catalogue(session, run), filters, hidden=hidden)


def page(
    session: Session,
    run: str,
    filters: Filters,
    sort: Sort,
    offset: int,
    limit: int,
    *,
    hidden: bool,
    actor: Actor,
) -> GalleryPage:
    """A window on the images that fit, highest score first or in the order of the images table.

    Args:
        session: of `Store.reading`.
        run: the audit.
        filters: every one given must fit; those about regions on one and the same region.
        sort: the order.
        offset: images before the window, from 0.
        limit: images in the window at most.
        hidden: label, prediction and source of images that are not decided are left out (blind reading).
        actor: who asks.

    Raises:
        Missing: the review knows no such audit.
    """
    found = catalogue(session, run)
    fitting = _fitting(found, filters, sort)
    cells = tuple(_cells(found, fitting[offset : offset + limit], hidden))
    return GalleryPage(total=len(fitting), offset=offset, revision=found.revision, items=cells)


def image_ids(session: Session, run: str, filters: Filters, limit: int) -> list[str]:
    """Ids of the first `limit` images that fit, highest score first.

    Raises:
        Missing: the review knows no such audit.
    """
    found = catalogue(session, run)
    return [str(image) for image in found.items["image"].to_numpy()[_fitting(found, filters, "score")[:limit]]]


def neighbour(
    session: Session,
    run: str,
    image_id: str | None,
    filters: Filters,
    sort: Sort,
    direction: Literal["next", "previous"],
    skip_decided: bool,
    actor: Actor,
) -> Neighbour:
    """The image before or after another among those that fit, and how far the review is.

    Args:
        session: of `Store.reading`.
        run: the audit.
        image_id: where the reader is, whether it fits or no longer does; null: before the first or after the last.
        filters: see `page`.
        sort: see `page`.
        direction: where to look.
        skip_decided: only images on which `actor` has something left to decide. After the last it goes on with the
            first, so that what was passed over comes again.
        actor: the reader. With two readers, what one decided is left for the other.

    Raises:
        Missing: the review knows no such audit.
    """
    found = catalogue(session, run)
    fitting = _fitting(found, filters, sort)
    before, position, after = _around(found, fitting, sort, image_id)
    ahead, behind = (after, before) if direction == "next" else (before[::-1], after[::-1])
    if image_id is None:
        ahead, behind = (fitting if direction == "next" else fitting[::-1]), fitting[:0]
    candidates = ahead
    if skip_decided:
        candidates = _undecided(session, found, np.concatenate([ahead, behind]), actor)
    return Neighbour(
        image_id=str(found.items["image"].iat[candidates[0]]) if len(candidates) else None,
        position=position,
        total=len(fitting),
        left=int((found.tally.status[fitting] != DECIDED).sum()),
    )


def _fitting(found: Catalogue, filters: Filters, sort: Sort) -> Positions:
    chosen = matching.matching(found, filters)
    return found.ranked[chosen[found.ranked]] if sort == "score" else np.flatnonzero(chosen)


def _around(found: Catalogue, fitting: Positions, sort: Sort, image_id: str | None) -> tuple[Positions, int, Positions]:
    """Fitting images before `image_id`, its place among them (1-based, 0 where it does not fit), those after it."""
    here = np.flatnonzero(found.items["image"].to_numpy() == image_id)
    if not len(here):
        return fitting[:0], 0, fitting
    rank = found.rank if sort == "score" else np.arange(len(found.items))
    ranks, own = rank[fitting], rank[here[0]]
    start, stop = int(np.searchsorted(ranks, own, "left")), int(np.searchsorted(ranks, own, "right"))
    return fitting[:start], stop if stop > start else 0, fitting[stop:]


def _undecided(session: Session, found: Catalogue, candidates: Positions, actor: Actor) -> Positions:
    """The first candidate on which `actor` has something left to decide; none or one."""
    undecided = candidates[found.tally.status[candidates] != DECIDED]
    if found.readers == 1:
        return np.asarray(undecided[:1])
    for start in range(0, len(undecided), _LOOKED_AT):
        window = undecided[start : start + _LOOKED_AT]
        images = found.items["image"].to_numpy()[window]
        left = left_for(session, found.run, actor, [str(image) for image in images])
        chosen = window[[str(image) in left for image in images]]
        if len(chosen):
            return np.asarray(chosen[:1])
    return np.asarray(undecided[:0])


def _cells(found: Catalogue, window: Positions, hidden: bool) -> Iterator[GalleryItem]:
    counts = found.tally.counts[:, window]
    columns = (found.tally.status[window], counts.sum(axis=0), counts[[OPEN, SECOND]].sum(axis=0))
    records = found.items.iloc[window].to_dict("records")
    for code, regions, unsettled, item in zip(*columns, records, strict=True):
        shown = not hidden or code == DECIDED
        yield GalleryItem(
            image_id=item["image"],
            row=item["row"],
            label=_word(item["label"], shown),
            predicted=_word(item["predicted"], shown),
            source=_word(item["source"], shown),
            score=item["score"],
            status=STATUSES[code],
            regions=regions,
            open=unsettled,
            tagged=item["tagged"],
        )


def _word(value: object, shown: bool) -> str | None:
    return value if shown and isinstance(value, str) else None
