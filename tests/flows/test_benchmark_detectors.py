"""`cxr-audit benchmark detectors` as it is typed, on one film with one word."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli.benchmarks import app
from pipeline.benchmark.planting import planter


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with a smooth film that bears PORTABLE, and the table that says so."""
    down, across = np.mgrid[0:480, 0:480] / 480
    ground = (0.25 + 0.4 * np.exp(-((across - 0.5) ** 2 + (down - 0.6) ** 2) / 0.15)).astype(np.float32)
    film, mark = planter("word", text="PORTABLE", size=0.05)(ground, np.random.default_rng(0))
    folder = tmp_path / "films"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.rint(255 * film))
    if mark.box is None:
        raise AssertionError("a word has a place")
    corners = ",".join(str(value) for value in mark.box.as_tuple())
    (tmp_path / "marks.csv").write_text(f"path,x0,y0,x1,y1,kind\na.png,{corners},word\n")
    return folder


def test_marks_boxed_by_eye_are_scored_and_the_answer_is_json_and_a_page(films: Path, tmp_path: Path) -> None:
    command = ["detectors", "--images", str(films), "--marks", str(films.parent / "marks.csv"), "--count", "0"]
    command += ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    rows = [row for row in json.loads(result.stdout) if row["measure"] == "recall" and row["value"] == "all marks"]
    assert [(row["count"], row["n"]) for row in rows] == [(1, 1)]
    assert "1/1 = 1.00" in (tmp_path / "out" / "table.md").read_text()
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert again.exit_code == 0
    assert "table.md" in again.stdout
