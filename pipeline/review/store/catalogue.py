"""All images and regions of an audit, held in memory for as long as they are as the database says.

A gallery of 100,000 images asks for any window of any combination of filters, in any order, with counts beside it. Two
tables of small codes answer that in milliseconds. They are loaded once in a process; afterwards a request reads the
audit's revision and loads only what was decided and changed since. So what another process or person did is seen by the
next request. Nothing is ever written from here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import CompoundSelect, select, union
from sqlalchemy.orm import Session

from pipeline.review.store.bulk import read_frame
from pipeline.review.store.catalogue_rows import ITEMS, REGIONS, coded_items, coded_regions, with_regions
from pipeline.review.store.conflict import Missing
from pipeline.review.store.status import CONFLICT, DECIDED, OPEN, SECOND, STATUSES, effective
from pipeline.review.store.tables import Batch, Decision, Edit, Finding, Item, Run
from pipeline.types import REGION_KINDS


@dataclass(frozen=True)
class Named:
    """What a finding without regions is about."""

    images: frozenset[str]
    saliency_cluster: str | None


@dataclass(frozen=True)
class Catalogue:
    """One audit at one revision; never changed after it was made."""

    run: str
    made_of: str
    readers: int
    revision: int
    items: pd.DataFrame
    """One row an image, in the order of the images table; words are categories."""
    regions: pd.DataFrame
    """One row a region that was not deleted, in the order of `items`: `row` is the position of its image there."""
    named: Mapping[str, Named]
    """Findings that are about no region."""
    ruled: frozenset[str]
    """Findings that are decided."""
    ranked: NDArray[np.int64]
    """Positions in `items` by score, highest first, then by row."""
    rank: NDArray[np.int64]
    """Of each image in that order, from 0."""
    tally: Tally


@dataclass(frozen=True)
class Tally:
    """How far regions and images are."""

    state: NDArray[np.int8]
    """Codes of `STATUSES`: of each region, see `effective`."""
    counts: NDArray[np.int64]
    """Regions of each image in each state, (4, n)."""
    status: NDArray[np.int8]
    """Codes of `STATUSES`: of each image, the state of the region that needs a person most; without any: decided."""

    @classmethod
    def of(cls, regions: pd.DataFrame, ruled: frozenset[str], images: int) -> Tally:
        """Counted from all regions."""
        state = effective(
            regions["status"].to_numpy(dtype=np.int8), regions["finding"].isin(ruled).to_numpy(dtype=bool)
        )
        cells = state.astype(np.int64) * images + regions["row"].to_numpy()
        counts = np.bincount(cells, minlength=len(STATUSES) * images).reshape(len(STATUSES), images)
        return cls(state, counts, _most_urgent(counts))

    def patched(self, state: NDArray[np.int8], places: NDArray[np.int64], rows: NDArray[np.int64]) -> Tally:
        """With other states of the regions at `places`, which are all regions of images; `rows`: the image of each."""
        every, counts, status = self.state.copy(), self.counts.copy(), self.status.copy()
        every[places] = state
        counts[:, rows] = 0
        np.add.at(counts, (state, rows), 1)
        status[rows] = _most_urgent(counts[:, rows])
        return Tally(every, counts, status)


def _most_urgent(counts: NDArray[np.int64]) -> NDArray[np.int8]:
    order = (CONFLICT, OPEN, SECOND)
    return np.select([counts[code] > 0 for code in order], order, DECIDED).astype(np.int8)


class Catalogues:
    """The catalogues of one database in this process."""

    def __init__(self) -> None:
        self._held: dict[str, Catalogue] = {}
        self._lock = threading.Lock()

    def of(self, session: Session, run: str) -> Catalogue:
        """The catalogue of an audit, at least as new as what `session` sees.

        Raises:
            Missing: the review knows no such audit.
        """
        found = _audit(session, run)
        with self._lock:
            held = self._held.get(run)
            if held is None or (held.made_of, held.readers) != (found.made_of, found.readers):
                held = self._held[run] = _load(session, found)
            elif held.revision < found.revision:
                held = self._held[run] = _updated(session, held, found)
        return held


def catalogue(session: Session, run: str) -> Catalogue:
    """The catalogue of an audit: shared in a session of `Store.reading`, made for the occasion in any other.

    A session that writes may see what will never be committed; that must not reach other requests.

    Raises:
        Missing: the review knows no such audit.
    """
    shared: Catalogues | None = session.info.get("catalogues")
    return _load(session, _audit(session, run)) if shared is None else shared.of(session, run)


def _audit(session: Session, run: str) -> Any:
    found = session.execute(select(Run.run, Run.made_of, Run.readers, Run.revision).where(Run.run == run)).one_or_none()
    if found is None:
        raise Missing(f"The review knows no audit {run!r}.")
    return found


def _load(session: Session, audit: Any) -> Catalogue:
    items = read_frame(session, ITEMS.where(Item.run == audit.run).order_by(Item.row))
    regions = read_frame(session, REGIONS.where(Item.run == audit.run))
    findings = session.execute(
        select(Finding.finding, Finding.kind, Finding.payload).where(
            Finding.run == audit.run, Finding.kind.not_in(REGION_KINDS)
        )
    )
    coded, ruled = coded_regions(regions), _ruled(session, audit.run)
    ranked = np.lexsort((items["row"], -items["score"].astype(float)))
    return Catalogue(
        run=audit.run,
        made_of=audit.made_of,
        readers=audit.readers,
        revision=audit.revision,
        items=coded_items(items),
        regions=coded,
        named={finding: _named(kind, payload) for finding, kind, payload in findings},
        ruled=ruled,
        ranked=ranked,
        rank=np.argsort(ranked),
        tally=Tally.of(coded, ruled, len(items)),
    )


def _updated(session: Session, held: Catalogue, audit: Any) -> Catalogue:
    touched = Item.image.in_(_touched(audit.run, held.revision))
    tags = session.execute(select(Item.row, Item.tagged).where(Item.run == audit.run, touched)).all()
    changed = coded_regions(read_frame(session, REGIONS.where(Item.run == audit.run, touched)))
    rows = np.array(sorted(row for row, _ in tags), dtype=np.int64)
    now = replace(held, revision=audit.revision, items=_tagged(held.items, tags), ruled=_ruled(session, audit.run))
    decided = _decided(now, changed, rows) if now.ruled == held.ruled else None
    if decided is not None:
        return decided
    regions = with_regions(held.regions, changed, rows)
    return replace(now, regions=regions, tally=Tally.of(regions, now.ruled, len(now.items)))


def _tagged(items: pd.DataFrame, tags: Sequence[Any]) -> pd.DataFrame:
    tagged = items["tagged"].to_numpy(copy=True)
    tagged[[row for row, _ in tags]] = [tag for _, tag in tags]
    return items.assign(tagged=tagged)


def _decided(held: Catalogue, changed: pd.DataFrame, rows: NDArray[np.int64]) -> Catalogue | None:
    """The catalogue where regions of the images `rows` were decided and nothing else; None where more was done to them.

    This is what nearly always happened, a few times a second when many review: it costs a hundredth of making all anew.
    Regions that no filter tells apart may swap their places.
    """
    of = held.regions["row"].to_numpy()
    bounds = zip(np.searchsorted(of, rows), np.searchsorted(of, rows, "right"), strict=True)
    places = np.concatenate([np.arange(*each) for each in bounds] or [np.empty(0)]).astype(np.int64)
    before = held.regions.iloc[places]
    if len(before) != len(changed):
        return None
    words = [_alike(table) for table in (before, changed)]
    if sorted(words[0]) != sorted(words[1]):
        return None
    orders = [sorted(range(len(each)), key=each.__getitem__) for each in words]
    status = held.regions["status"].to_numpy(copy=True)
    places = places[orders[0]]
    status[places] = changed["status"].to_numpy()[orders[1]]
    ruled = changed["finding"].isin(held.ruled).to_numpy(dtype=bool)[orders[1]]
    tally = held.tally.patched(effective(status[places], ruled), places, of[places])
    return replace(held, regions=held.regions.assign(status=status), tally=tally)


def _alike(regions: pd.DataFrame) -> list[tuple[str, ...]]:
    names = [name for name in regions.columns if name != "status"]
    return [tuple(map(str, each)) for each in zip(*(regions[name] for name in names), strict=True)]


def _touched(run: str, revision: int) -> CompoundSelect[Any]:
    """Images with a region decided or changed, or a tag set, after `revision`."""
    later = (Batch.run == run, Batch.revision > revision)
    return union(
        select(Decision.image).join(Batch, Decision.batch == Batch.id).where(*later, Decision.subject == "region"),
        select(Edit.image).join(Batch, Edit.batch == Batch.id).where(*later),
    )


def _ruled(session: Session, run: str) -> frozenset[str]:
    return frozenset(session.scalars(select(Finding.finding).where(Finding.run == run, Finding.status == "decided")))


def _named(kind: str, payload: Mapping[str, Any]) -> Named:
    cluster = kind.removeprefix("cluster/") if kind.startswith("cluster/") else None
    return Named(frozenset(map(str, payload.get("examples") or ())), cluster)
