"""A full disk and a read-only one: the message says so, and the same command goes on once there is room."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Command, content, half_written, tmpfs

pytestmark = pytest.mark.slow

SIZES = ("350k", "1400k", "3000k")
"""Of the file system: full in the generation of images, in the first training, and in the audit."""


@pytest.mark.timeout(600)
def test_a_full_disk_in_several_stages(tmp_path: Path, calm: Path, command: Command) -> None:
    disk = tmp_path / "disk"
    with tmpfs(disk, SIZES[0]) as remount:
        reached = []
        for size in SIZES:
            remount(f"size={size}")
            ended = command.run(disk)
            assert ended.code == 1, ended.err[-3000:]
            assert re.search(
                r"StorageError: The disk is full: could not write .* the run resumes where it stopped", ended.said
            )
            reached.append(len(content(disk)))
        assert reached == sorted(set(reached)), "every attempt comes further than the one before"
        remount("size=1g")
        command.complete(disk)
        assert content(disk) == content(calm)
        assert half_written(disk) == []


@pytest.mark.timeout(600)
def test_a_read_only_workspace(tmp_path: Path, calm: Path, command: Command) -> None:
    disk = tmp_path / "disk"
    with tmpfs(disk, "1g") as remount:
        shutil.copytree(calm, disk / "ws")
        remount("ro")
        ended = command.run(disk / "ws")
        assert ended.code == 1
        assert re.search(r"StorageError: \S+ cannot be written \(Read-only file system\). Give a place", ended.said)
        remount("rw")
        assert command.complete(disk / "ws").worked == 0
        assert content(disk / "ws") == content(calm)


def test_a_workspace_of_somebody_else(tmp_path: Path) -> None:
    """Root without its capabilities may do what any user may: the interpreter may be out of another user's reach."""
    if os.getuid():
        pytest.skip("only root can give a folder to somebody else")
    os.chown(tmp_path, 65534, 65534)
    program = (
        "import sys; from pathlib import Path; from pipeline.artifacts import write_text; "
        "write_text(Path(sys.argv[1]), '')"
    )
    command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-c", program, tmp_path / "a" / "b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StorageError" in done.stderr
    assert "cannot be written (Permission denied). Give a place you may write to" in done.stderr
    os.chown(tmp_path, 0, 0)
