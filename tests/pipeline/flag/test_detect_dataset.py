"""Marks of a whole version: original pixels, image order, same bytes however the work was split or interrupted."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag import parts
from pipeline.flag.detect_dataset import REGION_COLUMNS, detect_dataset
from pipeline.spread import processes
from pipeline.types import Box, Region, StoreTransform

DETECTION = importlib.import_module("pipeline.flag.detect_dataset")  # the package exports a function of that name

SIZE, WIDTH, HEIGHT, COUNT = 320, 480, 640, 5
TRUTH = Box(60, 80, 260, 110)  # original pixels


def original(marked: bool) -> NDArray[np.uint8]:
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    if marked:
        cv2.putText(image, "PORTABLE", (60, 110), cv2.FONT_HERSHEY_SIMPLEX, 1.35, 255, 4, cv2.LINE_AA)
    return image


def version(folder: Path, count: int) -> DatasetVersion:
    """Every second image is marked; image ids fall while rows rise."""
    place = StoreTransform.fit(WIDTH, HEIGHT, SIZE)
    facts = {"width": WIDTH, "height": HEIGHT, "scale": place.scale, "pad_x": place.pad_x, "pad_y": place.pad_y}
    table = pd.DataFrame([{**dict.fromkeys(IMAGE_COLUMNS), **facts} for _ in range(count)])
    table["image_id"] = [f"id{99 - n}" for n in range(count)]
    table["label"], table["split"] = "rest", "train"
    pixels = np.zeros((count, SIZE, SIZE), np.uint8)
    for n in range(count):
        pixels[n, :, 40:280] = cv2.resize(original(marked=n % 2 == 0), (240, SIZE), interpolation=cv2.INTER_AREA)
    with write_version(folder, SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("t", "v", "T", ("rest", "covid"), "covid", SIZE, "uint8"), table, 1)
    return DatasetVersion(folder)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    return version(tmp_path / "v", COUNT)


def test_boxes_are_original_pixels_in_image_order(dataset: DatasetVersion, tmp_path: Path) -> None:
    table = detect_dataset(dataset, tmp_path / "regions.parquet")
    assert {name: str(kind) for name, kind in table.dtypes.items()} == REGION_COLUMNS
    assert table["image_id"].tolist() == ["id99", "id97", "id95"]
    assert table["text"].tolist() == ["PORTABLE"] * 3
    for row in table.itertuples():
        box = Box(row.x0, row.y0, row.x1, row.y1)
        assert box.iou(TRUTH) >= 0.5
        assert row.region_id == Region(row.image_id, row.kind, box, row.detector, row.confidence).region_id
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "regions.parquet"), table)


@pytest.mark.slow
def test_an_interrupted_search_goes_on_where_it_stopped(
    dataset: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART", 2)
    detect_dataset(dataset, tmp_path / "whole.parquet")
    real, seen, out = DETECTION.regions_of, [], tmp_path / "resumed.parquet"

    def until_third(dataset: DatasetVersion, row: int) -> list[dict[str, Any]]:
        seen.append(row)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return list(real(dataset, row))

    monkeypatch.setattr(DETECTION, "regions_of", until_third)
    with pytest.raises(KeyboardInterrupt):
        detect_dataset(dataset, out)
    assert not out.exists()
    detect_dataset(dataset, out)
    assert seen == [0, 1, 2, 3, 2, 3, 4]
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(tmp_path: Path) -> None:
    dataset = version(tmp_path / "v", parts.PART + 3)
    one = detect_dataset(dataset, tmp_path / "one.parquet")
    detect_dataset(dataset, tmp_path / "two.parquet", spread=processes(2))
    assert len(one) == (len(dataset) + 1) // 2
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_progress_ends_at_the_number_of_images(dataset: DatasetVersion, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    detect_dataset(dataset, tmp_path / "r.parquet", progress=lambda *step: told.append(step))
    assert told[-1] == ("detect marks", COUNT, COUNT)
