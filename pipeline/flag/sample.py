"""Which images an audit looks at: all of a small data set, a balanced sample of a large one.

Intervals shrink with the root of the sample, not with the archive, so beyond a few thousand images a look at more of
them buys nothing that the verdict could use. Cleansing looks at every image all the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.strata import in_turn


def looked_at(dataset: DatasetVersion, images: int, seed: int) -> NDArray[np.int64]:
    """Rows to look at, in table order: at most `images` of each split, label x source strata taking turns.

    Within a stratum the order is random but depends on the image alone, so a growing data set keeps most of its sample.
    """
    table = dataset.images[["image_id", "split", "label", "source"]].assign(row=range(len(dataset)))
    parts = [part for _, part in table.groupby("split", sort=True)]
    rows = [row for part in parts for row in in_turn(part, ["label", "source"], seed, "looked-at")[:images]]
    return np.array(sorted(rows), dtype=np.int64)
