"""The test images by source, view, sex and age."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from pipeline.report.predictions import ATTRIBUTES, Tested

MIN_SUPPORT = 10
"""Smaller groups are counted, but not judged."""
AGES = (0, 20, 40, 60, 80)
"""Where the age bands begin, years."""
UNKNOWN = "unknown"


def group_table(tested: Tested) -> Iterator[tuple[str, str, Tested, bool]]:
    """(attribute, value, its images, whether they are enough to be judged), for attributes of several values."""
    for attribute in (name for name in ATTRIBUTES if name in tested.images):
        column = tested.images[attribute]
        known = age_bands(column) if attribute == "age" else column.astype("object")
        values = known.where(known.notna(), UNKNOWN).astype(str)
        found = sorted(values.unique())
        if len(found) > 1:
            for value in found:
                part = tested[(values == value).to_numpy(dtype=bool)]
                yield attribute, value, part, len(part.images) >= MIN_SUPPORT


def age_bands(ages: pd.Series[float]) -> pd.Series[str]:
    """``20 to 39``, ``80 or more``; null stays null."""
    names = [*(f"{low} to {high - 1}" for low, high in pairwise(AGES)), f"{AGES[-1]} or more"]
    return pd.cut(ages.astype(float), [*AGES, np.inf], right=False, labels=names).astype("object")
