"""What files of others may not do: run code, compute in a spreadsheet, steer a terminal, eat memory."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from flows.cli.errors import Exit, run_app
from flows.console import printable
from pipeline.errors import InputError
from pipeline.export.metadata import write_metadata
from pipeline.plain_yaml import load
from pipeline.train.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]


class Planted:
    """Leaves a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.place,))  # type: ignore[return-value]


def test_a_checkpoint_that_runs_code_is_not_continued(tmp_path: Path) -> None:
    place, planted = tmp_path / "checkpoint.pt", tmp_path / "planted"
    torch.save({"network": Planted(planted)}, place)
    kept = tmp_path / "copy.pt"
    kept.write_bytes(place.read_bytes())
    assert read_checkpoint(place) is None, "it is set aside"
    assert not planted.exists()
    torch.load(kept, weights_only=False)
    assert planted.exists(), "the file would have run code"


def test_arrays_with_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "a.npy")


def test_nothing_in_the_source_unpickles() -> None:
    """No pickle, no torch.load without weights_only, no numpy objects, no YAML that makes objects."""
    patterns = [
        r"\bpickle\.loads?\(",
        r"allow_pickle=True",
        r"(?<!plain_)yaml\.(unsafe_|full_)?load\((?!text, Loader=PlainLoader)",
        r"weights_only=False",
    ]
    sources = [path for part in ("pipeline", "flows", "models") for path in (ROOT / part).rglob("*.py")]
    assert len(sources) > 300
    found = [f"{path.name}: {each}" for path in sources for each in patterns if re.search(each, path.read_text())]
    # What `sacrifice` reads comes down a pipe from a process that it has just started, never from a disk.
    assert found == [r"sacrifice.py: \bpickle\.loads?\("]
    loads = [path for path in sources for call in re.findall(r"torch\.load\([^)]*\)", path.read_text(), re.DOTALL)
             if "weights_only=True" not in call]  # fmt: skip
    assert loads == []


def test_no_cell_of_an_export_is_a_formula(tmp_path: Path) -> None:
    texts = ["=HYPERLINK(1)", "+1", "-1", "@sum", "\tcmd", "plain"]
    table = pd.DataFrame({"path": pd.array(texts, dtype="string"), "change": [-1.5, 0, 1, 2, 3, None]})
    write_metadata(table, tmp_path / "metadata.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "metadata.csv").read_text())))
    assert [row["path"] for row in rows] == [*(f"'{text}" for text in texts[:5]), "plain"]
    assert [row["change"] for row in rows] == ["-1.5", "0.0", "1.0", "2.0", "3.0", ""], "numbers stay numbers"


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x",
        "a: !!python/object/apply:os.system [id]",
        "[" * 60 + "]" * 60,
        "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]",
    ],
)
def test_yaml_is_plain(text: str) -> None:
    with pytest.raises(Exception, match=r"(?i)anchor|alias|tag|deep|nest|level"):
        load(text)


def test_a_message_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2Jb\x07\u202ec\nd") == "a\\x1b[2Jb\\x07\\u202ec\nd"

    def command() -> None:
        raise InputError("\x1b]0;owned\x07.png [bold]is[/] no image")

    assert run_app(command) == Exit.ERROR  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert "\x1b]0" not in said
    assert "\\x1b]0;owned\\x07.png [bold]is[/] no image" in said
