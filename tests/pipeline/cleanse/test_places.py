"""Filled places are read off the pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from pipeline.cleanse.places import changed_mask, changed_places
from pipeline.dataset import DatasetVersion, derive_version


def test_what_changed_is_found_in_the_content_without_padding(tmp_path: Path, dataset: DatasetVersion) -> None:
    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        edited = images.clone()
        edited[3, 0, 20:30, 18:28] = 0
        edited[3, 0, 24:26, 22:25] = images[3, 0, 24:26, 22:25]  # hit the old values: still inside the place
        edited[3, 0, 50, 40] = 1  # a speck
        return edited

    cleansed = derive_version(dataset, tmp_path / "edited", np.arange(len(dataset)), edit, "edited", {})
    mask = changed_mask(dataset, cleansed, 3)
    assert mask.shape == (64, 48)
    assert mask[20:30, 10:20].all()
    assert mask.sum() == 101
    (place,) = changed_places(dataset, cleansed, 3)
    assert (place.y, place.x, place.shape.shape) == (20, 10, (10, 10))
    assert not changed_mask(dataset, cleansed, 4).any()
    assert changed_places(dataset, cleansed, 4) == []
