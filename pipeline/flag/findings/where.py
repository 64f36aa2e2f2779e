"""Where on the picture the regions of one kind stand, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.estimates import proportion

_ROWS = ("top", "middle", "bottom")
_COLUMNS = ("left", "centre", "right")


def where(dataset: DatasetVersion, regions: pd.DataFrame) -> dict[str, Any] | None:
    """The ninth of the picture in which most regions have their middle, and the share of regions that have.

    Args:
        dataset: sizes of the originals.
        regions: regions of one kind, boxes in original pixels.

    Returns:
        {place, share}, None without regions. Left is the left of the picture.
    """
    if not len(regions):
        return None
    size = dataset.images.set_index("image_id")[["width", "height"]].astype(float).loc[regions["image_id"]]
    across = (regions[["x0", "x1"]].mean(axis=1).to_numpy() / size["width"].to_numpy() * 3).clip(0, 2.999)
    down = (regions[["y0", "y1"]].mean(axis=1).to_numpy() / size["height"].to_numpy() * 3).clip(0, 2.999)
    counts = np.bincount(3 * down.astype(int) + across.astype(int), minlength=9)
    most = int(counts.argmax())
    place = "middle" if most == 4 else f"{_ROWS[most // 3]} {_COLUMNS[most % 3]}"
    return {"place": place, "share": proportion(int(counts[most]), len(regions))}
