"""The benchmark run with detectors whose answers are known: one that sees all, one that sees nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.benchmark.detectors import DetectorRequest, benchmark_detectors, run, trial
from pipeline.benchmark.detectors.misses import TILE, sheet
from pipeline.benchmark.detectors.run import ARTIFACTS, sample_files
from pipeline.benchmark.detectors.strata import COPIES, HEIGHTS, KINDS, LONGEST, Stratum
from pipeline.benchmark.detectors.summary import rate, summarise
from pipeline.benchmark.detectors.trial import load, plant
from pipeline.errors import EmptyResultError, InputError, IntegrityError
from pipeline.flag.found import Found
from pipeline.randomness import numpy_generator
from pipeline.types import Box, Region, RegionKind

Detect = Callable[..., list[Region]]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "sub").mkdir(parents=True)
    down, across = np.mgrid[0:480, 0:LONGEST]
    for number, name in enumerate(("one.png", "two.jpg", "sub/three.png")):
        noise = np.random.default_rng(number).normal(0, 2, down.shape)
        cv2.imwrite(str(folder / name), np.clip(120 + 25 * np.sin(down / 90 + across / 150) + noise, 0, 255))
    (folder / "images.csv").write_text("path\n")
    return folder


def blind(image: NDArray[Any], *, image_id: str) -> list[Region]:
    return []


def seeing(truth: dict[int, list[tuple[RegionKind, Box]]]) -> Detect:
    """Finds exactly what was planted, told from how the picture sums up."""
    return lambda image, image_id: [Region(image_id, kind, box, "oracle", 1.0) for kind, box in truth[_key(image)]]


def _key(image: NDArray[Any]) -> int:
    return hash(image.tobytes())


def oracle(films: Path, names: Sequence[str], seed: int) -> Detect:
    truth: dict[int, list[tuple[RegionKind, Box]]] = {}
    for name in names:
        image = load(films / name)
        truth[_key(image)] = []
        for kinds in COPIES:
            copy = plant(image, kinds, [], (seed, name))
            truth[_key(copy.image)] = [(cast(RegionKind, mark.kind), mark.box) for _, mark in copy.planted if mark.box]
    return seeing(truth)


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "detect", blind)
    monkeypatch.setattr(trial, "DETECTORS", {"nothing": lambda image, taken: list[Found]()})


def row(summary: pd.DataFrame, measure: str, by: str, value: str) -> dict[str, Any]:
    found = summary[(summary["measure"] == measure) & (summary["by"] == by) & (summary["value"] == value)]
    assert len(found) == 1
    return {str(key): entry for key, entry in found.iloc[0].items()}


def test_a_detector_that_sees_all_scores_one(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "detect", oracle(films, ["one.png", "two.jpg", "sub/three.png"], 0))
    summary = benchmark_detectors(DetectorRequest(films, count=3), tmp_path / "out")
    planted = pd.read_parquet(tmp_path / "out" / "planted.parquet")
    assert set(planted["kind"]) == set(KINDS)
    assert planted["found"].all()
    assert (planted["kind"] == planted["found_kind"]).all()
    for kind in KINDS:
        assert row(summary, "recall", "kind", kind)["rate"] == row(summary, "precision", "kind", kind)["rate"] == 1
    assert row(summary, "false_boxes", "all", "all")["count"] == 0
    assert row(summary, "false_boxes", "all", "all")["n"] == 3 * len(COPIES)


def test_a_detector_that_sees_nothing_scores_zero_and_its_misses_are_shown(films: Path, tmp_path: Path) -> None:
    summary = benchmark_detectors(DetectorRequest(films, count=1), tmp_path / "out")
    total = row(summary, "recall", "all", "printed and placed")
    assert (total["count"], total["rate"], total["low"]) == (0, 0, 0)
    assert total["n"] >= len(KINDS) - 3
    assert pd.isna(row(summary, "precision", "all", "all")["rate"])
    page = (tmp_path / "out" / "table.md").read_text()
    assert f"| all but border, corner | 0/{total['n']} = 0.00" in page
    assert np.asarray(cv2.imread(str(tmp_path / "out" / "misses.png"))).shape[1] == 8 * TILE


def test_a_box_on_nothing_is_false_and_one_that_was_there_before_is_not(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = load(films / "one.png")
    old, stray = Box(300, 200, 330, 220), Box(340, 240, 352, 252)

    def detect(image: NDArray[Any], *, image_id: str) -> list[Region]:
        boxes = [old] if np.array_equal(image, original) else [old, stray]
        return [Region(image_id, "glyph", box, "test", 1.0) for box in boxes]

    monkeypatch.setattr(trial, "detect", detect)
    result = trial.try_image(original, "one.png", 0)
    assert [box["kind"] for box in result.records["boxes"]] == ["glyph"] * len(COPIES)
    for record in result.records["boxes"]:
        marks = [mark for mark in result.records["planted"] if mark["copy"] == record["copy"]]
        touched = any(stray.intersection(Box(*(mark[key] for key in ("x0", "y0", "x1", "y1")))) for mark in marks)
        assert record["false"] is not touched
        assert all(not old.intersection(Box(*(mark[key] for key in ("x0", "y0", "x1", "y1")))) for mark in marks)


def test_the_same_request_is_read_a_broken_off_one_goes_on_and_another_is_refused(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, out = DetectorRequest(films, count=2), tmp_path / "out"
    tried: list[str] = []

    def once(image: NDArray[np.float32], name: str, seed: int) -> trial.Trial:
        if tried:
            raise KeyboardInterrupt
        tried.append(name)
        return trial.try_image(image, name, seed)

    monkeypatch.setattr(run, "try_image", once)
    with pytest.raises(KeyboardInterrupt):
        benchmark_detectors(DetectorRequest(films, count=2, seed=1), tmp_path / "broken")
    monkeypatch.setattr(run, "try_image", trial.try_image)
    first = benchmark_detectors(request, out)
    assert set(ARTIFACTS) <= {path.name for path in out.iterdir()}
    assert not (out / "units").exists()

    benchmark_detectors(DetectorRequest(films, count=2, seed=1), tmp_path / "whole")
    benchmark_detectors(DetectorRequest(films, count=2, seed=1), tmp_path / "broken")
    for name in ARTIFACTS:
        if name not in ("seconds.parquet", "table.md"):
            assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    monkeypatch.setattr(run, "try_image", None)
    pd.testing.assert_frame_equal(benchmark_detectors(request, out), first)
    with pytest.raises(IntegrityError, match="another request"):
        benchmark_detectors(DetectorRequest(films, count=1), out)


def test_samples_are_of_readable_images_and_a_larger_one_holds_a_smaller_one(films: Path) -> None:
    assert sorted(sample_files(films, 9, 0)) == ["one.png", "sub/three.png", "two.jpg"]
    assert sample_files(films, 1, 5) == sample_files(films, 3, 5)[:1]
    assert {sample_files(films, 1, seed)[0] for seed in range(20)} == {"one.png", "sub/three.png", "two.jpg"}


def test_a_folder_without_images_and_a_table_of_missing_files_are_refused(films: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyResultError, match="no x-ray"):
        benchmark_detectors(DetectorRequest(tmp_path / "empty"), tmp_path / "out")
    (tmp_path / "marks.csv").write_text("path,x0,y0,x1,y1,kind\ngone.png,1,1,5,5,word\n")
    with pytest.raises(InputError, match="lists gone"):
        benchmark_detectors(DetectorRequest(films, tmp_path / "marks.csv", count=0), tmp_path / "out")


def test_marks_on_a_copy_do_not_touch_each_other_or_what_is_taken(films: Path) -> None:
    image, taken = load(films / "one.png"), [Box(0, 0, 300, 300)]
    for kinds in COPIES:
        boxes = [mark.box for _, mark in plant(image, kinds, taken, (0, "x")).planted if mark.box] + taken
        assert all(a.intersection(b) == 0 for number, a in enumerate(boxes) for b in boxes[:number])


def test_strata_are_all_drawn_and_planted_as_drawn() -> None:
    drawn = [Stratum.draw("position", numpy_generator(seed)) for seed in range(300)]
    assert {each.height for each in drawn} == set(HEIGHTS)
    assert {(each.polarity, each.rotation, each.background) for each in drawn} == {
        (polarity, rotation, background)
        for polarity in ("bright", "dark")
        for rotation in ("0", "quarter", "other")
        for background in ("corner", "margin", "anatomy")
    }
    assert {Stratum.draw("device", numpy_generator(seed)).polarity for seed in range(30)} == {"bright"}
    image = np.full((LONGEST, LONGEST), 0.5, dtype=np.float32)
    for height in HEIGHTS:
        stratum = Stratum("position", height, "bright", "0", "anatomy")
        _, mark = stratum.planter(numpy_generator(height))(image, numpy_generator(height))
        assert mark.box is not None
        assert height - 2 <= mark.box.height <= 1.75 * height + 3


def test_rates_have_known_intervals() -> None:
    wilson, garwood = rate("planted", "recall", "all", "x", 8, 10), rate("planted", "false_boxes", "all", "x", 3, 10)
    assert (wilson["low"], wilson["high"]) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert (garwood["low"], garwood["high"]) == pytest.approx((0.0619, 0.8767), abs=1e-4)
    assert rate("planted", "recall", "all", "x", 0, 0)["rate"] is None


def test_the_sheet_gives_every_kind_its_turn() -> None:
    tile = np.zeros((TILE, TILE), dtype=np.uint8)
    many = [("arrow", tile)] * 100 + [("word", tile + 255)]
    assert (sheet(many)[-TILE:, -TILE:] == 255).all()
    assert sheet([]).shape[1] == 8 * TILE


def test_summary_is_plain_json(films: Path, tmp_path: Path) -> None:
    summary = benchmark_detectors(DetectorRequest(films, count=1), tmp_path / "out")
    records = json.loads(summary.to_json(orient="records"))
    assert {"truth", "measure", "by", "value", "count", "n", "rate", "low", "high"} == set(records[0])
    empty = {name: pd.DataFrame(columns=list(kinds)).astype(kinds) for name, kinds in run.TABLES.items()}
    assert summarise(empty).empty
