"""Damaged files: they are named, set aside, and made anew with the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.artifacts import read_json
from tests.faults.conftest import Command, content, half_written
from tests.faults.test_killed import MOMENTS

pytestmark = pytest.mark.slow


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path, every: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2 if every is None else 0, len(data), every or len(data)):
        data[place] ^= 1
    path.write_bytes(data)


def first(workspace: Path, pattern: str) -> Path:
    return min(path for path in workspace.glob(pattern) if ".damaged-" not in str(path))


AT_ONCE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "truncated table of a data set": (
        "datasets/*/*/images.parquet",
        cut,
        r"images.parquet has [\d,]+ bytes instead of",
    ),
    "truncated bundle": ("models/small-small/*/models/model.pt", cut, r"models/model.pt has [\d,]+ bytes instead of"),
    "changed artifact": ("runs/*/findings.json", flip, r"findings.json of run \w+ is not what was recorded"),
    "truncated artifact": ("runs/*/effects.parquet", cut, r"effects.parquet of run \w+ is not what was recorded"),
    "missing artifact": ("runs/*/clusters.json", Path.unlink, r"clusters.json of run \w+ is not what was recorded"),
}
"""What is noticed when it is opened: file, damage, message. One run heals them all."""


@pytest.fixture
def workspace(tmp_path: Path, calm: Path) -> Path:
    shutil.copytree(calm, tmp_path / "ws")
    return tmp_path / "ws"


@pytest.mark.timeout(600)
def test_what_is_noticed_at_once_is_made_anew_by_the_same_command(
    workspace: Path, calm: Path, command: Command
) -> None:
    for pattern, damage, _ in AT_ONCE.values():
        damage(first(workspace, pattern))
    ended = command.complete(workspace)
    for _, _, message in AT_ONCE.values():
        assert re.search(message, ended.said), (message, ended.err[-3000:])
    assert content(workspace) == content(calm)
    assert half_written(workspace) == []


@pytest.mark.timeout(600)
def test_a_damaged_pixel_ends_the_run_and_the_next_one_heals_it(workspace: Path, calm: Path, command: Command) -> None:
    version = workspace / "datasets" / read_json(first(workspace, "runs/*/run.json"))["request"]["dataset"]
    for shard in version.glob("pixels.zarr/c/*/0/0"):
        flip(shard, every=997)
    first(workspace, "runs/*/regions.parquet").unlink()
    found = verify(workspace)
    assert found.returncode == 1
    assert "pixels.zarr/c/0/0/0 has other content than was written" in found.stdout
    assert "regions.parquet: it is missing" in found.stdout
    ended = command.run(workspace)
    assert ended.code == 1
    assert re.search(r"IntegrityError: \S+ is damaged: image \d+ cannot be read .* is set aside as", ended.said)
    command.complete(workspace)
    assert content(workspace) == content(calm)
    assert verify(workspace).returncode == 0


@pytest.mark.timeout(600)
def test_a_damaged_checkpoint_starts_the_training_anew(tmp_path: Path, calm: Path, command: Command) -> None:
    shutil.copytree(calm / "generated", tmp_path / "ws" / "generated")
    shutil.copytree(calm / "datasets", tmp_path / "ws" / "datasets")
    command.kill_when(tmp_path / "ws", MOMENTS["train"])
    flip(next(iter((tmp_path / "ws").glob("models/*/*partial/checkpoint*"))))
    command.kill_when(tmp_path / "ws", MOMENTS["detect"])
    trained = first(tmp_path / "ws", "models/*/*/files.json").parent
    same = calm / trained.relative_to(tmp_path / "ws")
    assert (trained / "files.json").read_bytes() == (same / "files.json").read_bytes()


def verify(workspace: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "cxr-audit"
    return subprocess.run([program, "verify", "--workspace", workspace], capture_output=True, text=True, check=False)
