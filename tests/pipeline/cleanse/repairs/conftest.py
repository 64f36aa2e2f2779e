"""A bench for the small study of the folder above: lungs are two boxes, found on all images but one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.cleanse import Lungs, Plan, PlanLine
from pipeline.cleanse.repairs import Bench
from pipeline.dataset import DatasetVersion

MISSED = "id02"
"""The image on which no lungs are found; a test image."""
LUNGS = (slice(16, 48), slice(16, 30)), (slice(16, 48), slice(34, 48))
"""Rows and columns of the store that each lung covers."""


def lung_mask(size: int = 64) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    for place in LUNGS:
        mask[place] = True
    return mask


@pytest.fixture
def make_bench(regions: pd.DataFrame) -> Callable[..., Bench]:
    def make(dataset: DatasetVersion, **options: object) -> Bench:
        def find_lungs(version: DatasetVersion) -> Lungs:
            ids = version.images["image_id"].astype(str)
            masks = {name: lung_mask() for name in ids if name != MISSED}
            return Lungs("boxes", version.meta.size, masks)

        line = PlanLine(finding="F1", kind="side", text="L", decided_by="test")
        plan = Plan(dataset=dataset.meta.version, fill="mean", dilation=1.0, lines=(line,))
        parts = {"plan": plan, "regions": regions, "find_lungs": find_lungs, "lungs_name": "boxes"}
        return Bench(dataset=dataset, root=dataset.path.parent.parent, **{**parts, **options})

    return make


@pytest.fixture
def bench(dataset: DatasetVersion, make_bench: Callable[..., Bench]) -> Bench:
    return make_bench(dataset)
