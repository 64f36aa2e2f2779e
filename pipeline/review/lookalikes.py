"""Regions that look alike, so that one decision can be made for all of them.

Two regions can be look-alikes when kind and text agree. Each is cut out of its stored image and brought to one small
size; its mean is taken out and its contrast normalised, so that exposure and scale do not count; the shape of its box
and its brightness are kept beside it at small weights. One pass over the images, in the order of their table, then
keeps a list of *leaders* for every kind and text: a region joins the nearest leader within reach, or becomes one
(leader clustering; Hartigan, Clustering Algorithms, 1975, ch. 3). So any member looks like its leader, and members may
differ by twice as much: what a decision would reach is shown before it is made.

Memory holds one shard of images and the leaders, whatever the size of the data set. The order of the regions does not
matter, and the same images give the same groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import SHARD, DatasetVersion
from pipeline.progress import Progress, silent
from pipeline.types import Box

REACH_READ, REACH_UNREAD = 0.8, 0.6
"""Largest distance to a leader, where a text was read, which says most already, and where none was. Pictures in boxes
of the same shape at distance d correlate with 1 - d^2 / 2: with 0.68 and 0.82."""
HEIGHT, WIDTH = 16, 32
"""Of the small picture: enough to tell letters apart, too little to see noise."""
_SOFTEN = 1.0
"""Blur, standard deviation in pixels of the small picture: boxes of the same mark differ by a pixel or two."""
_FLAT = 0.05
"""Contrast (standard deviation, of 1) below which a picture counts for less: noise is not blown up to one."""
_SHAPE, _BRIGHTNESS = 0.4, 1.0
"""Distance of crops whose boxes differ in width over height by a factor of 2, and of a black and a white one."""

Features = NDArray[np.float32]


@dataclass
class _Group:
    """Regions of one kind and text: their leaders, and which of them each region follows."""

    reach: float
    leaders: Features = field(default_factory=lambda: np.empty((0, HEIGHT * WIDTH + 2), dtype=np.float32))
    members: list[tuple[str, int]] = field(default_factory=list)

    def add(self, names: list[str], features: Features) -> None:
        nearest = _nearest(features, self.leaders, self.reach)
        waiting = np.flatnonzero(nearest < 0)
        while len(waiting):
            nearest[waiting[0]] = len(self.leaders)
            leader = features[waiting[:1]]
            alike = _nearest(features[waiting], leader, self.reach) == 0
            nearest[waiting[alike]] = len(self.leaders)
            self.leaders = np.concatenate([self.leaders, leader])
            waiting = waiting[~alike & (nearest[waiting] < 0)]
        self.members += zip(names, nearest.tolist(), strict=True)


def lookalikes(dataset: DatasetVersion, regions: pd.DataFrame, *, progress: Progress = silent) -> pd.Series[str]:
    """Region id -> cluster, such as ``side-1``: the largest group of side markers that look alike.

    Args:
        dataset: where the pixels are.
        regions: `region_id`, `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1` in original pixels; others are ignored.
        progress: told after every shard.

    Returns:
        Series `cluster` of str with index `region_id`, sorted; null where a region looks like no other.
    """
    return lookalikes_of([(dataset, regions)], progress=progress)


def lookalikes_of(
    parts: Sequence[tuple[DatasetVersion, pd.DataFrame]], *, progress: Progress = silent
) -> pd.Series[str]:
    """As `lookalikes`, over the regions of several data sets: what looks alike shares a cluster wherever it is.

    The first data set's regions lead: those of the next follow them or become leaders beside them.
    """
    groups: dict[tuple[str, str], _Group] = {}
    for dataset, regions in parts:
        for block, pixels in _shards(dataset, regions, progress):
            _join(groups, block, np.stack([_feature(*crop) for crop in _crops(dataset, block, pixels)]))
    return _named(groups)


def _join(groups: dict[tuple[str, str], _Group], block: pd.DataFrame, features: Features) -> None:
    for key in {*zip(block["kind"].tolist(), block["text"].tolist(), strict=True)}:
        chosen = ((block["kind"] == key[0]) & (block["text"] == key[1])).to_numpy()
        group = groups.setdefault(key, _Group(REACH_READ if key[1] else REACH_UNREAD))
        group.add(block.loc[chosen, "region_id"].tolist(), features[chosen])


def _shards(
    dataset: DatasetVersion, regions: pd.DataFrame, progress: Progress
) -> Iterator[tuple[pd.DataFrame, dict[int, NDArray[np.generic]]]]:
    """Regions of one shard of images after another, with the pixels by row, in an order of their own."""
    row_of = pd.Series(np.arange(len(dataset)), index=dataset.images["image_id"].astype(str))
    table = regions.assign(
        row=regions["image_id"].astype(str).map(row_of), text=regions["text"].astype(object).fillna("")
    )
    table = table.sort_values(["row", "region_id"]).drop_duplicates("region_id")
    for start in range(0, len(dataset), SHARD):
        block = table[(table["row"] >= start) & (table["row"] < start + SHARD)]
        if len(block):
            rows = block["row"].drop_duplicates().to_numpy()
            yield block, dict(zip(rows.tolist(), dataset.pixels(rows), strict=True))
        progress("look-alikes", min(start + SHARD, len(dataset)), len(dataset))


def _crops(
    dataset: DatasetVersion, block: pd.DataFrame, pixels: dict[int, NDArray[np.generic]]
) -> Iterator[tuple[NDArray[np.float32], Box]]:
    size, top = dataset.meta.size, np.float32(np.iinfo(dataset.meta.dtype).max)
    transforms = {row: dataset.transform(row) for row in pixels}
    places = zip(block["row"].tolist(), *(block[name].tolist() for name in ("x0", "y0", "x1", "y1")), strict=True)
    for row, x0, y0, x1, y1 in places:
        box = transforms[row].to_store(Box(x0, y0, x1, y1))
        left, upper = (int(np.clip(np.floor(value), 0, size - 1)) for value in (box.x0, box.y0))
        right, lower = (int(np.clip(np.ceil(value), 1, size)) for value in (box.x1, box.y1))
        crop = pixels[row][upper : max(lower, upper + 1), left : max(right, left + 1)]
        yield crop.astype(np.float32) / top, box


def _feature(crop: NDArray[np.float32], box: Box) -> Features:
    """(HEIGHT * WIDTH + 2,): euclidean distance between two of them is how different they look."""
    shrinks = crop.shape[0] * crop.shape[1] > HEIGHT * WIDTH
    small = cv2.resize(crop, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    small = cv2.GaussianBlur(small, (0, 0), _SOFTEN)
    mean = float(small.mean())
    picture = (small - mean).ravel() / (max(float(small.std()), _FLAT) * np.sqrt(small.size))
    return np.append(picture, [_SHAPE * np.log2(box.width / box.height), _BRIGHTNESS * mean]).astype(np.float32)


def _nearest(features: Features, leaders: Features, reach: float) -> NDArray[np.int64]:
    """Index (n,) of the nearest leader within `reach`, -1 where there is none."""
    if not len(leaders):
        return np.full(len(features), -1)
    squares = (features**2).sum(axis=1)[:, None] + (leaders**2).sum(axis=1) - 2 * features @ leaders.T
    best = squares.argmin(axis=1)
    return np.where(np.take_along_axis(squares, best[:, None], axis=1)[:, 0] <= reach**2, best, -1)


def _named(groups: dict[tuple[str, str], _Group]) -> pd.Series[str]:
    """Clusters of a kind are numbered by size; a leader that nobody follows is none."""
    rows = [
        (name, kind, f"{text}\x1f{leader}") for (kind, text), group in groups.items() for name, leader in group.members
    ]
    table = pd.DataFrame(rows, columns=["region_id", "kind", "leader"]).sort_values("region_id", ignore_index=True)
    by = table.groupby(["kind", "leader"])["region_id"].agg(["size", "first"]).reset_index()
    by = by[by["size"] > 1].sort_values(["kind", "size", "first"], ascending=[True, False, True])
    by["cluster"] = by["kind"] + "-" + (by.groupby("kind").cumcount() + 1).astype(str)
    named = table.merge(by[["kind", "leader", "cluster"]], on=["kind", "leader"], how="left")
    return named.set_index("region_id")["cluster"].sort_index()
