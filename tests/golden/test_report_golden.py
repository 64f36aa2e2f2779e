"""The report's numbers on phantoms, against those kept in phantom_comparison.json.

phantom_predictions.csv holds what the nine classifiers of one run of `cxr-audit demo` said of its generated images, so
that no training, which differs between machines, stands between code and numbers. When numbers are meant to change:
``python tests/golden/test_report_golden.py`` writes them anew, and the difference is reviewed like code.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.config import CompareConfig
from pipeline.dataset import DatasetMeta
from pipeline.report import METRICS, ReportInput, compare, render_report

HERE = Path(__file__).parent
CLASSES = ("clear", "opacity")
ARMS = ("before", "after", "control")
Golden = dict[str, list[float] | float]


def phantom_comparison() -> dict[str, Any]:
    wide = pd.read_csv(HERE / "phantom_predictions.csv")
    parts = [
        wide.iloc[:, :8].assign(arm=arm, seed=seed, p_opacity=wide[f"{arm}_{seed}"], p_clear=1 - wide[f"{arm}_{seed}"])
        for arm in ARMS
        for seed in range(3)
    ]
    return compare(pd.concat(parts), "opacity", CLASSES, CompareConfig(bootstrap=500))


def numbers(comparison: dict[str, Any]) -> Golden:
    """Flat, by the names that the page gives its cells; [mean, low, high], or a p value or threshold."""
    found: Golden = {}
    for name, condition in comparison["conditions"].items():
        for arm in ARMS:
            for metric in (*METRICS, "ece", "brier"):
                found[f"{name}/{arm}/{metric}"] = [condition[arm][metric][key] for key in ("mean", "low", "high")]
        for title, difference in condition["differences"].items():
            for metric in METRICS:
                found[f"{name}/{title}/{metric}"] = [difference[metric][key] for key in ("mean", "low", "high")]
            found[f"{name}/{title}/mcnemar"] = condition["tests"][title]["mcnemar"]["pooled"]["p"]
    for arm, chosen in comparison["thresholds"].items():
        found |= {f"threshold/{arm}/{seed}": each["threshold"] for seed, each in enumerate(chosen["by_seed"])}
    return found


@pytest.fixture(scope="module")
def comparison() -> dict[str, Any]:
    return phantom_comparison()


@pytest.fixture(scope="module")
def golden() -> Golden:
    kept: Golden = json.loads((HERE / "phantom_comparison.json").read_text(encoding="utf-8"))
    return kept


def test_comparison_gives_the_golden_numbers(comparison: dict[str, Any], golden: Golden) -> None:
    found = numbers(comparison)
    assert set(found) == set(golden)
    for name, value in found.items():
        assert value == pytest.approx(golden[name], abs=1e-9), name


def test_page_shows_the_golden_numbers(comparison: dict[str, Any], golden: Golden) -> None:
    images = pd.DataFrame({"label": CLASSES, "source": "a", "split": "test", "patient_id": ["p", "q"]})
    meta = DatasetMeta("phantom", "v0", "Phantoms", CLASSES, "opacity", 64, "uint8")
    reader = _Cells()
    reader.feed(render_report(ReportInput("run", meta, images, [], comparison=comparison)))
    expected = {name: value for name, value in golden.items() if not name.startswith("threshold")}
    assert set(reader.cells) == set(expected)
    for name, text in reader.cells.items():
        shown = [float(part) for part in re.findall(r"\d*\.\d+|\d+", text)]
        digits = len(text.split("(")[0].partition(".")[2].strip())
        kept = expected[name]
        assert shown == pytest.approx(
            [abs(value) for value in kept] if isinstance(kept, list) else [kept],
            abs=0.5 * 10.0**-digits + 1e-9,
        ), f"{name}: {text}"
        signs = [value < 0 and round(value, digits) != 0 for value in kept] if isinstance(kept, list) else [False]
        assert text.count("−") == sum(signs), f"{name}: {text}"


def test_the_repair_shows_on_swapped_marks_and_not_on_raw_images(golden: Golden) -> None:
    swapped, raw = golden["marker_swapped/after-before/auroc"], golden["raw/after-before/auroc"]
    assert isinstance(swapped, list)
    assert isinstance(raw, list)
    assert swapped[1] > 0 > raw[2]


class _Cells(HTMLParser):
    """Text of every cell that names its number."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: dict[str, str] = {}
        self._at: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._at = dict(attrs).get("data-at") if tag == "td" else None

    def handle_endtag(self, tag: str) -> None:
        self._at = None

    def handle_data(self, data: str) -> None:
        if self._at:
            self.cells[self._at] = self.cells.get(self._at, "") + data


if __name__ == "__main__":
    text = json.dumps(numbers(phantom_comparison()), indent=1, sort_keys=True)
    one_line = re.sub(r"\[\s+([^\]]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    (HERE / "phantom_comparison.json").write_text(one_line + "\n", encoding="utf-8")
