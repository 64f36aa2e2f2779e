"""Saliency inside and outside lungs, on maps and masks whose answers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from pipeline.artifacts import write_parquet
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour.lung_evidence import lung_evidence, lung_summary
from pipeline.types import StoreTransform

SIZE, COUNT = 64, 6
PLACE = StoreTransform.fit(96, 128, SIZE)  # scale 1/2, content 48 x 64, padded by 8 left and right


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    facts = {"width": 96, "height": 128, "scale": PLACE.scale, "pad_x": PLACE.pad_x, "pad_y": PLACE.pad_y}
    table = pd.DataFrame(
        [{**dict.fromkeys(IMAGE_COLUMNS), "image_id": f"id{n}", "label": "ab"[n % 2], **facts} for n in range(COUNT)]
    )
    with write_version(tmp_path / "v", SIZE, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((COUNT, SIZE, SIZE), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", ("a", "b"), "a", SIZE, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "v")


def lungs(row: int) -> np.ndarray | None:
    """The upper half of the content and all of the padding beside it; unknown for row 5."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[:32] = True
    return None if row == 5 else mask


def explained(folder: Path, maps: np.ndarray) -> Path:
    rows = list(range(len(maps)))
    zarr.create_array(store=folder / "m.zarr", data=maps.astype(np.float32))
    write_parquet(folder / "m.parquet", pd.DataFrame({"image_id": [f"id{n}" for n in rows], "row": rows, "target": 1}))
    return folder


def lower_quarter() -> pd.DataFrame:
    """A region over the lowest quarter of image 0, in original pixels."""
    return pd.DataFrame([("r", "id0", "word", 0, 96, 96, 128)], columns=["region_id", "image_id", "kind", *_BOX])


_BOX = ("x0", "y0", "x1", "y1")


def test_a_constant_map_enriches_nothing(dataset: DatasetVersion, tmp_path: Path) -> None:
    folder = explained(tmp_path, np.ones((COUNT, 20, 20)))  # 20 does not divide 64: every edge is partial
    found = lung_evidence(dataset, lower_quarter(), folder, ["m"], lungs)
    assert found["image_id"].tolist() == ["id0", "id1", "id2", "id3", "id4"]  # the lungs of id5 are unknown
    for place in ("lungs", "outside", "unexplained"):
        assert np.allclose(found[f"{place}_enrichment"].to_numpy(float), 1)
    assert found["lungs_share"].tolist() == pytest.approx([0.5] * 5)
    assert found["unexplained_area"].tolist() == pytest.approx([0.25, 0.5, 0.5, 0.5, 0.5])


def test_shares_by_hand(dataset: DatasetVersion, tmp_path: Path) -> None:
    saliency = np.full((1, 8, 8), -1.0)
    saliency[0, 1, 3], saliency[0, 5, 3], saliency[0, 7, 3] = 1, 2, 5  # lungs, outside, in the region
    saliency[0, 0, 0] = 100  # in the padding
    found = lung_evidence(dataset, lower_quarter(), explained(tmp_path, saliency), ["m"], lungs).iloc[0]
    assert found["lungs_share"] == pytest.approx(1 / 8)
    assert found["lungs_enrichment"] == pytest.approx(1 / 4)
    assert found["outside_share"] == pytest.approx(7 / 8)
    assert found["unexplained_share"] == pytest.approx(2 / 8)
    assert found["unexplained_enrichment"] == pytest.approx(1)


def test_summary_by_class_counts_empty_maps(dataset: DatasetVersion, tmp_path: Path) -> None:
    maps = np.zeros((COUNT, 8, 8))
    maps[[0, 2], 1, 3] = 1  # class a: lungs twice, once nothing
    maps[1, 1, 3] = maps[3, 5, 3] = 1  # class b: lungs, outside
    table = lung_evidence(dataset, lower_quarter().iloc[:0], explained(tmp_path, maps), ["m"], lungs)
    a, b = lung_summary(table.sample(frac=1, random_state=1), 0)
    assert (a["label"], a["images"], a["empty"]) == ("a", 3, 1)
    assert a["lungs"]["share"] == {"mean": 1, "low": 1, "high": 1, "n": 2}
    assert b["lungs"]["share"] == {"mean": 0.5, "low": 0, "high": 1, "n": 2}
    assert b["unexplained"]["share"] == b["outside"]["share"]
    assert lung_summary(table, 0) == [a, b]
    assert lung_summary(table.iloc[:0], 0) == []
