"""`cxr-audit benchmark shortcuts` as it is typed: what is asked of the benchmark, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.cli.benchmarks import app
from pipeline.benchmark import shortcuts
from pipeline.benchmark.shortcuts import ShortcutRequest


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ShortcutRequest, Path, int]]:
    """Requests that reach the benchmark, which is not run."""
    requests = []

    def benchmark(request: ShortcutRequest, out: Path, *, workers: int, progress: object) -> pd.DataFrame:
        requests.append((request, out, workers))
        out.mkdir()
        (out / "table.md").write_text("| rates |\n")
        return pd.DataFrame({"id": ["none-r0"]})

    monkeypatch.setattr(shortcuts, "benchmark_shortcuts", benchmark)
    return requests


def test_options_become_the_request(asked: list, tmp_path: Path):
    out = tmp_path / "out"
    options = ["--dataset", str(tmp_path), "--classes", "well, sick", "--source", "a", "--source", "b", "--seed", "5",
               "--workers", "3", "--out", str(out)]  # fmt: skip
    result = CliRunner().invoke(app, ["shortcuts", *options])
    assert result.exit_code == 0, result.output
    assert asked == [(ShortcutRequest(tmp_path, ("well", "sick"), ("a", "b"), 400, "full", 5), out, 3)]
    assert "| rates |" in result.output


def test_without_a_data_set_phantoms_are_generated(asked: list, tmp_path: Path):
    result = CliRunner().invoke(app, ["shortcuts", "--subset", "ci", "--json", "--out", str(tmp_path / "out")])
    assert asked[0][0] == ShortcutRequest(subset="ci")
    assert json.loads(result.stdout) == [{"id": "none-r0"}]
