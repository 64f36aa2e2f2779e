"""The audit against what was planted, on hand-made findings, regions and maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from pipeline.artifacts import write_parquet
from pipeline.benchmark.shortcuts.audit import Audited
from pipeline.benchmark.shortcuts.plant import Sheet
from pipeline.benchmark.shortcuts.score import data_set_score, image_score, pointing_score, region_score
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version

EFFECT = {"excess": {"mean": 0.3, "low": 0.2, "high": 0.4, "n": 9}, "q": 0.01}


def finding(kind: str, status: str) -> dict:
    return {"id": "F01", "kind": kind, "status": status, "class": "sick", "effect": EFFECT}


def regions(*boxes: tuple[str, str, float, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(boxes, columns=["image_id", "kind", "x0", "y0", "x1", "y1"])


def test_a_planted_kind_is_confirmed_under_its_own_name_only():
    findings = [finding("side", "confirmed"), finding("word", "suspected"), finding("trait/exposure", "confirmed")]
    assert not data_set_score("word", findings)["confirmed"]
    assert data_set_score("word", findings)["status"] == "suspected"
    assert data_set_score("side", findings)["confirmed"]
    assert data_set_score("exposure", findings)["confirmed"]
    assert data_set_score("side", findings)["effect"] == 0.3
    assert data_set_score("arrow", findings)["status"] is None


def test_a_control_is_falsely_confirmed_by_any_kind():
    assert data_set_score(None, [finding("side", "confirmed")])["confirmed"]
    assert not data_set_score(None, [finding("side", "suspected")])["confirmed"]


def test_flagged_images(truth: pd.DataFrame):
    """a: planted and flagged; b: planted, missed; c: flagged for a mark it always had; d: flagged wrongly."""
    found = regions(
        ("a", "word", 10, 10, 20, 20), ("b", "side", 30, 30, 40, 40),
        ("c", "word", 50, 50, 60, 60), ("d", "word", 70, 70, 80, 80),
    )  # fmt: skip
    before = regions(("c", "word", 50, 50, 60, 60), ("d", "word", 70, 70, 90, 90))
    score = image_score(Sheet(None, truth, found), before, ["word"])
    assert score["images_planted"] == 2
    assert score["images_flagged"] == 3
    assert score["image_recall"] == 1 / 2
    assert score["image_precision"] == 1 / 3
    assert score["image_precision_new"] == 1 / 2


def test_without_a_confirmed_kind_nothing_is_flagged(truth: pd.DataFrame):
    score = image_score(Sheet(None, truth, regions(("a", "word", 10, 10, 20, 20))), regions(), [])
    assert score["image_precision"] is None
    assert score["image_recall"] == 0


def test_regions(truth: pd.DataFrame):
    """a: found exactly, as something else; b: found with half its area, under its own kind."""
    found = regions(("a", "date", 10, 10, 20, 20), ("a", "word", 60, 60, 70, 70), ("b", "word", 30, 30, 40, 35))
    score = region_score(Sheet(None, truth, found), ["date", "side"])
    assert score.pop("found_as") in ("date", "word")
    assert score == {"mark_iou": 0.75, "mark_found": 1.0, "mark_named": 0.5, "mark_confirmed": 0.5}


def test_a_far_box_is_not_a_find(truth: pd.DataFrame):
    score = region_score(Sheet(None, truth, regions(("a", "word", 18, 18, 28, 28))), ["word"])
    assert score["mark_found"] == score["mark_named"] == score["mark_confirmed"] == 0
    assert score["found_as"] is None


def test_traits_have_no_place(truth: pd.DataFrame):
    trait = truth.assign(kind="exposure", x0=pd.NA, y0=pd.NA, x1=pd.NA, y1=pd.NA)
    score = region_score(Sheet(None, trait, regions()), ["trait/median", "side"])
    assert score.pop("mark_confirmed") == 1
    assert set(score.values()) == {None}
    assert region_score(Sheet(None, trait, regions()), ["side"])["mark_confirmed"] == 0


@pytest.fixture
def version(tmp_path: Path) -> DatasetVersion:
    """Images a, b and c, 64 x 64, stored as they are."""
    size = {"width": 64, "height": 64, "scale": 1.0, "pad_x": 0, "pad_y": 0}
    table = pd.DataFrame(
        [{**dict.fromkeys(IMAGE_COLUMNS), "image_id": name, "label": "well", **size} for name in "abc"]
    )
    with write_version(tmp_path / "version", 64, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((3, 64, 64), np.uint8))
        writer.finish(DatasetMeta("v", "v", "V", ("well", "sick"), "sick", 64, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "version")


def test_pointing_counts_marked_images_of_the_target_class(
    truth: pd.DataFrame, version: DatasetVersion, tmp_path: Path
):
    """Maps of 8 x 8: a's peak lies on its mark, b's far off, c has no mark; a is explained once more for the other
    class, which does not count."""
    peaks = [("a", 0, 1, (1, 1)), ("b", 1, 1, (0, 7)), ("c", 2, 1, (1, 1)), ("a", 0, 0, (7, 7))]
    maps = np.zeros((4, 8, 8), np.float32)
    for number, (*_, peak) in enumerate(peaks):
        maps[number][peak] = 1
    zarr.save_array(tmp_path / "grad-cam.zarr", maps)
    rows = [{"image_id": name, "row": row, "target": target} for name, row, target, _ in peaks]
    write_parquet(tmp_path / "grad-cam.parquet", pd.DataFrame(rows))
    score = pointing_score(Sheet(version, truth, regions()), Audited([], tmp_path), "grad-cam", "sick")
    assert score == {"pointing": 0.5, "pointing_n": 2}
