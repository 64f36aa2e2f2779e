"""What an earlier run found and what is found now, put together in the order of the images table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import zarr

from pipeline.artifacts import write_parquet
from pipeline.takeover import take_over

NOW: Any = SimpleNamespace(
    images=pd.DataFrame(
        {"image_id": ["a", "new", "b", "c"], "split": ["train", "test", "test", "val"], "label": ["x", "y", "y", "x"]}
    ).astype("string")
)
ROWS = np.arange(4)


def test_several_records_an_image_keep_their_order(tmp_path: Path) -> None:
    earlier = pd.DataFrame({"image_id": ["c", "c", "gone", "a"], "region_id": ["c2", "c1", "g1", "a1"]})
    write_parquet(tmp_path / "earlier", earlier.astype("string"))
    write_parquet(tmp_path / "found", pd.DataFrame({"image_id": ["new"], "region_id": ["n1"]}).astype("string"))
    take_over(NOW, ROWS, tmp_path / "earlier", tmp_path / "found", tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out")["region_id"].tolist() == ["a1", "n1", "c2", "c1"]


def test_split_and_label_are_those_of_today_and_what_is_found_now_wins(tmp_path: Path) -> None:
    earlier = {"image_id": ["a", "b"], "split": ["val", "test"], "label": ["x", "x"], "p_x": [0.25, 0.5]}
    write_parquet(tmp_path / "earlier", pd.DataFrame(earlier))
    found = {"image_id": ["b", "new"], "split": ["test", "test"], "label": ["y", "y"], "p_x": [0.75, 1.0]}
    write_parquet(tmp_path / "found", pd.DataFrame(found))
    take_over(NOW, np.array([0, 1, 2]), tmp_path / "earlier", tmp_path / "found", tmp_path / "out")
    made = pd.read_parquet(tmp_path / "out")
    assert made["image_id"].tolist() == ["a", "new", "b"]
    assert made["split"].tolist() == ["train", "test", "test"]
    assert made["label"].tolist() == ["x", "y", "y"]
    assert made["p_x"].tolist() == [0.25, 1.0, 0.75]


def _half(folder: Path, image_ids: list[str], values: list[float]) -> None:
    write_parquet(folder / "maps.parquet", pd.DataFrame({"image_id": image_ids, "row": range(len(image_ids))}))
    items = np.array(values, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), dtype=np.float32)
    store = zarr.create_array(folder / "maps.zarr", shape=items.shape, dtype="float32", chunks=(1, 2, 3))
    store[:] = items


def test_arrays_follow_their_tables(tmp_path: Path) -> None:
    _half(tmp_path / "earlier", ["c", "gone", "a"], [3, 9, 1])
    _half(tmp_path / "found", ["new"], [2])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "left.txt").write_text("of an attempt that was killed")
    arrays = {"maps.parquet": "maps.zarr"}
    take_over(NOW, np.array([0, 1, 3]), tmp_path / "earlier", tmp_path / "found", tmp_path / "out", arrays)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["maps.parquet", "maps.zarr"]
    table = pd.read_parquet(tmp_path / "out" / "maps.parquet")
    assert table["row"].tolist() == [0, 1, 3]
    assert np.asarray(zarr.open_array(tmp_path / "out" / "maps.zarr")[:, 0, 0]).tolist() == [1, 2, 3]


def test_nothing_found_is_all_taken_over(tmp_path: Path) -> None:
    _half(tmp_path / "earlier", ["c", "a"], [3, 1])
    take_over(
        NOW, np.array([0, 3]), tmp_path / "earlier", tmp_path / "found", tmp_path / "out", {"maps.parquet": "maps.zarr"}
    )
    assert np.asarray(zarr.open_array(tmp_path / "out" / "maps.zarr")[:, 0, 0]).tolist() == [1, 3]
