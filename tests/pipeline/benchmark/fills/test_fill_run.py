"""The fill benchmark on grainy pictures: its numbers, its files, and how it goes on after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from pipeline.benchmark.fills import FillRequest, benchmark_fills, probes
from pipeline.benchmark.fills import run as module
from pipeline.benchmark.fills.run import ARTIFACTS, PLACES
from pipeline.benchmark.fills.subjects import Subject, of_folder
from pipeline.benchmark.fills.summary import SUMMARY
from pipeline.errors import EmptyResultError, InputError, IntegrityError
from pipeline.types import Box

REQUEST = FillRequest(("median", "telea"))


def subjects(count: int = 24) -> list[Subject]:
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        grain = ndimage.gaussian_filter(generator.standard_normal((96, 112)), 0.7)
        pixels = (100 + np.linspace(0, 60, 112) + 12 * grain).clip(0, 255).astype(np.uint8)
        marks = [("side", Box(8, 8, 20, 16))] if number % 2 else []
        found.append(Subject(f"id{number:02d}", None, marks, pixels))
    return found


@pytest.fixture(scope="module")
def done(short_training: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("fills") / "out"
    return out, benchmark_fills(REQUEST, subjects(), out)


@pytest.fixture(scope="module", autouse=True)
def short_training() -> Iterator[None]:
    """How good the network probe gets is tested beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "EPOCHS", 1)
        yield


def row(summary: pd.DataFrame, fill: str, size: str) -> pd.Series:
    return summary[(summary["fill"] == fill) & (summary["size"] == size)].iloc[0]


def test_files_and_columns(done: tuple[Path, pd.DataFrame]) -> None:
    out, summary = done
    assert sorted(path.name for path in out.iterdir()) == sorted((*ARTIFACTS, "run.json"))
    assert list(summary.columns) == list(SUMMARY)
    places = pd.read_parquet(out / "places.parquet")
    assert list(places.columns) == list(PLACES)
    assert places.groupby(["fill", "size"]).size().tolist() == [24] * 4


def test_fills_without_grain_are_recognised_and_untouched_places_are_not(done: tuple[Path, pd.DataFrame]) -> None:
    _, summary = done
    for size in ("mark", "large"):
        assert row(summary, "median", size)["texture"] > 0.95
        assert 0.25 < row(summary, "untouched", size)["texture"] < 0.75
        assert pd.isna(row(summary, "untouched", size)["mae"])


def test_errors_on_a_slope_with_grain(done: tuple[Path, pd.DataFrame]) -> None:
    """The median of a ring misses the slope, the more the larger the hole; telea follows it."""
    _, summary = done
    assert row(summary, "median", "large")["mae"] > row(summary, "median", "mark")["mae"] + 2
    assert row(summary, "telea", "large")["mae"] < row(summary, "median", "large")["mae"]
    assert row(summary, "telea", "mark")["mae_low"] < row(summary, "telea", "mark")["mae"]
    assert row(summary, "telea", "mark")["images"] == 24


def test_the_table_says_how_many(done: tuple[Path, pd.DataFrame]) -> None:
    text = (done[0] / "table.md").read_text()
    assert "24 holes on 24 of 24 x-rays" in text
    assert "24 filled and 24 untouched places of 24 patients" in text
    assert text.count("| telea |") == 2


def test_the_same_request_is_read_and_another_one_refused(done: tuple[Path, pd.DataFrame]) -> None:
    out, summary = done
    before = (out / "run.json").read_bytes()
    pd.testing.assert_frame_equal(benchmark_fills(REQUEST, subjects(), out), summary)
    assert (out / "run.json").read_bytes() == before
    with pytest.raises(IntegrityError, match="belongs to another request"):
        benchmark_fills(FillRequest(("mean",)), subjects(), out)


def test_an_interrupted_run_goes_on(
    done: tuple[Path, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def stop(stage: str, count: int, total: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        benchmark_fills(REQUEST, subjects(), tmp_path / "out", progress=stop)
    filled = module._Bench.filled

    def counted(self: module._Bench, name: str, painter: object, size: str) -> dict[str, object]:
        calls.append(f"{name} {size}")
        return filled(self, name, painter, size)

    monkeypatch.setattr(module._Bench, "filled", counted)
    summary = benchmark_fills(REQUEST, subjects(), tmp_path / "out")
    assert calls == ["median large", "telea mark", "telea large"]
    untimed = [name for name in SUMMARY if name != "milliseconds"]
    pd.testing.assert_frame_equal(summary[untimed], done[1][untimed])


def test_nothing_to_take_a_shape_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmptyResultError, match="No mark hole could be made in 3 x-rays"):
        benchmark_fills(REQUEST, subjects(1) * 3, tmp_path / "out")
    with pytest.raises(InputError, match="There is no fill 'tela'"):
        benchmark_fills(FillRequest(("tela",)), subjects(), tmp_path / "other")


def test_a_folder_is_sampled_and_what_is_no_image_left_out(tmp_path: Path) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((60, 80), 40 * number, dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    few, more = list(of_folder(tmp_path, 2, 0)), list(of_folder(tmp_path, 10, 0))
    assert len(more) == 4
    assert [subject.image_id for subject in few] == [subject.image_id for subject in more[:2]]
    assert all(subject.picture().max() <= 1 for subject in more)
