"""What comes from manifests, tables and servers stays text, and leads nowhere that nobody named."""

from __future__ import annotations

import email.message
import functools
import io
from pathlib import Path
from types import SimpleNamespace
from urllib.request import Request

import pandas as pd
import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

import flows.cli as commands_package
from flows.__main__ import app as commands
from flows.cli import cleanse, profile, repairs
from flows.cli.datasets import app
from flows.console import cell
from flows.tasks import artifacts
from pipeline.artifacts import write_json
from pipeline.cleanse.plan import ClassImpact
from pipeline.errors import FetchError
from pipeline.flag.profile import resampling
from pipeline.ingest.fetch_files import _CheckedRedirects
from pipeline.ingest.source_schema import download_url

STEERING = "\x1b]0;owned\x07"
MANIFEST = r"""
name: hostile
title: x
licence: x
classes: [clear, opacity]
positive: opacity
sources:
  - {name: s, layout: table, table: t.csv, columns: {path: path, label: label}}
"""


def test_a_table_shows_markup_and_control_characters_as_text() -> None:
    table, shown = Table("x"), io.StringIO()
    table.add_row(cell(f"{STEERING}[link=https://evil.example]opacity[/link]"))
    Console(file=shown, force_terminal=True, width=120).print(table)
    assert "\x1b]" not in shown.getvalue()
    assert "[link=https://evil.example]opacity[/link]" in shown.getvalue()


def test_names_of_missing_files_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MANIFEST)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "t.csv").write_text(f"path,label\na.png,clear\nb.png,opacity\n{STEERING}.png,opacity\n")
    said = CliRunner().invoke(app, ["check", str(tmp_path / "m.yaml"), "--data-root", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "missing: \\x1b]0;owned\\x07.png" in said.output
    assert "\x1b" not in said.output


def hostile_table(path: Path) -> Path:
    named = f"{STEERING}[red]made by"
    rows = [
        {"file": f"{n}.png", "label": (f"[red]ill{STEERING}", "clear[/]")[n % 2], named: f"{STEERING}[red]{n % 2}"}
        for n in range(60)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 300) -> io.StringIO:
    """What commands print by rich's consoles, as a terminal gets it."""
    shown = io.StringIO()
    terminal = functools.partial(Console, file=shown, force_terminal=True, color_system=None)
    for command in (profile, cleanse, repairs):
        monkeypatch.setattr(command, "Console", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    return shown


def test_columns_and_classes_of_a_table_cannot_steer_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 20)
    monkeypatch.setattr(resampling, "PERMUTATIONS", 19)
    shown = on_a_terminal(monkeypatch, columns=80)
    said = CliRunner().invoke(commands, ["profile", str(hostile_table(tmp_path / "t.csv")), "--label", "label"])
    assert said.exit_code == 0, said.output
    assert STEERING not in shown.getvalue() + said.output
    assert r"\x1b]0;owned\x07[red]made by" in shown.getvalue()
    table = shown.getvalue().split("Columns against the label")[1]
    assert r"\x1b]0;owned" in table.split("Copies, patients and splits")[0], "columns are named on a narrow screen too"


def test_classes_of_a_plan_cannot_steer_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, name = on_a_terminal(monkeypatch), f"[red]ill[/]{STEERING}"
    impact = ClassImpact(images=1, of=2, regions=1, pixels=4, share=0.1, in_lungs=None, held_back=0)
    line = SimpleNamespace(
        policy="keep", kind="word", text=name, finding="F01", decided_by=name, in_lungs="allow", regions={name: 1}
    )
    plan = SimpleNamespace(lines=[line], impact={name: impact}, unknown_lungs=0)
    monkeypatch.setattr(cleanse, "_words", lambda *_: [name])
    cleanse._print(SimpleNamespace(changed=None, plan=tmp_path / name, version=None), plan)  # type: ignore[arg-type]
    assert STEERING not in shown.getvalue()
    assert shown.getvalue().count(r"[red]ill[/]\x1b]0;owned") >= 4


def test_a_comparison_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, name = on_a_terminal(monkeypatch), f"[red]{STEERING}"
    result = SimpleNamespace(words=[name], table=[["repair", name], [name, name]], worked=0, page=name)
    repairs._print((result, 1.0), False)
    assert STEERING not in shown.getvalue()
    assert shown.getvalue().count(r"[red]\x1b]0;owned\x07") == 4


def test_names_in_a_workspace_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "runs" / STEERING).mkdir(parents=True)
    said = CliRunner().invoke(commands, ["gc", "--explain", "--workspace", str(tmp_path)], color=True)
    assert said.exit_code == 0, said.output
    assert r"runs/\x1b]0;owned\x07" in said.output
    assert STEERING not in said.output


def test_commands_have_no_other_way_to_print() -> None:
    """`say` and `cell` escape; typer's own function is for JSON, in which all is escaped, and for what went through."""
    folder = Path(commands_package.__file__).parent
    lines = [(file.name, line) for file in folder.glob("*.py") for line in file.read_text().splitlines()]
    echoed = [(name, line) for name, line in lines if "typer.echo" in line and "json" not in line]
    assert echoed == []
    assert [name for name, line in lines if "rich.markup" in line] == ["errors.py"]


def test_the_summary_in_prefect_makes_no_link_picture_or_html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "findings.json", {"findings": []})
    left: dict[str, str] = {}
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda **given: left.update(given))
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda **_: None)
    monkeypatch.setattr(artifacts, "leave_links", lambda *_: None)
    artifacts.leave_artifacts(tmp_path, "awaiting review", ["[a](javascript:b) ![c](https://evil.example) <img src=x>"])
    assert left["markdown"] == (
        "# awaiting review\n\n\\[a\\](javascript:b) \\!\\[c\\](https://evil.example) \\<img src=x\\>"
    )


def test_a_redirect_from_elsewhere_does_not_reach_this_machine() -> None:
    def redirected(start: str) -> Request | None:
        headers = email.message.Message()
        return _CheckedRedirects().redirect_request(
            Request(start),
            io.BytesIO(),
            302,
            "Found",
            headers,
            "http://127.0.0.1:4200/api",  # type: ignore[arg-type]
        )

    with pytest.raises(FetchError, match="on this machine"):
        redirected("https://data.example/a.png")
    assert redirected("http://127.0.0.1:8000/a.png") is not None


@pytest.mark.parametrize("address", ["https://ada:s3cret@data.example/a.png", "https://s3cret@data.example/a.png"])
def test_an_address_with_a_password_is_refused_and_not_quoted(address: str) -> None:
    with pytest.raises(ValueError, match="must not hold") as refused:
        download_url(address)
    assert "s3cret" not in str(refused.value)
