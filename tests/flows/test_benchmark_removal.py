"""`cxr-audit benchmark removal` as it is typed, on phantoms and a classifier of one epoch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.cli.benchmarks import app
from pipeline.benchmark.removal import study
from pipeline.benchmark.removal.request import PAIRS
from pipeline.benchmark.removal.trial import Unit

pytestmark = pytest.mark.slow


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few small phantoms; whatever the classifier says of them will do."""
    monkeypatch.setattr(study, "PHANTOMS", 48)
    monkeypatch.setattr(study, "PHANTOM_SIZE", 64)
    monkeypatch.setattr(study, "SURE", 0.0)
    monkeypatch.setattr(study, "DECISIVE", -1.0)
    monkeypatch.setattr(study, "JUDGE", study.JUDGE.model_copy(update={"epochs": 1}))


@pytest.mark.usefixtures("quick")
def test_tables_pictures_and_an_answer_that_is_kept(tmp_path: Path) -> None:
    command = [
        "removal",
        "--network",
        "small",
        "--input-size",
        "48",
        "--epochs",
        "1",
        "--stride",
        "12",
        "--samples",
        "8",
    ]
    command += ["--iterations", "3", "--explained", "3", "--fill", "blur", "--device", "cpu", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    summary = pd.DataFrame(json.loads(result.stdout))
    assert set(summary["images"]) == {3}
    assert summary[["a", "b", "difference"]].notna().all(axis=None)
    maps = pd.read_parquet(tmp_path / "maps.parquet")
    assert maps.groupby("explainer", sort=False).size().to_dict() == {
        **{name: 9 for pair in PAIRS for name in pair},
        "random": 3,
        "centre": 3,
    }
    text = (tmp_path / "table.md").read_text()
    assert "N = 3 test images" in text
    assert "| sp → sp-g | lime → lime-g | mp → mp-g |" in text
    for name in ("maps.png", "queries.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    unit = Unit.read(next((tmp_path / "units").iterdir()))
    for plain, generative in PAIRS:
        assert unit.queries[plain].shape[1:] == unit.image.shape == (48, 48)
        assert not np.array_equal(unit.queries[plain], unit.queries[generative])
    before = (tmp_path / "summary.parquet").read_bytes()
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert again.exit_code == 0
    assert (tmp_path / "summary.parquet").read_bytes() == before
