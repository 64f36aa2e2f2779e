"""The order of the evidence stages, and which images are explained beyond an even sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag import BEFORE_MAPS, WITH_MAPS, undecided_rows


def test_every_stage_comes_after_what_it_needs() -> None:
    made = {"predictions.parquet"}
    for stages, given in ((BEFORE_MAPS, set()), (WITH_MAPS, {"saliency"})):
        made |= given
        for stage in stages:
            assert set(stage.needs) <= made, stage.title
            assert stage.artifact not in made
            made.add(stage.artifact)
    assert WITH_MAPS[-1].artifact == "findings.json"


def test_no_saliency_map_is_needed_before_the_maps() -> None:
    assert not any("saliency" in stage.needs for stage in BEFORE_MAPS)


def test_only_test_images_with_open_kinds_are_explained_further(tmp_path: Path) -> None:
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * 6)
    table["image_id"], table["label"] = [f"id{n}" for n in range(6)], "a"
    table["split"] = ["test", "test", "test", "train", "test", "test"]
    with write_version(tmp_path / "v", 4, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((6, 4, 4), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", ("a", "b"), "b", 4, "uint8"), table, 1)
    regions = pd.DataFrame({"image_id": ["id0", "id1", "id3", "id4"], "kind": ["side", "word", "side", "side"]})
    effects = pd.DataFrame({"kind": ["side", "word"], "kind_stopped": ["all tested", "effect"]})
    assert undecided_rows(DatasetVersion(tmp_path / "v"), regions, effects).tolist() == [0, 4]
