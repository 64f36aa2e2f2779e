"""Acceptance, the baseline of a comparison, the conditions of `--fail-on`, and the JUnit file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from flows.__main__ import app
from flows.acceptance import accept, accepted, all_accepted
from flows.cli.errors import Exit
from flows.drift import Baseline, baseline_of
from flows.gate import checks, gate, junit
from flows.history import remember
from flows.workspace import Workspace
from pipeline.errors import InputError

FINDINGS = [
    {"id": "F01", "kind": "position", "class": "opacity", "status": "confirmed", "title": "The classifier reads “ADA”"},
    {"id": "F02", "kind": "side", "class": "opacity", "status": "suspected", "title": "It may read it"},
    {"id": "F03", "kind": "date & time", "class": "opacity", "status": "not-confirmed", "title": "No sign"},
]


def row(about: str, name: str, change: tuple[float, float, float], verdict: str) -> dict[str, Any]:
    side = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 100, "patients": 90}
    difference = dict(zip(("mean", "low", "high"), change, strict=True))
    label = "opacity"
    return {"about": about, "name": name, "class": label, "then": side, "now": side} | {
        "difference": difference,
        "verdict": verdict,
    }


ROWS = [
    row("metric", "auroc", (-0.05, -0.08, -0.02), "shifted"),
    row("metric", "recall", (-0.05, -0.11, 0.01), "no shift seen"),
    row("metric", "f1", (0.05, 0.02, 0.08), "shifted"),
    row("marks", "side", (0.3, 0.2, 0.4), "shifted"),
    row("trait", "noise", (0.1, -0.1, 0.3), "too few to say"),
]


def made(home: Workspace, name: str, baseline: str | None = None, kind: str = "accepted") -> Path:
    run, version = home.runs / name, home.datasets / "tiny" / "v1"
    for folder in (run, version):
        folder.mkdir(parents=True, exist_ok=True)
    meta = {"name": "tiny", "version": "v1", "title": "", "classes": ["clear", "opacity"], "positive": "opacity"}
    (version / "meta.json").write_text(json.dumps({**meta, "size": 8, "dtype": "uint8"}))
    (run / "run.json").write_text(json.dumps({"request": {"dataset": "tiny/v1"}, "artifacts": {}}))
    (run / "findings.json").write_text(json.dumps({"findings": FINDINGS}))
    for name in ("predictions", "regions", "traits"):
        (run / f"{name}.parquet").touch()
    if baseline:
        about = {"run": baseline, "kind": kind, "by": "ann" if kind == "accepted" else None}
        (run / "drift.json").write_text(json.dumps({"baseline": about, "rows": ROWS, "words": []}))
    return run


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_accepting_keeps_what_was_accepted_before(home: Workspace) -> None:
    assert accepted(home, "tiny") is None
    accept(made(home, "one"), " ann ", "first")
    found = accept(made(home, "two"), "bob")
    assert (found.run, found.by) == ("two", "bob")
    assert [(each.run, each.by, each.note) for each in found.history] == [("one", "ann", "first")]
    assert all_accepted(home) == {"tiny": found}


def test_nobody_cannot_accept_and_what_has_no_findings_cannot_be_accepted(home: Workspace) -> None:
    run = made(home, "one")
    with pytest.raises(InputError, match="--by"):
        accept(run, " ")
    (run / "findings.json").unlink()
    with pytest.raises(InputError, match="no findings"):
        accept(run, "ann")


def test_the_accepted_audit_is_the_baseline_else_the_one_before_and_what_was_recorded_stays(home: Workspace) -> None:
    one, two, three = (made(home, name) for name in ("one", "two", "three"))
    assert baseline_of(one) is None
    for run in (one, two):
        remember(run, "tiny")
    assert baseline_of(three) == Baseline("two", "previous")
    accept(one, "ann")
    assert baseline_of(three) == Baseline("one", "accepted", "ann")
    made(home, "three", "two", "previous")
    (home.path / "accepted" / "tiny.json").unlink()
    remember(made(home, "four"), "tiny")
    assert baseline_of(three) == Baseline("two", "previous")
    accept(three, "ann")
    assert baseline_of(three) == Baseline("two", "previous")


def test_an_audit_of_other_classes_is_no_baseline(home: Workspace) -> None:
    one, two = made(home, "one"), made(home, "two")
    accept(one, "ann")
    meta = {"name": "tiny", "version": "v2", "title": "", "classes": ["clear", "other"], "positive": "other"}
    (home.datasets / "tiny" / "v2").mkdir()
    (home.datasets / "tiny" / "v2" / "meta.json").write_text(json.dumps({**meta, "size": 8, "dtype": "uint8"}))
    (two / "run.json").write_text(json.dumps({"request": {"dataset": "tiny/v2"}, "artifacts": {}}))
    assert baseline_of(two) is None


@pytest.mark.parametrize(
    ("fail_on", "at_least", "failed"),
    [
        ([], 0.0, []),
        (["confirmed"], 0.0, ["F01 position (opacity)"]),
        (["suspected"], 0.0, ["F01 position (opacity)", "F02 side (opacity)"]),
        (["metric-drop"], 0.0, ["AUROC on test images"]),
        (["metric-drop"], 0.06, []),
        (["drift"], 0.0, ["AUROC on test images", "F1 on test images", "marks: side, opacity"]),
        (["confirmed", "metric-drop"], 0.0, ["F01 position (opacity)", "AUROC on test images"]),
    ],
)
def test_what_fails(home: Workspace, fail_on: list[str], at_least: float, failed: list[str]) -> None:
    accept(made(home, "one"), "ann")
    assert [check.name for check in gate(made(home, "two", "one"), fail_on, at_least)] == failed


def test_without_an_accepted_audit_a_drop_cannot_be_judged(home: Workspace) -> None:
    run = made(home, "two", "one", "previous")
    with pytest.raises(InputError, match="cxr-audit accept RUN"):
        checks(run, ["metric-drop"])
    accept(made(home, "three"), "ann")
    with pytest.raises(InputError, match="Repeat its audit"):
        checks(run, ["drift"])


def test_an_audit_without_findings_is_unfinished_not_damaged(home: Workspace) -> None:
    run = made(home, "one")
    (run / "findings.json").unlink()
    with pytest.raises(InputError, match="Finish its audit first"):
        gate(run, ["confirmed"])


def test_the_accepted_audit_passes(home: Workspace) -> None:
    run = made(home, "two", "one")
    accept(run, "ann")
    assert gate(run, ["metric-drop", "drift"]) == []


def test_the_junit_file_is_as_ci_servers_read_it(home: Workspace) -> None:
    """Elements, attributes and counts by the rules of Jenkins' junit-10.xsd."""
    accept(made(home, "one"), "ann")
    run = made(home, "two", "one")
    text = junit(run, checks(run, ["confirmed", "drift"]))
    root = ElementTree.fromstring(text)
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    assert suite.get("name")
    assert [child.tag for child in suite] == ["properties"] + ["testcase"] * 8
    cases = suite.findall("testcase")
    assert all(set(case.attrib) == {"classname", "name"} and len(case) <= 1 for case in cases)
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    assert {child.tag for case in cases for child in case} <= {"failure", "error", "skipped"}
    assert all(set(child.attrib) <= {"message", "type"} for case in cases for child in case)
    for element in (root, suite):
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == ("8", "4", "0")
    assert suite.get("skipped") == "1"
    assert "date &amp; time" in text
    assert "ADA" not in text, "what is printed on images does not reach a CI server"
    assert str(home.path) not in text
    assert text == junit(run, checks(run, ["confirmed", "drift"]))


