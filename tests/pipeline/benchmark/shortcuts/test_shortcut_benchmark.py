"""The whole benchmark on four trials: it runs, resumes and says what it found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.benchmark.shortcuts import ShortcutRequest, benchmark_shortcuts, grid
from pipeline.errors import IntegrityError

pytestmark = pytest.mark.slow
REQUEST = ShortcutRequest(subset="ci", seed=1)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "out"
    benchmark_shortcuts(REQUEST, folder, workers=2)
    return folder


def untimed(record: str) -> list[str]:
    return [line for line in record.splitlines() if "seconds" not in line]


def test_strong_shortcuts_are_confirmed_and_controls_are_not(out: Path):
    trials = pd.read_parquet(out / "trials.parquet").set_index("id")
    assert len(trials) == len(grid(1, "ci"))
    planted = trials[trials["arm"] == "planted"]
    assert planted["learnt"].all()
    assert planted["confirmed"].all()
    assert (planted["won_auroc"] > 0.5).all()
    assert not trials[trials["arm"] != "planted"]["confirmed"].any()


def test_finished_trials_are_not_run_again_and_missing_ones_are(out: Path, tmp_path: Path):
    shutil.copytree(out, tmp_path / "out")
    first, *others = sorted((tmp_path / "out" / "trials").glob("*.json"))
    told = first.read_text()
    first.unlink()
    before = {path: path.stat().st_mtime_ns for path in others}
    benchmark_shortcuts(REQUEST, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in others} == before
    without_times = [
        [line for line in text.splitlines() if "seconds" not in line] for text in (told, first.read_text())
    ]
    assert without_times[0] == without_times[1]
    assert not [path for path in (tmp_path / "out" / "trials").iterdir() if path.is_dir()]


def test_a_folder_of_another_request_is_refused(out: Path):
    with pytest.raises(IntegrityError, match="another request"):
        benchmark_shortcuts(ShortcutRequest(subset="ci", seed=2), out)
