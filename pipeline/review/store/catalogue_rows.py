"""Images and regions of an audit as tables of small codes: how they are fetched, unpacked and joined."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, String, and_, case, cast, func, select

from pipeline.review.store.status import OPEN, STATUSES
from pipeline.review.store.tables import Item, Region

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


ITEMS = select(Item.image, Item.row, Item.score, _packed(Item, _ITEM, Item.explained, Item.tagged).label("words"))
# Outer, so that SQLite goes from images to their regions, which lie side by side; images without any are dropped later.
REGIONS = select(Item.row, _packed(Region, _REGION, Region.held_back.is_not(None)).label("words")).outerjoin_from(
    Item, Region, and_(Item.run == Region.run, Item.image == Region.image, ~Region.deleted)
)


def with_regions(held: pd.DataFrame, changed: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    """`held` with the regions of the images `rows` replaced by those in `changed`."""
    kept = held[~np.isin(held["row"].to_numpy(), rows)]
    columns = {
        name: _joined(kept[name], changed[name])
        if name in _REGION[:-1]
        else np.concatenate([kept[name], changed[name]])
        for name in held.columns
    }
    return pd.DataFrame(columns).sort_values("row", kind="stable", ignore_index=True)


def _joined(first: pd.Series[Any], second: pd.Series[Any]) -> pd.Categorical:
    known = first.cat.categories
    every = known.append(second.cat.categories[~second.cat.categories.isin(known)])
    codes = np.append(every.get_indexer(second.cat.categories), -1)[second.cat.codes.to_numpy()]
    return pd.Categorical.from_codes(np.concatenate([first.cat.codes.to_numpy(), codes]), every)


def coded_items(items: pd.DataFrame) -> pd.DataFrame:
    """What `ITEMS` fetched, with words as categories."""
    words = _unpacked(items["words"], (*_ITEM, "explained", "tagged"))
    flags = {name: (words[name] == "1").to_numpy(dtype=bool) for name in ("explained", "tagged")}
    return items.drop(columns="words").assign(**words).assign(**flags)


def coded_regions(regions: pd.DataFrame) -> pd.DataFrame:
    """What `REGIONS` fetched, with words as categories and the status as its code, image by image."""
    words = _unpacked(regions["words"], (*_REGION, "held_back"))
    codes = {status: code for code, status in enumerate(STATUSES)}
    table = pd.DataFrame({"row": regions["row"].astype(np.int64), **{name: words[name] for name in _REGION[:-1]}})
    status = words["status"].map(codes).astype("float").fillna(OPEN).astype(np.int8)
    table = table.assign(status=status, held_back=(words["held_back"] == "1").to_numpy(dtype=bool))
    return table[table["kind"].notna()].sort_values("row", kind="stable", ignore_index=True)


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
