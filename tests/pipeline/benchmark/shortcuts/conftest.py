"""A study of two dozen small phantoms, and a sheet of them without and with a mark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipeline.artifacts import write_parquet
from pipeline.benchmark.shortcuts import plant
from pipeline.benchmark.shortcuts.base import phantom_base
from pipeline.benchmark.shortcuts.grid import Mark
from pipeline.benchmark.shortcuts.plant import TRUTH_COLUMNS, Sheet, make_sheet
from pipeline.benchmark.shortcuts.study import Study, audit_settings
from pipeline.dataset import DatasetVersion
from pipeline.flag import REGION_COLUMNS

MARK = Mark("position", "bright", "fixed")


def one_region_an_image(dataset: DatasetVersion, out: Path) -> None:
    """Stands in for the detectors, which take longer than all of these tests."""
    box = {"x0": 1.0, "y0": 1.0, "x1": 9.0, "y1": 9.0}
    rows = [
        {"image_id": name, "region_id": f"{dataset.meta.version}-{name}", "kind": "side", "text": None, **box,
         "detector": "stub", "confidence": 1.0}
        for name in dataset.images["image_id"]
    ]  # fmt: skip
    write_parquet(out, pd.DataFrame(rows).astype(REGION_COLUMNS))


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    study = Study(tmp_path_factory.mktemp("shortcuts"), 7, audit_settings("ci", 7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plant, "detect_dataset", one_region_an_image)
        phantom_base(24, 96, 7, study.base_folder)
        make_sheet(study, None)
        make_sheet(study, MARK)
        yield study


@pytest.fixture(scope="session")
def mark() -> Mark:
    """The mark of the sheet."""
    return MARK


@pytest.fixture(scope="session")
def sheets(study: Study) -> tuple[Sheet, Sheet]:
    """Without and with the mark."""
    return Sheet.read(study, None), Sheet.read(study, MARK)


@pytest.fixture
def truth() -> pd.DataFrame:
    """Two planted words."""
    rows = [
        {"image_id": "a", "kind": "word", "x0": 10, "y0": 10, "x1": 20, "y1": 20},
        {"image_id": "b", "kind": "word", "x0": 30, "y0": 30, "x1": 40, "y1": 40},
    ]
    return pd.DataFrame(rows, columns=list(TRUTH_COLUMNS)).astype(TRUTH_COLUMNS)