def test_the_command_leaves_with_3_and_writes_the_file(home: Workspace, tmp_path: Path) -> None:
    made(home, "one")
    report, runner = tmp_path / "out" / "audit.xml", CliRunner()
    asked = ["gate", "one", "--workspace", str(home.path), "--junit", str(report)]
    assert runner.invoke(app, asked).exit_code == Exit.OK
    assert runner.invoke(app, [*asked, "--fail-on", "confirmed", "--fail-on", "suspected"]).exit_code == Exit.FINDINGS
    assert report.exists()
    answer = runner.invoke(app, [*asked[:-1], str(report / "below.xml")])
    assert isinstance(answer.exception, InputError)
    assert "audit.xml is no folder" in str(answer.exception)
    done = runner.invoke(app, ["accept", "one", "--by", "ann", "--note", "good", "--workspace", str(home.path)])
    assert "accepted by ann" in done.stdout
    listed = runner.invoke(app, ["accept", "--list", "--json", "--workspace", str(home.path)])
    assert json.loads(listed.stdout)["tiny"]["note"] == "good"


def test_it_says_what_was_judged_and_which_conditions_there_are(home: Workspace) -> None:
    accept(made(home, "one"), "ann")
    made(home, "two", "one")
    runner, asked = CliRunner(), ["gate", "two", "--workspace", str(home.path)]
    nothing = runner.invoke(app, asked)
    assert nothing.exit_code == Exit.OK
    assert "Run two of tiny: 3 findings (1 confirmed, 1 not-confirmed, 1 suspected), 5 comparisons" in nothing.stderr
    assert "1 of them with too few patients to say" in nothing.stderr
    assert "give --fail-on confirmed, suspected, metric-drop or drift." in nothing.stderr
    some = runner.invoke(app, [*asked, "--fail-on", "suspected", "--fail-on", "metric-drop"])
    assert some.exit_code == Exit.FINDINGS
    assert "Failed: suspected (2 checks), metric-drop (1 check)." in some.stderr
    none = runner.invoke(app, [*asked, "--fail-on", "metric-drop", "--metric-drop-at-least", "0.5"])
    assert none.exit_code == Exit.OK
    assert "Passed: metric-drop." in none.stderr


def test_drift_of_printed_words_fails_without_quoting_them(home: Workspace) -> None:
    accept(made(home, "one"), "ann")
    run = made(home, "two", "one")
    words = [row("text", f"word “{name}”", (0.3, 0.2, 0.4), "shifted") for name in ("ADA", "EVE")]
    drift = json.loads((run / "drift.json").read_text())
    (run / "drift.json").write_text(json.dumps({**drift, "rows": [*ROWS[4:], *words]}))
    (failed,) = gate(run, ["drift"])
    assert (failed.name, failed.failure) == ("printed texts, opacity", "2 of 2 printed texts shifted")
    assert gate(run, ["metric-drop", "confirmed"])[0].group == "finding"
    assert "ADA" not in junit(run, checks(run, ["drift"]))
