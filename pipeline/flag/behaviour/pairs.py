"""Whose mark is pasted on whom, decided from the tables alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.removal import MARGIN
from pipeline.flag.behaviour.strata import in_turn

DONORS = 16
"""Donors tried for one recipient before its place counts as taken."""
TRIES = 4
"""Recipients tried per one wanted."""


@dataclass(frozen=True)
class Pair:
    """One transplant: `kind` of `donor`, an image of class `target`, onto `recipient`, an image of another class.

    `donor` is None where no donor's marks fall on a free place of the recipient.
    """

    kind: str
    target: str
    donor: int | None
    recipient: int

    @property
    def key(self) -> str:
        """What is tested together."""
        return f"{self.kind}|{self.target}"


def choose_pairs(
    dataset: DatasetVersion,
    regions: pd.DataFrame,
    classes: Sequence[str],
    wanted: int,
    seed: int,
    *,
    looked_at: NDArray[np.int64] | None = None,
    kinds: Collection[str] | None = None,
) -> list[Pair]:
    """Up to `wanted` pairs for each kind and class, from test and validation images, in the order to test them.

    Recipients take turns by label and source, donors by source and by what is printed; within such a stratum the order
    is random but depends on the image alone. A recipient serves once per kind and class; its donor is the next in turn
    whose marks, at the same place relative to the picture, keep `MARGIN` stored pixels from every region that the
    recipient has. Recipients without such a donor are listed too, with donor None, at most `TRIES` · `wanted` in all.

    Args:
        dataset: where the images are.
        regions: the regions table, of all kinds: what may be pasted, and what makes a place taken.
        classes: classes of the donors.
        wanted: pairs per kind and class.
        seed: of the run.
        looked_at: rows whose regions are known, all where None; an image not looked at is not one without marks.
        kinds: which are pasted; all where None.
    """
    rows = dataset.rows("test", "val")
    rows = rows if looked_at is None else np.intersect1d(rows, looked_at)
    table = dataset.images.iloc[rows][["image_id", "label", "source"]].assign(row=rows)
    found = regions.merge(table[["image_id", "row"]], on="image_id")
    places = {int(part["row"].iloc[0]): part for _, part in found.groupby("row")}
    pairs: list[Pair] = []
    for kind, marks in found[found["kind"].isin(found["kind"] if kinds is None else list(kinds))].groupby("kind"):
        text = marks.sort_values("region_id").groupby("row")["text"].first()
        donors = table[table["row"].isin(marks["row"])]
        donors = donors.assign(text=donors["row"].map(text))
        for target in classes:
            giving = in_turn(donors[donors["label"] == target], ["source", "text"], seed, f"transplant donor {kind}")
            taking = in_turn(table[table["label"] != target], ["label", "source"], seed, f"transplant recipient {kind}")
            giving = giving[: wanted + DONORS]
            boxes = {row: _relative(dataset, row, places[row][places[row]["kind"] == kind]) for row in giving}
            pairs += _matched(dataset, str(kind), target, boxes, taking[: TRIES * wanted], places, wanted)
    return pairs


def _matched(
    dataset: DatasetVersion,
    kind: str,
    target: str,
    donors: dict[int, NDArray[np.float64]],
    recipients: Sequence[int],
    places: dict[int, pd.DataFrame],
    wanted: int,
) -> Iterator[Pair]:
    turn, found = deque(donors), 0
    for recipient in recipients if donors else ():
        taken = _relative(dataset, recipient, places.get(recipient), MARGIN)
        donor = next((row for row in list(turn)[:DONORS] if not _touch(donors[row], taken)), None)
        if donor is not None:
            turn.remove(donor)
            turn.append(donor)
            found += 1
        yield Pair(kind, target, donor, recipient)
        if found == wanted:
            return


def _relative(
    dataset: DatasetVersion, row: int, regions: pd.DataFrame | None, margin: float = 0.0
) -> NDArray[np.float64]:
    """Boxes of an image as shares of its width and height, (n, 4), grown by `margin` stored pixels."""
    if regions is None:
        return np.empty((0, 4))
    place = dataset.transform(row)
    grown = margin / place.scale * np.array([-1, -1, 1, 1])
    size = np.array([place.width, place.height] * 2)
    return np.asarray((regions[["x0", "y0", "x1", "y1"]].to_numpy(dtype=float) + grown) / size)


def _touch(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether any box of `a` (n, 4) overlaps any of `b` (m, 4)."""
    first, second = a[:, None], b[None]
    return bool(((first[..., :2] < second[..., 2:]) & (second[..., :2] < first[..., 2:])).all(axis=2).any())
