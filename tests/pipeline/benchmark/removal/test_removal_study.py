from __future__ import annotations

import numpy as np

from pipeline.artifacts import read_parquet
from pipeline.benchmark.removal.study import plant
from pipeline.benchmark.shortcuts.base import phantom_base
from pipeline.dataset import DatasetVersion
from pipeline.types import Box


def test_the_arrow_stands_where_the_truth_says_and_on_one_class_only(tmp_path):
    base = phantom_base(24, 96, 3, tmp_path / "base")
    plant(base, 3, tmp_path / "marked")
    marked = DatasetVersion(tmp_path / "marked" / "version")
    truth = read_parquet(tmp_path / "marked" / "truth.parquet").set_index("image_id")
    before, after = (version.tensor(range(24))[:, 0].numpy() for version in (base, marked))
    labels = base.images["label"]
    assert set(truth.index) == set(base.images["image_id"][labels == base.meta.positive])
    for row, name in enumerate(base.images["image_id"]):
        changed = np.abs(after[row] - before[row]) > 0.02
        if name not in truth.index:
            assert not changed.any()
            continue
        box = marked.transform(row).to_store(Box(*truth.loc[name, ["x0", "y0", "x1", "y1"]]))
        inside = np.zeros_like(changed)
        inside[int(box.y0) : int(np.ceil(box.y1)), int(box.x0) : int(np.ceil(box.x1))] = True
        assert changed.any()
        assert not (changed & ~inside).any()
