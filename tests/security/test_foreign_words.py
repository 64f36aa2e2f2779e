"""What comes from manifests, tables and servers stays text, and leads nowhere that nobody named."""

from __future__ import annotations

import email.message
import io
from pathlib import Path
from urllib.request import Request

import pytest
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from flows.cli.datasets import app
from flows.console import cell
from flows.tasks import artifacts
from pipeline.artifacts import write_json
from pipeline.errors import FetchError
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
