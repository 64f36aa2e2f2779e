"""How often each training image is seen: once an epoch, or drawn so that sources or duplicates weigh alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config import Sampling
from pipeline.dataset import DatasetVersion

Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Draw:
    """A way of drawing training images.

    Attributes:
        weights: how often each image of split train is expected in an epoch, in table order, mean 1; None: once.
        record: what was balanced and what could not be, for metrics.json.
    """

    weights: Weights | None
    record: dict[str, Any]


def draw(dataset: DatasetVersion, sampling: Sampling) -> Draw:
    """The way of drawing that `sampling` names, for split train of `dataset`.

    ``class-weights``: every image once an epoch; classes are balanced in the loss.
    ``sources``: classes weigh alike and, within each class, its sources alike (the resampling by group of Idrissi et
    al., Simple data balancing achieves competitive worst-group-accuracy, CLeaR 2022). A source that holds one class
    only still gives that class away; the record names such sources.
    ``groups``: an image of a group of n duplicates weighs 1/n; classes weigh alike.
    """
    if sampling == "class-weights":
        return Draw(None, {"sampling": sampling})
    table = dataset.images.iloc[dataset.rows("train")]
    label = table["label"].astype(str)
    if sampling == "sources":
        source = table["source"].astype("object").where(table["source"].notna(), "unknown").astype(str)
        members = source.groupby([label, source]).transform("size")
        weights, record = 1 / members, _sources(label, source)
    else:
        own_group = "image " + table["image_id"].astype(str)
        group = table["duplicate_group"].astype("object").where(table["duplicate_group"].notna(), own_group)
        members = group.groupby(group).transform("size")
        weights, record = 1 / members, {"groups_of_several": int(group[members > 1].nunique())}
    balanced = weights / weights.groupby(label).transform("sum")
    expected = (balanced / balanced.mean()).to_numpy(dtype=np.float64)
    record |= {"sampling": sampling, "most_often": float(expected.max()), "least_often": float(expected.min())}
    return Draw(expected, record)


def _sources(label: pd.Series[str], source: pd.Series[str]) -> dict[str, Any]:
    """Images by source and class; sources of one class cannot be balanced."""
    counts = pd.crosstab(source, label)
    alone = [str(name) for name, row in counts.iterrows() if (row > 0).sum() == 1]
    cells = {str(name): {str(key): int(value) for key, value in row.items()} for name, row in counts.iterrows()}
    return {"images_by_source": cells, "sources_of_one_class": alone}


def epoch_order(count: int, weights: Weights | None, generator: np.random.Generator) -> NDArray[np.int64]:
    """Rows of one epoch, int64 (count,), in random order.

    Without weights each row stands once. With weights, systematic sampling (Madow, Ann. Math. Stat. 20:333, 1949):
    a row of weight w stands floor(w) or ceil(w) times, w on average, so no source is missed by chance.
    """
    order = np.asarray(generator.permutation(count), dtype=np.int64)
    if weights is None:
        return order
    edges = np.cumsum(weights[order]) * (count / weights.sum())
    points = np.arange(count) + generator.random()
    drawn = order[np.searchsorted(edges, points, side="right").clip(max=count - 1)]
    return np.asarray(generator.permutation(drawn), dtype=np.int64)


def occurrences(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each entry of `order` stood before, so that copies within an epoch can be told apart."""
    return np.asarray(pd.Series(order).groupby(order).cumcount(), dtype=np.int64)
