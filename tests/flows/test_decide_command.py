"""`decide` and `decisions`: the review without the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from flows.cli import decisions
from flows.workspace import DATABASE_ENVIRONMENT, Workspace
from pipeline.errors import InputError
from tests.pipeline.review.study import Study, phantom_workspace

Call = Callable[..., Result]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.delenv(DATABASE_ENVIRONMENT, raising=False)
    return phantom_workspace(tmp_path / "workspace")


@pytest.fixture
def call(study: Study) -> Call:
    app = typer.Typer()
    decisions.register(app)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--workspace", str(study.workspace)])

    return call


def exported(call: Call, form: str, out: Path, *options: str) -> str:
    assert call("decisions", "export", "last", "--format", form, "--out", str(out), *options).exit_code == 0
    return out.read_bytes().decode()


def test_decisions_are_superseded_never_overwritten(call: Call, study: Study, tmp_path: Path) -> None:
    assert call("decide", "last", "F01", "unsure", "--reviewer", "ann").exit_code == 0
    said = call("decide", "last", "F01", "accepted", "--reviewer", "bob", "--comment", "=a stamp")
    assert said.stdout == "F01: accepted by bob\n"
    assert Workspace(study.workspace).database.exists()
    rows = list(csv.DictReader(io.StringIO(exported(call, "csv", tmp_path / "d.csv"))))
    assert [(row["subject_id"], row["verdict"], row["reviewer"]) for row in rows] == [
        ("F01", "unsure", "ann"),
        ("F01", "accepted", "bob"),
    ]
    assert rows[1]["comment"] == "'=a stamp"  # no formula in a spreadsheet
    assert rows[1]["software"].startswith("cxr-audit")
    told = json.loads(exported(call, "json", tmp_path / "d.json"))
    assert [each["comment"] for each in told["decisions"]] == ["", "=a stamp"]
    shown = call("decisions", "list", "last").stdout
    assert "accepted" in shown
    assert "unsure" not in shown


def test_the_regions_are_exported_with_their_verdicts(call: Call, tmp_path: Path) -> None:
    call("decide", "last", "F01", "accepted", "--reviewer", "ann")
    made = json.loads(exported(call, "coco", tmp_path / "r.json"))
    verdicts = {each["attributes"].get("verdict") for each in made["annotations"]}
    assert verdicts == {"accepted", None}
    assert sum(each["attributes"]["removed"] for each in made["annotations"]) == 16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("last", "F1", "accepted"), "F1"),
        (("last", "F01", "accept"), "Did you mean 'accepted'"),
        (("last", "F03", "accepted"), "F03"),  # image-wide: nothing could be removed
        (("nowhere", "F01", "accepted"), "0 runs"),
        (("last", "F01", "accepted", "--reviewer", "<b>"), "name"),
        (("last", "F01", "accepted", "--comment", "x" * 2001), "comment"),
    ],
)
def test_what_cannot_be_decided_is_said(call: Call, arguments: tuple[str, ...], words: str) -> None:
    done = call("decide", *arguments)
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)


def test_another_database_is_another_review(call: Call, study: Study, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.sqlite"
    assert call("decide", "last", "F01", "keep", "--reviewer", "ann", "--database", str(elsewhere)).exit_code == 0
    assert not Workspace(study.workspace).database.exists()
    assert "keep" in exported(call, "csv", tmp_path / "a.csv", "--database", str(elsewhere))
    assert "keep" not in exported(call, "csv", tmp_path / "b.csv")
