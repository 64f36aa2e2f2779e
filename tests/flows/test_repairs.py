"""The comparison of repairs: cost, table and page; and (slow) the whole on the tiny study, killed and resumed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flows.repairs import Comparison
from flows.repairs_page import bars, markdown, method, render_repairs, table
from flows.tasks.repairs import Made
from pipeline.artifacts import read_json
from pipeline.cleanse.repairs import default_recipe
from pipeline.config import TrainConfig
from tests.flows.conftest import BIN


def _value(mean: float, spread: float = 0.05) -> dict[str, Any]:
    return {"mean": mean, "low": mean - spread, "high": mean + spread, "undefined_resamples": 0}


def _line(rank: int, repair: str, mean: float, *, tied: bool, control: bool = False) -> dict[str, Any]:
    return {
        **{"rank": rank, "repair": repair, "is_control": control, "gain": _value(mean), "by_seed": [mean] * 3},
        **{"helps": "yes" if mean > 0.05 else "unclear", "by_condition": {"marker_swapped": _value(mean)}},
        **{"to_next": _value(0.01) if tied else None, "to_best": None, "tied_with_next": tied},
        **{"tied_with_best": False},
    }


@pytest.fixture
def result() -> dict[str, Any]:
    """repairs.json of three repairs on one condition."""
    arms = ("none", "fill", "control")
    condition = {"n": 98, "patients": 90, **{arm: {"auroc": _value(0.6)} for arm in arms}}
    about = {"options": {}, "facts": [], "actions": [], "is_control": False}
    fact = {"action": "fill", "version": "abc", "lungs_not_found": 2, "images": 1580}
    return {
        **{"run": "r1", "dataset": "study/v0", "train": TrainConfig().model_dump(), "seeds": [0, 1, 2]},
        "repairs": [
            {"name": "none", **about},
            {"name": "fill", **about, "actions": [{"action": "fill", "fill": None, "decoys": True}], "facts": [fact]},
            {"name": "control", **about, "options": {"marks": 0.8}, "is_control": True},
        ],
        "notes": [],
        "words": ["fill gives back +0.20 & more."],
        "comparison": {
            "conditions": {"marker_swapped": condition},
            **{"baseline": "none", "positive": "covid", "arms": list(arms), "interval": {"method": "bootstrap"}},
        },
        "ranking": {
            "baseline": "none",
            "conditions": ["marker_swapped"],
            "seeds": 3,
            "interval": {"method": "bootstrap", "confidence": 0.95, "resamples": 1000},
            "ranking": [_line(1, "fill", 0.2, tied=True), _line(2, "control", 0.0, tied=False, control=True)],
        },
    }


def test_the_cost_is_known_before_anything_runs() -> None:
    asked = Comparison(recipe=default_recipe(), train=TrainConfig(), seeds=(0, 1, 2))
    assert asked.trainings == 27
    assert "9 repairs x 3 seeds = 27 trainings of resnet18 at 224 pixels, at most 12 epochs" in asked.cost


def test_the_table_ranks_marks_ties_and_controls_and_ends_with_the_baseline(result: dict[str, Any]) -> None:
    header, first, second, last = table(result)
    assert header == ("", "repair", "gives back", "says", "against next", "AUROC marker-swapped")
    assert first == ("1", "fill", "+0.20 (+0.15 to +0.25)", "helps", "+0.01 (−0.04 to +0.06), tied", "0.60 (0.55–0.65)")
    assert second[:4] == ("2", "control (control)", "+0.00 (−0.05 to +0.05)", "not certain")
    assert last[:3] == ("–", "none", "–")


def test_the_markdown_holds_words_table_and_method(result: dict[str, Any]) -> None:
    text = markdown(result)
    assert "* fill gives back +0.20 & more." in text
    assert text.count("\n| ") == 5
    assert method(result) in text
    assert "marker-swapped 98 images of 90 patients" in text


def test_the_page_is_whole_escaped_and_without_network(result: dict[str, Any]) -> None:
    page = render_repairs(result)
    assert "+0.20 &amp; more." in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "lungs not found 2, images 1,580" in page
    assert "fill (decoys True)" in page


def test_bars_lie_between_their_ends_in_order(result: dict[str, Any]) -> None:
    drawn = bars(result["ranking"]["ranking"])
    first, second = drawn["lines"]
    assert 0 <= second["low"] < second["mean"] == drawn["zero"] < first["mean"] < first["high"] <= 100


def test_a_repair_that_changes_nothing_is_the_baseline() -> None:
    none, same, other = (
        Made(name, Path("v0"), options, {"raw": Path("v0")}, ())
        for name, options in (("none", {}), ("drop-duplicates", {}), ("marks", {"marks": 0.8}))
    )
    assert same.same_as(none)
    assert not other.same_as(none)


def _command(*arguments: str) -> list[str]:
    return [str(BIN / "cxr-audit"), *arguments]


def _run(arguments: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(_command(*arguments), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 4), done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_comparison_resumes_and_ends_with_the_same_bytes(
    tmp_path: Path, tiny_manifest: Path, prefect_environment: dict[str, str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "repairs:\n"
        "  - {name: black-out, actions: [{action: black-out-outside-lungs}]}\n"
        "  - {name: both, actions: [{action: fill}, {action: harmonise}, {action: randomise-marks}]}\n"
        "  - {name: twins, actions: [{action: drop-duplicates}]}\n"
    )
    audited = tmp_path / "calm"
    _run(("audit", str(tiny_manifest), "--workspace", str(audited), "--preset", "quick"), prefect_environment)
    shutil.copytree(audited, tmp_path / "killed")
    ends = []
    for place, killed in ((audited, False), (tmp_path / "killed", True)):
        asked = ["compare", "last", "--workspace", str(place), "--repairs", str(recipe), "--epochs", "2", "--json"]
        if killed:
            process = subprocess.Popen(
                _command(*asked), env=prefect_environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while len([*place.glob("models/*/*/models/model.pt")]) < 4 and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
        end = json.loads(_run(asked, prefect_environment))
        run = Path(end["run"])
        ends.append((run / "repairs.json").read_bytes())
        assert json.loads(_run(asked, prefect_environment))["worked"] == 0
    assert ends[0] == ends[1]
    result = read_json(run / "repairs.json")
    assert {line["repair"] for line in result["ranking"]["ranking"]} == {"black-out", "both", "twins"}
    assert any("all printed marks" in sentence for sentence in result["words"])
    twins = next(line for line in result["ranking"]["ranking"] if line["repair"] == "twins")
    assert twins["gain"]["mean"] == 0
    flat = pd.read_parquet(run / "repairs.parquet")
    assert set(flat["repair"]) == {"none", "black-out", "both", "twins"}
    assert {"repairs.html", "repairs.md"} <= {path.name for path in run.iterdir()}
