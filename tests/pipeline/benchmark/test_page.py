"""What the page says about numbers made by hand."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from models import ModelSpec
from pipeline.benchmark.columns import BIAS, COLUMNS
from pipeline.benchmark.page import PageInput, render_page
from pipeline.benchmark.table import summarise
from pipeline.dataset import DatasetMeta

SPEC = ModelSpec("small", ("a", "b"), (32, 32))
META = DatasetMeta("toy", "v1", "Toy <b>data</b>", ("a", "b"), "b", 32, "uint8")
FACTS = {
    "igos_deletion": (0.5, 0.3, 0.9),
    "igos_insertion": (0.5, 0.8, 0.1),
    "saliency_metric": (0.25, 0.25, 0.25),
    "forward": (1234.4, 1, 0),
}
"""Metric -> its value for iGOS++, a better method, and chance."""


@pytest.fixture
def content() -> PageInput:
    parts = []
    for place, name in enumerate(("igos++", "grad-cam", "random")):
        table = pd.DataFrame({"explainer": name, "image_id": ["x", "y", "z"], "patient_id": ["1", "2", "3"]})
        for column in COLUMNS:
            value = FACTS[column.key][place] if column.key in FACTS else None
            table[column.key] = pd.array([value] * 3, dtype="Float64")
        table["error"], table["metric_errors"] = None, None
        parts.append(table)
    measured = pd.concat(parts, ignore_index=True)
    summary = summarise(measured, [column.key for column in COLUMNS])
    for column in BIAS:
        summary[column.key] = pd.array([0.125] * 3, dtype="Float64")
    summary["bias_error"] = pd.array([None] * 3, dtype="string")
    timings = pd.DataFrame(
        {"explainer": summary["explainer"], "ms_per_image": 12.0, "peak_bytes": [1_000_000, None, 0]}
    )
    return PageInput(META, SPEC, {"explained": 3}, summary, timings, measured, b"\x89PNG", "cpu", 8)


def cells(page: str, head: str, row: str) -> list[str]:
    """Text of the cells of `row` in the table of section `head`."""
    section = page.split(f"<h2>{head}</h2>")[1].split("</section>")[0]
    (line,) = [part for part in section.split("<tr")[1:] if f">{row}</th>" in part]
    return [re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", line)]


def test_numbers_carry_their_n_and_what_was_not_measured_is_absent(content):
    page = render_page(content)
    deletion, insertion, _ = cells(page, "Does the map name what the classifier uses?", "igos++")
    assert re.sub(r"\s+", " ", deletion) == "0.50 (0.50–0.50) N&nbsp;=&nbsp;3"
    assert "0.50" in insertion
    assert "Pointing game" not in page.split('id="protocols"')[0]
    assert "Pointing game" in page.split("Not measured here")[1]


@pytest.mark.parametrize(("row", "way"), [("grad-cam", "up"), ("random", "down")])
def test_better_and_worse_follow_the_direction_of_the_metric(content, row, way):
    section = render_page(content).split("<h2>Does the map name what the classifier uses?</h2>")[1].split("</table>")[0]
    (line,) = [part for part in section.split("<tr")[1:] if f">{row}</th>" in part]
    assert re.findall(r'<span class="small (up|down)">', line) == [way, way]


def test_no_difference_is_grey(content):
    section = render_page(content).split("<h2>Does the map name what the classifier uses?</h2>")[1].split("</table>")[0]
    (line,) = [part for part in section.split("<tr")[1:] if ">grad-cam</th>" in part]
    assert re.findall(r'<span class="small (\w+)">Δ', line) == ["up", "up", "faint"]


def test_arrows_say_which_way_is_better(content):
    page = render_page(content)
    assert "Deletion, iGOS ↓</th>" in page
    assert "Insertion, iGOS ↑</th>" in page


def test_bias_has_no_interval_and_memory_may_be_unknown(content):
    page = render_page(content)
    assert cells(page, "Does the map favour bright pixels whatever they mean?", "random") == ["0.125"] * 4
    assert cells(page, "What does a map cost?", "igos++") == ["1,234", "–", "12", "1"]
    assert cells(page, "What does a map cost?", "grad-cam")[-2:] == ["12", "–"]


def test_trivial_maps_stand_apart(content):
    page = render_page(content)
    methods, trivial = page.split("<h2>What does a map cost?</h2>")[1].split("Trivial baselines")[:2]
    assert [f">{name}</th>" in methods for name in ("igos++", "grad-cam", "random")] == [True, True, False]
    assert ">random</th>" in trivial


def test_failures_are_counted(content):
    content.measured.loc[:2, "error"] = "ValueError: <no>"
    content.measured.loc[3, "metric_errors"] = "SF: bad"
    content.summary.loc[2, "bias_error"] = "input bias: bad"
    section = render_page(content).split('id="failures"')[1].split("</section>")[0]
    found = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in section.split("<tr>")[2:]]
    assert found == [
        ["igos++", "ValueError: &lt;no&gt;", "3"],
        ["grad-cam", "SF: bad", "1"],
        ["random", "input bias: bad", "–"],
    ]


def test_the_page_is_self_contained_and_escaped(content):
    page = render_page(content)
    assert "Toy &lt;b&gt;data&lt;/b&gt;" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert render_page(content) == page
