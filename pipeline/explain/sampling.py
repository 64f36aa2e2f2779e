"""Which images are explained: a small, even, repeatable sample of the test split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError
from pipeline.randomness import derive_seed

CONFIDENT = 0.6
"""Images whose predicted class has less probability than this come last: there is little to explain."""


def explained_rows(
    dataset: DatasetVersion,
    probabilities: NDArray[np.float32],
    undecided: NDArray[np.int64],
    *,
    images: int,
    seed: int,
) -> NDArray[np.int64]:
    """Rows of the test split that an audit explains, ascending: at most `images`.

    Half of the budget goes to an even sample of the split; the other half only to `undecided` rows, and what these do
    not need of it is saved: maps are not computed where cheaper evidence has settled the matter.

    Args:
        dataset: the dataset version.
        probabilities: (n, classes) for ``dataset.rows("test")``, in that order.
        undecided: test rows on which cheaper evidence has not settled the matter.
        images: how many rows at most.
        seed: of the run.

    Raises:
        EmptyResultError: there is no test image.
    """
    even = choose_rows(dataset, probabilities, images=(images + 1) // 2, seed=seed)
    more = np.setdiff1d(undecided, even)
    return np.union1d(even, choose_rows(dataset, probabilities, images=images // 2, seed=seed, among=more))


def choose_rows(
    dataset: DatasetVersion,
    probabilities: NDArray[np.float32],
    *,
    images: int,
    seed: int,
    among: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """At most `images` rows of the test split, in ascending order.

    Strata of label x source take turns, so small ones are not drowned. Within a stratum, images predicted with
    at least `CONFIDENT` probability (right or wrong) come first, otherwise the order is a seeded shuffle that
    does not depend on which other images there are. The other-source split is never explained.

    Args:
        dataset: the dataset version.
        probabilities: (n, classes) for ``dataset.rows("test")``, in that order.
        images: how many rows are wanted.
        seed: of the run.
        among: choose from these test rows only; all of them when None.

    Raises:
        EmptyResultError: there is no test image.
    """
    rows = dataset.rows("test")
    if len(rows) == 0:
        raise EmptyResultError("There is no test image to explain. Check the split fractions and problems.parquet.")
    if len(probabilities) != len(rows):
        raise ValueError(f"{len(rows)} test rows need as many probabilities, found {len(probabilities)}")
    table = dataset.images.iloc[rows][["image_id", "label", "source"]].astype(str).assign(row=rows)
    table["unsure"] = probabilities.max(axis=1) < CONFIDENT
    table["lot"] = [derive_seed(seed, "explain-sample", image_id) for image_id in table["image_id"]]
    if among is not None:
        table = table[table["row"].isin(among)]
    table = table.sort_values(["unsure", "lot"])
    table["turn"] = table.groupby(["label", "source"]).cumcount()
    chosen = table.sort_values(["turn", "label", "source"])["row"].to_numpy(dtype=np.int64)[:images]
    return np.sort(chosen)
