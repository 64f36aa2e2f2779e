"""A study of five files: a DICOM image, a colour, a deep and an unmarked PNG, and a JPEG lying on its side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.cleanse import Plan, PlanLine
from pipeline.cleanse.apply import planned
from pipeline.dataset import DatasetVersion
from pipeline.export import Source
from tests.pipeline.export.films import BOX, MARK, make_version, radiograph, slope, to_bytes


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """a/one.dcm, a/two.png (RGBA), b/three.png (16 bits), b/four.jpg (turned by EXIF), b/five.png (no mark)."""
    root = tmp_path / "data"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    (root / "a" / "one.dcm").write_bytes(to_bytes(radiograph()))
    grey = slope(255).astype(np.uint8)
    Image.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 255)]), "RGBA").save(root / "a" / "two.png")
    Image.fromarray(slope(65535).astype(np.uint16)).save(root / "b" / "three.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # shown upright after a quarter turn clockwise
    Image.fromarray(np.rot90(grey).copy()).save(root / "b" / "four.jpg", exif=turned, quality=95)
    plain = slope(255)
    plain[MARK] = 90
    Image.fromarray(plain.astype(np.uint8)).save(root / "b" / "five.png")
    return root


@pytest.fixture
def study(tmp_path: Path, data_root: Path) -> DatasetVersion:
    return make_version(tmp_path / "datasets" / "study" / "v0", data_root)


@pytest.fixture
def regions(study: DatasetVersion) -> pd.DataFrame:
    """The mark of every image that has one, and a date that no plan removes, on the first."""
    marked = study.images["image_id"][study.images["path"] != "b/five.png"]
    rows = [
        {"region_id": f"r{n}", "image_id": name, "kind": "side", "text": "L", **BOX} for n, name in enumerate(marked)
    ]
    date = {"region_id": "d0", "image_id": marked.iloc[0], "kind": "date", "text": None}
    rows.append({**date, "x0": 4.0, "y0": 80.0, "x1": 40.0, "y1": 90.0})
    return pd.DataFrame(rows).assign(detector="test", confidence=0.9, held_back=None)


@pytest.fixture
def make_source(study: DatasetVersion, regions: pd.DataFrame) -> Callable[..., Source]:
    def make(decoys: bool = False, **facts) -> Source:
        line = PlanLine(finding="F01", kind="side", decided_by="reviewer A")
        plan = Plan(dataset=study.meta.version, fill="telea", dilation=1.0, lines=(line,))
        found = regions.assign(removed=regions["kind"] == "side", finding=regions["kind"].map({"side": "F01"}))
        holes = planned(study.images, plan, regions, decoys=decoys, seed=0, lungs=None)
        return Source(study, "clean", found, plan, holes, **{"approved": True, "still_found": frozenset(), **facts})

    return make
