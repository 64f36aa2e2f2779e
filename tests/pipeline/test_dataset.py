"""The dataset version on disk."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.artifacts import sha256_tree
from pipeline.dataset import (
    IMAGE_COLUMNS,
    DatasetMeta,
    DatasetVersion,
    derive_version,
    from_unit,
    to_unit,
    write_version,
)
from pipeline.errors import IntegrityError

SIZE = 32


def table_of(start: int, count: int) -> pd.DataFrame:
    table = pd.DataFrame({name: pd.array([pd.NA] * count, dtype=kind) for name, kind in IMAGE_COLUMNS.items()})
    table["image_id"] = [f"{start + i:064x}" for i in range(count)]
    table["label"] = ["a" if i % 2 else "b" for i in range(count)]
    table["split"] = ["train" if i % 3 else "test" for i in range(count)]
    table["width"], table["height"] = 64, 32
    table["scale"], table["pad_x"], table["pad_y"] = 0.5, 0.0, 8.0
    return table


def write(target: Path, counts: tuple[int, ...] = (5, 3), dtype: str = "uint8") -> DatasetVersion:
    rng = np.random.default_rng(0)
    with write_version(target, SIZE, dtype) as writer:
        for number, count in enumerate(counts):
            pixels = rng.integers(0, np.iinfo(dtype).max, (count, SIZE, SIZE), endpoint=True).astype(dtype)
            writer.write_shard(number, table_of(number * 100, count), pixels)
        meta = DatasetMeta("toy", target.name, "Toy", ("a", "b"), "a", SIZE, dtype)
        tables = pd.concat([writer.shard_table(number) for number in range(len(counts))], ignore_index=True)
        writer.finish(meta, tables, len(counts))
    return DatasetVersion(target)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_unit_round_trip_is_exact(dtype: str) -> None:
    every = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(1, 16 if dtype == "uint8" else 256, -1)
    assert np.array_equal(from_unit(to_unit(every), dtype), every)


def test_rows_labels_pixels_agree(tmp_path: Path) -> None:
    dataset = write(tmp_path / "v1")
    rows = dataset.rows("test")
    assert list(rows) == [0, 3, 5]
    assert list(dataset.labels(rows)) == [1, 0, 1]
    assert dataset.tensor(rows).shape == (3, 1, SIZE, SIZE)
    assert dataset.transform(0).pad_y == 8.0


def test_same_content_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "x" / "v")
    write(tmp_path / "y" / "v")
    assert sha256_tree(tmp_path / "x") == sha256_tree(tmp_path / "y")


def test_interrupted_write_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "x" / "v")
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 255, (count, SIZE, SIZE), endpoint=True).astype("uint8") for count in (5, 3)]
    target = tmp_path / "y" / "v"
    with pytest.raises(KeyboardInterrupt), write_version(target, SIZE, "uint8") as writer:
        writer.write_shard(0, table_of(0, 5), pixels[0])
        raise KeyboardInterrupt
    assert not target.exists()
    with write_version(target, SIZE, "uint8") as writer:
        assert writer.has_shard(0)
        assert not writer.has_shard(1)
        writer.write_shard(1, table_of(100, 3), pixels[1])
        tables = pd.concat([writer.shard_table(n) for n in range(2)], ignore_index=True)
        writer.finish(DatasetMeta("toy", "v", "Toy", ("a", "b"), "a", SIZE, "uint8"), tables, 2)
    assert sha256_tree(target) == sha256_tree(tmp_path / "x" / "v")


def test_finish_can_select_and_reorder(tmp_path: Path) -> None:
    with write_version(tmp_path / "v", SIZE, "uint8") as writer:
        pixels = np.stack([np.full((SIZE, SIZE), value, np.uint8) for value in range(6)])
        writer.write_shard(0, table_of(0, 4), pixels[:4])
        writer.write_shard(1, table_of(4, 2), pixels[4:])
        table = pd.concat([writer.shard_table(0), writer.shard_table(1)], ignore_index=True)
        table["shard_row"] = range(6)
        writer.finish(DatasetMeta("t", "v", "T", ("a", "b"), "a", SIZE, "uint8"), table.iloc[[5, 0, 2]], 2)
    dataset = DatasetVersion(tmp_path / "v")
    assert list(dataset.pixels([0, 1, 2])[:, 0, 0]) == [5, 0, 2]
    assert list(dataset.images["image_id"]) == [f"{value:064x}" for value in (5, 0, 2)]


def test_derive_never_touches_the_parent(tmp_path: Path) -> None:
    parent = write(tmp_path / "v1")
    before = sha256_tree(parent.path)
    child = derive_version(
        parent, tmp_path / "v2", parent.rows("test"), lambda table, images: 1 - images, "v2", {"why": "test"}
    )
    assert sha256_tree(parent.path) == before
    assert np.array_equal(child.pixels([1]), 255 - parent.pixels([3]))
    assert torch.allclose(child.tensor([0]), 1 - parent.tensor([0]), atol=1e-6)


def test_missing_rows_are_noticed(tmp_path: Path) -> None:
    dataset = write(tmp_path / "v1")
    dataset.images.iloc[:-1].to_parquet(dataset.path / "images.parquet")
    (dataset.path / "files.json").unlink()  # as in versions made before there were such lists
    with pytest.raises(IntegrityError, match="7 rows but 8"):
        DatasetVersion(dataset.path)


def test_a_damaged_pixel_is_an_error_that_names_the_shard(tmp_path: Path) -> None:
    version = write(tmp_path / "v1")
    shard = version.path / "pixels.zarr" / "c" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[50] ^= 1
    shard.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"pixels\.zarr/c/0/0/0 is damaged: image 0") as caught:
        DatasetVersion(version.path).pixels(np.arange(len(version)))
    assert caught.value.path == version.path


def test_a_damaged_derived_version_is_made_anew_with_the_same_bytes(tmp_path: Path) -> None:
    parent = write(tmp_path / "v1")

    def make() -> Path:
        rows = np.arange(len(parent))
        return derive_version(parent, tmp_path / "v2", rows, lambda _, images: 1 - images, "v2", {}).path

    listed = (make() / "files.json").read_bytes()
    os.truncate(tmp_path / "v2" / "images.parquet", 100)
    with pytest.raises(IntegrityError, match=r"images\.parquet has 100 bytes"):
        DatasetVersion(tmp_path / "v2")
    assert (make() / "files.json").read_bytes() == listed
    assert (tmp_path / "v2.damaged-1").is_dir()
