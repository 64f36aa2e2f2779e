"""All images and regions of an audit, held in memory for as long as they are as the database says.

A gallery of 100,000 images asks for any window of any combination of filters, in any order, with counts beside it. Two
tables of small codes answer that in milliseconds. They are loaded once in a process; afterwards a request reads the
audit's revision and loads only what was decided and changed since. So what another process or person did is seen by the
next request. Nothing is ever written from here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, CompoundSelect, String, and_, case, cast, func, select, union
from sqlalchemy.orm import Session

from pipeline.review.store.bulk import read_frame
from pipeline.review.store.conflict import Missing
from pipeline.review.store.status import CONFLICT, DECIDED, OPEN, SECOND, STATUSES, effective
from pipeline.review.store.tables import Batch, Decision, Edit, Finding, Item, Region, Run
from pipeline.types import REGION_KINDS

_ITEM = ("label", "predicted", "source", "split", "saliency_cluster")
_REGION = ("kind", "finding", "cluster", "origin", "status")
_SEPARATOR = "\x1f"


def _packed(table: type[Item | Region], names: Iterable[str], *flags: Any) -> ColumnElement[str]:
    """Words and flags of a row as one string: half the time of fetching them one by one. Null and false are empty."""
    words = [func.coalesce(getattr(table, name), "") for name in names]
    parts = [*words, *(case((flag, "1"), else_="") for flag in flags)]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.concat(_SEPARATOR).concat(part)
    return cast(joined, String)


_ITEMS = select(Item.image, Item.row, Item.score, _packed(Item, _ITEM, Item.explained, Item.tagged).label("words"))
# Outer, so that SQLite goes from images to their regions, which lie side by side; images without any are dropped later.
_REGIONS = select(Item.row, _packed(Region, _REGION, Region.held_back.is_not(None)).label("words")).outerjoin_from(
    Item, Region, and_(Item.run == Region.run, Item.image == Region.image, ~Region.deleted)
)


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
    """One row a region that was not deleted: `row` is the position of its image in `items`."""
    named: Mapping[str, Named]
    """Findings that are about no region."""
    ruled: frozenset[str]
    """Findings that are decided."""
    ranked: NDArray[np.int64]
    """Positions in `items` by score, highest first, then by row."""
    rank: NDArray[np.int64] = field(init=False)
    """Of each image in that order, from 0."""
    state: NDArray[np.int8] = field(init=False)
    """Codes of `STATUSES`: of each region, see `effective`."""
    status: NDArray[np.int8] = field(init=False)
    """Codes of `STATUSES`: of each image, the state of the region that needs a person most; without any: decided."""
    counts: NDArray[np.int64] = field(init=False)
    """Regions of each image in each state, (4, n)."""

    def __post_init__(self) -> None:
        rank = np.empty_like(self.ranked)
        rank[self.ranked] = np.arange(len(rank))
        ruled = self.regions["finding"].isin(self.ruled).to_numpy(dtype=bool)
        state = effective(self.regions["status"].to_numpy(dtype=np.int8), ruled)
        rows, images = self.regions["row"].to_numpy(), len(self.items)
        counts = np.bincount(state.astype(np.int64) * images + rows, minlength=len(STATUSES) * images).reshape(
            len(STATUSES), images
        )
        order = (CONFLICT, OPEN, SECOND)
        status = np.select([counts[code] > 0 for code in order], order, DECIDED).astype(np.int8)
        for name, value in {"rank": rank, "state": state, "status": status, "counts": counts}.items():
            object.__setattr__(self, name, value)


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
    items = read_frame(session, _ITEMS.where(Item.run == audit.run).order_by(Item.row))
    regions = read_frame(session, _REGIONS.where(Item.run == audit.run))
    findings = session.execute(
        select(Finding.finding, Finding.kind, Finding.payload).where(
            Finding.run == audit.run, Finding.kind.not_in(REGION_KINDS)
        )
    )
    return Catalogue(
        run=audit.run,
        made_of=audit.made_of,
        readers=audit.readers,
        revision=audit.revision,
        items=_coded_items(items),
        regions=_coded_regions(regions),
        named={finding: _named(kind, payload) for finding, kind, payload in findings},
        ruled=_ruled(session, audit.run),
        ranked=np.lexsort((items["row"], -items["score"].astype(float))),
    )


def _updated(session: Session, held: Catalogue, audit: Any) -> Catalogue:
    touched = Item.image.in_(_touched(audit.run, held.revision))
    tags = session.execute(select(Item.row, Item.tagged).where(Item.run == audit.run, touched)).all()
    regions = read_frame(session, _REGIONS.where(Item.run == audit.run, touched))
    tagged = held.items["tagged"].to_numpy(copy=True)
    tagged[[row for row, _ in tags]] = [tag for _, tag in tags]
    return replace(
        held,
        revision=audit.revision,
        items=held.items.assign(tagged=tagged),
        regions=_with_regions(
            held.regions, _coded_regions(regions), np.array([row for row, _ in tags], dtype=np.int64)
        ),
        ruled=_ruled(session, audit.run),
    )


def _touched(run: str, revision: int) -> CompoundSelect[Any]:
    """Images with a region decided or changed, or a tag set, after `revision`."""
    later = (Batch.run == run, Batch.revision > revision)
    return union(
        select(Decision.image).join(Batch, Decision.batch == Batch.id).where(*later, Decision.subject == "region"),
        select(Edit.image).join(Batch, Edit.batch == Batch.id).where(*later),
    )


def _with_regions(held: pd.DataFrame, changed: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    kept = held[~np.isin(held["row"].to_numpy(), rows)]
    columns = {
        name: _joined(kept[name], changed[name])
        if name in _REGION[:-1]
        else np.concatenate([kept[name], changed[name]])
        for name in held.columns
    }
    return pd.DataFrame(columns)


def _joined(first: pd.Series[Any], second: pd.Series[Any]) -> pd.Categorical:
    known = first.cat.categories
    every = known.append(second.cat.categories[~second.cat.categories.isin(known)])
    codes = np.append(every.get_indexer(second.cat.categories), -1)[second.cat.codes.to_numpy()]
    return pd.Categorical.from_codes(np.concatenate([first.cat.codes.to_numpy(), codes]), every)


def _coded_items(items: pd.DataFrame) -> pd.DataFrame:
    words = _unpacked(items["words"], (*_ITEM, "explained", "tagged"))
    flags = {name: (words[name] == "1").to_numpy(dtype=bool) for name in ("explained", "tagged")}
    return items.drop(columns="words").assign(**words).assign(**flags)


def _coded_regions(regions: pd.DataFrame) -> pd.DataFrame:
    words = _unpacked(regions["words"], (*_REGION, "held_back"))
    codes = {status: code for code, status in enumerate(STATUSES)}
    table = pd.DataFrame({"row": regions["row"].astype(np.int64), **{name: words[name] for name in _REGION[:-1]}})
    status = words["status"].map(codes).astype("float").fillna(OPEN).astype(np.int8)
    table = table.assign(status=status, held_back=(words["held_back"] == "1").to_numpy(dtype=bool))
    return table[table["kind"].notna()]


def _unpacked(packed: pd.Series[str], names: Iterable[str]) -> dict[str, pd.Series[Any]]:
    """Categories by name; empty words are null."""
    names = tuple(names)
    codes, different = pd.factorize(packed)
    fields = np.array([each.split(_SEPARATOR) for each in different], dtype=object).reshape(-1, len(names)).T
    return {
        name: pd.Series(_category(field).take(codes), packed.index) for name, field in zip(names, fields, strict=True)
    }


def _category(words: NDArray[np.object_]) -> pd.Categorical:
    # Of a fixed type: pandas would guess another one where every word is null.
    codes, different = pd.factorize(np.array([word or None for word in words], dtype=object))
    return pd.Categorical.from_codes(codes, pd.Index(different, dtype=object))


def _ruled(session: Session, run: str) -> frozenset[str]:
    return frozenset(session.scalars(select(Finding.finding).where(Finding.run == run, Finding.status == "decided")))


def _named(kind: str, payload: Mapping[str, Any]) -> Named:
    cluster = kind.removeprefix("cluster/") if kind.startswith("cluster/") else None
    return Named(frozenset(map(str, payload.get("examples") or ())), cluster)
