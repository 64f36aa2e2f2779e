"""Saliency shares and matched controls, on maps and images whose answers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from pipeline.artifacts import write_parquet
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.errors import InputError
from pipeline.flag.behaviour.controls import (
    MAX_IOU,
    box_mask,
    content_box,
    control_sets,
    leave_one_out,
    matched_controls,
    pooled_p_values,
    removal_box,
)
from pipeline.flag.behaviour.evidence import coverage, region_evidence
from pipeline.types import Box, StoreTransform

SIZE = 64
PLACE = StoreTransform.fit(96, 128, SIZE)  # scale 1/2, content 48 x 64, padded by 8 left and right


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    facts = {"width": 96, "height": 128, "scale": PLACE.scale, "pad_x": PLACE.pad_x, "pad_y": PLACE.pad_y}
    table = pd.DataFrame(
        [{**dict.fromkeys(IMAGE_COLUMNS), "image_id": f"id{n}", "label": "ab"[n % 2], **facts} for n in range(3)]
    )
    with write_version(tmp_path / "v", SIZE, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((3, SIZE, SIZE), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", ("a", "b"), "a", SIZE, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "v")


def regions(*boxes: tuple[str, float, float, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(boxes, columns=["image_id", "x0", "y0", "x1", "y1"])
    return table.assign(region_id=[f"r{n}" for n in range(len(table))], kind="side", text=None)


def explained(folder: Path, maps: np.ndarray, rows: list[int]) -> Path:
    zarr.create_array(store=folder / "m.zarr", data=maps.astype(np.float32))
    write_parquet(
        folder / "m.parquet", pd.DataFrame({"image_id": [f"id{row}" for row in rows], "row": rows, "target": 1})
    )
    return folder


def test_a_pixel_counts_by_the_part_covered() -> None:
    found = coverage(Box(0.5, 1.0, 2.25, 2.5), (3, 3))
    assert np.allclose(found, [[0, 0, 0], [0.5, 1, 0.25], [0.25, 0.5, 0.125]])


def test_a_constant_map_enriches_nothing_whatever_the_padding(dataset: DatasetVersion, tmp_path: Path) -> None:
    folder = explained(tmp_path, np.ones((1, 20, 20)), [0])  # 20 does not divide 64: every edge is partial
    found = region_evidence(dataset, regions(("id0", 3, 5, 40, 60), ("id0", 0, 0, 96, 128)), folder, ["m"])
    assert np.allclose(found["enrichment"].to_numpy(dtype=float), 1)
    assert found["share"].tolist() == pytest.approx([37 * 55 / (96 * 128), 1])


def test_share_of_a_partly_covered_pixel_and_negative_saliency(dataset: DatasetVersion, tmp_path: Path) -> None:
    # Map of 8 x 8: one map pixel is 8 stored or 16 original pixels; map column 1 starts at original x = 0.
    saliency = np.full((1, 8, 8), -5.0)
    saliency[0, 0, 1], saliency[0, 7, 6] = 3, 1
    saliency[0, :, 0] = 100  # in the padding
    found = region_evidence(dataset, regions(("id0", 0, 0, 8, 16)), explained(tmp_path, saliency, [0]), ["m"]).iloc[0]
    assert found["share"] == pytest.approx(1.5 / 4)
    assert found["area_fraction"] == pytest.approx(8 * 16 / (96 * 128))
    assert found["enrichment"] == pytest.approx(1.5 / 4 / (8 * 16 / (96 * 128)))


def test_empty_maps_are_null_and_unexplained_images_absent(dataset: DatasetVersion, tmp_path: Path) -> None:
    folder = explained(tmp_path, np.stack([-np.ones((8, 8)), np.ones((8, 8))]), [0, 2])
    found = region_evidence(dataset, regions(*((f"id{n}", 0, 0, 9, 9) for n in range(3))), folder, ["m"])
    assert found["image_id"].tolist() == ["id0", "id2"]
    assert found["share"].isna().tolist() == [True, False]
    assert found["enrichment"].isna().tolist() == [True, False]


def test_a_region_outside_its_image_is_refused(dataset: DatasetVersion, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="outside"):
        region_evidence(dataset, regions(("id0", 100, 0, 120, 9)), explained(tmp_path, np.ones((1, 8, 8)), [0]), ["m"])


def test_controls_stay_inside_and_apart() -> None:
    content = content_box(PLACE)
    assert content.as_tuple() == (8, 0, 56, 64)
    image = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    marks = [Box(10, 3, 20, 9), Box(30, 40, 44, 50)]
    grown = [removal_box(mark, content, 3) for mark in marks]
    forbidden = box_mask([box for box in grown if box], SIZE)
    controls = matched_controls(image, marks[0], forbidden, 8, np.random.default_rng(1), content)
    assert len(controls) == 8
    for number, control in enumerate(controls):
        assert (control.width, control.height) == (10, 6)
        assert control.intersection(content) == control.area
        assert not forbidden[box_mask([control], SIZE)].any()
        assert all(control.iou(other) <= MAX_IOU for other in controls[:number])


def test_the_most_similar_place_comes_first() -> None:
    image = np.full((SIZE, SIZE), 0.2, np.float32)
    image[4:12, 4:12] = image[40:48, 4:12] = 0.9  # the region and its twin, equally far from the left border
    content = Box(0, 0, SIZE, SIZE)
    box = Box(4, 4, 12, 12)
    forbidden = ~box_mask([Box(4, 40, 12, 48), Box(30, 20, 42, 32)], SIZE)  # 1 + 25 places: all are candidates
    assert matched_controls(image, box, forbidden, 1, np.random.default_rng(0), content) == [Box(4, 40, 12, 48)]


def test_no_room_gives_fewer_controls() -> None:
    image, content = np.zeros((SIZE, SIZE), np.float32), Box(0, 0, SIZE, SIZE)
    box = Box(0, 0, 40, 40)
    assert matched_controls(image, box, box_mask([box], SIZE), 8, np.random.default_rng(0), content) == []


def test_boxes_of_one_control_set_do_not_overlap() -> None:
    image = np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32)
    boxes = [Box(2, 2, 12, 10), Box(14, 2, 24, 10)]
    sets = control_sets(image, boxes, box_mask(boxes, SIZE), 8, np.random.default_rng(3), Box(0, 0, SIZE, SIZE))
    assert len(sets) == 8
    assert all(len(chosen) == 2 and chosen[0].intersection(chosen[1]) == 0 for chosen in sets)


def test_pooled_p_values_by_hand() -> None:
    controls = [np.array([0.0, 2.0]), np.array([1.0, 1.0]), np.array([])]
    assert leave_one_out(controls[0]).tolist() == [-2, 2]
    # Null: -2, 2, 0, 0. Excess: 3 - 1 = 2 (one null as large), 1 - 1 = 0 (three).
    found = pooled_p_values(np.array(["side"] * 3, dtype=object), np.array([3.0, 1.0, np.nan]), controls)
    assert found[:2].tolist() == [2 / 5, 4 / 5]
    assert np.isnan(found[2])
