"""The check that cleansing is blind to the class finds a selection that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.artifacts import read_json
from pipeline.cleanse import apply_plan, make_plan
from pipeline.cleanse.blind import check_class_blind
from pipeline.cleanse.holes import BLIND_COLUMNS, HolesOf, holes, records
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import IntegrityError


def test_masks_are_made_from_geometry_alone(dataset: DatasetVersion) -> None:
    assert set(records(dataset.images)[0]) == set(BLIND_COLUMNS)
    assert not {"label", "label_raw", "source", "split", "patient_id", "path"} & set(BLIND_COLUMNS)


@pytest.mark.parametrize("column", ["label", "split"])
def test_a_selection_that_looks_at_the_table_is_refused(
    dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]], column: str
) -> None:
    plan = make_plan(findings, regions, dataset, CleanseConfig())

    def peeking(images: pd.DataFrame) -> HolesOf:
        first = images.loc[images[column] == dataset.images[column].iloc[1], "image_id"]
        return holes(plan, regions[regions["image_id"].isin(first)])

    with pytest.raises(IntegrityError, match="depends on more than the picture"):
        check_class_blind(dataset.images, peeking, 0)


def test_an_honest_selection_passes_and_lineage_says_so(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    plan = make_plan(findings, regions, dataset, CleanseConfig())
    lineage = read_json(apply_plan(dataset, plan, regions, tmp_path, decoys=True).path / "lineage.json")
    assert lineage["class_blind"]["images"] == 24
    assert {"label", "source", "split"} <= set(lineage["class_blind"]["shuffled"])
    assert (lineage["changed"]["covid"]["images"], lineage["changed"]["rest"]["images"]) == (12, 12)


def test_the_same_pixels_whatever_the_labels(
    tmp_path: Path, make_dataset: Any, regions: pd.DataFrame, findings: list[dict[str, Any]]
) -> None:
    labels = ["covid", "covid", "rest", "rest"] * 6
    versions = [make_dataset(), make_dataset(labels=labels, name="permuted")]
    made = [
        apply_plan(each, make_plan(findings, regions, each, CleanseConfig()), regions, tmp_path, decoys=True)
        for each in versions
    ]
    assert np.array_equal(*(each.pixels(range(24)) for each in made))
