"""The sample that an audit of a large data set looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.sample import looked_at


def make(folder: Path, count: int) -> DatasetVersion:
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * count)
    table["image_id"] = [f"id{n}" for n in range(count)]
    table["label"] = ["rare" if n % 10 == 0 else "common" for n in range(count)]
    table["source"], table["split"] = "one", ["train" if n % 4 else "test" for n in range(count)]
    with write_version(folder, 4, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((count, 4, 4), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", ("common", "rare"), "rare", 4, "uint8"), table, 1)
    return DatasetVersion(folder)


def test_everything_where_there_is_little(tmp_path: Path) -> None:
    assert looked_at(make(tmp_path / "v", 40), 100, 0).tolist() == list(range(40))


def test_rare_classes_are_not_crowded_out(tmp_path: Path) -> None:
    dataset = make(tmp_path / "v", 200)
    chosen = dataset.images.iloc[looked_at(dataset, 20, 0)]
    assert chosen.groupby(["split", "label"]).size().to_dict() == {
        ("test", "common"): 10, ("test", "rare"): 10, ("train", "common"): 10, ("train", "rare"): 10,
    }  # fmt: skip


def test_a_growing_data_set_keeps_its_sample(tmp_path: Path) -> None:
    small, large = make(tmp_path / "a", 150), make(tmp_path / "b", 200)
    before = set(small.images["image_id"].iloc[looked_at(small, 20, 0)])
    after = set(large.images["image_id"].iloc[looked_at(large, 20, 0)])
    assert len(before & after) >= 20  # of 40: a fresh draw of 20 in 150 and 50 would share about 6
    assert looked_at(large, 20, 0).tolist() != looked_at(large, 20, 1).tolist()
