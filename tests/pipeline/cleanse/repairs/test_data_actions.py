"""What is learned from loses images; test images stay; fills are those of the plan."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.artifacts import read_json
from pipeline.cleanse import apply_plan
from pipeline.cleanse.repairs import Bench, Control, Fill, Repair, prepare, swapped
from pipeline.cleanse.repairs.select import DropDuplicates, DropImages, Where
from pipeline.errors import InputError


def _ids(version: object, *splits: str) -> list[str]:
    return [str(name) for name in version.images["image_id"].iloc[version.rows(*splits)]]


def test_images_with_regions_of_a_kind_are_dropped_from_train_and_val_only(bench: Bench) -> None:
    made = DropImages(where=Where(kinds=("side",))).learned_from(bench, bench.dataset)
    marked = set(bench.regions.loc[bench.regions["kind"] == "side", "image_id"])
    for split in ("train", "val"):
        assert _ids(made, split) == [name for name in _ids(bench.dataset, split) if name not in marked]
    assert _ids(made, "test", "other_source") == _ids(bench.dataset, "test", "other_source")
    assert read_json(made.path / "lineage.json")["dropped"] == {"rest": 0, "covid": 1}


def test_kind_mark_is_every_printed_kind(bench: Bench) -> None:
    made = DropImages(where=Where(kinds=("mark",))).learned_from(bench, bench.dataset)
    marked = set(bench.regions["image_id"])
    assert not marked & set(_ids(made, "train", "val"))


def test_named_images_are_dropped_and_unknown_names_refused(bench: Bench) -> None:
    first = _ids(bench.dataset, "train")[0]
    made = DropImages(where=Where(image_ids=(first,))).learned_from(bench, bench.dataset)
    assert first not in _ids(made, "train")
    with pytest.raises(InputError, match="1 of 2 image ids are not in data set study"):
        DropImages(where=Where(image_ids=(first, "nobody"))).learned_from(bench, bench.dataset)


def test_one_of_each_group_of_duplicates_is_learned_from(bench: Bench) -> None:
    dataset = bench.dataset
    rows = dataset.rows("train")
    dataset.images["split"] = "train"
    groups = pd.array([None] * len(dataset), dtype="string")
    groups[[5, 3, 9]] = "g"
    dataset.images["duplicate_group"] = groups
    made = DropDuplicates().learned_from(bench, dataset)
    gone = set(_ids(dataset, "train")) - set(_ids(made, "train"))
    assert gone == {"id05", "id09"}
    assert len(rows)


def test_without_duplicates_nothing_changes(bench: Bench) -> None:
    assert DropDuplicates().learned_from(bench, bench.dataset) is bench.dataset


def test_filling_is_applying_the_plan(bench: Bench) -> None:
    made = Fill().learned_from(bench, bench.dataset)
    wanted = apply_plan(
        bench.dataset,
        bench.plan,
        bench.regions,
        bench.root,
        decoys=True,
        lungs=bench.find_lungs(bench.dataset),
        seed=0,
    )
    assert made.path == wanted.path
    other = Fill(fill="noise", decoys=False).learned_from(bench, bench.dataset)
    assert other.path != made.path
    assert Control().learned_from(bench, bench.dataset).path not in (made.path, other.path)


def test_fills_are_not_done_to_test_images_but_deployed_changes_are(bench: Bench) -> None:
    repair = Repair.model_validate({"name": "both", "actions": [{"action": "fill"}, {"action": "harmonise"}]})
    prepared, exchanged = prepare(repair, bench), swapped(bench)
    plain = prepare(Repair(name="none"), bench)
    assert plain.shown(exchanged) is exchanged
    assert plain.training is bench.dataset
    raw = prepared.shown(bench.dataset)
    assert read_json(raw.path / "lineage.json")["parent"] == bench.dataset.meta.version
    marked = 1  # an image with a mark: bright where the fill would have been
    assert raw.pixels([marked])[0, 5, 14] > 220
    filled = prepared.training.pixels([marked])[0]
    assert filled[5, 14] < 220
    assert np.array_equal(prepared.shown(exchanged).images["image_id"], exchanged.images["image_id"])
