"""A file whose decoder kills the process is a problem row; everything else comes out as if it were not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.artifacts import sha256_file
from pipeline.dataset import DatasetVersion
from pipeline.errors import CxrAuditError, IntegrityError, ProblemReason
from pipeline.ingest.decode import Decoded, Refused
from pipeline.ingest.readers import ReadLimits
from pipeline.ingest.sacrifice import Marks
from pipeline.spread import WorkerDiedError
from tests.chores import Chore

# Files end in what is done to their reader: in every Python process that has this folder on its path.
HOSTILE_DECODER = """
import os, signal, time
from pipeline.ingest import decode, sacrifice

sacrifice.SECONDS = 2
read = decode.read_bytes

def read_bytes(data, *args, **kwargs):
    end = data.rpartition(b"END:")[2]
    if end == b"exit":
        os._exit(3)
    if end == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if end == b"killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == b"hang":
        time.sleep(60)
    return read(data, *args, **kwargs)

decode.read_bytes = read_bytes
"""
INGEST = """
import sys
from pathlib import Path
from pipeline.config import IngestConfig
from pipeline.ingest import ingest, load_manifest, read_rows
from pipeline.spread import processes

if __name__ == "__main__":
    root, workers = Path(sys.argv[1]), int(sys.argv[2])
    manifest = load_manifest(root / "manifest.yaml")
    settings = IngestConfig(store_size=64, min_side=32)
    rows = read_rows(manifest, root)
    print(ingest(manifest, rows, root, root / sys.argv[2], settings, 0, spread=processes(workers)).path)
"""
MANIFEST = """
name: hostile
title: Sound images and some that kill
licence: CC0-1.0
classes: [a, b]
positive: b
sources: [{name: here, layout: folders, root: images}]
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder; Python processes started from now on have a decoder that obeys the end of a file."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(HOSTILE_DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"), prepend=os.pathsep)
    return tmp_path


def _read(root: Path, name: str, image: np.ndarray, end: str = "") -> partial[Decoded | Refused]:
    path = root / name
    Image.fromarray(image).save(path)
    with path.open("ab") as file:
        file.write(f"END:{end}".encode() if end else b"")
    how = {"data_root": root, "limits": ReadLimits(), "size": 64, "salt": ""}
    return partial(Marks(root / "reading").decoded, name, sha256_file(path), **how)


def test_marks_last_as_long_as_the_reading(tmp_path: Path, picture: Callable[..., np.ndarray]) -> None:
    read = _read(tmp_path, "sound.png", picture(1))
    assert isinstance(read(), Decoded)
    assert list((tmp_path / "reading").iterdir()) == []


def test_a_marked_file_that_is_sound_is_read_alike(tmp_path: Path, picture: Callable[..., np.ndarray]) -> None:
    read = _read(tmp_path, "sound.png", picture(1))
    found = read()
    (tmp_path / "reading" / read.args[1]).touch()
    again = read()
    assert isinstance(found, Decoded)
    assert isinstance(again, Decoded)
    assert again.facts == found.facts
    assert np.array_equal(again.stored, found.stored)
    assert list((tmp_path / "reading").iterdir()) == []


@pytest.mark.parametrize(
    ("end", "detail"), [("exit", "ended the process with status 3"), ("crash", "SIGSEGV"), ("hang", "had not finished")]
)
def test_a_marked_file_that_kills_is_refused(
    hostile: Path, picture: Callable[..., np.ndarray], end: str, detail: str
) -> None:
    read = _read(hostile, "bad.png", picture(1), end)
    mark = hostile / "reading" / read.args[1]
    mark.parent.mkdir()
    mark.touch()
    found = read()
    assert isinstance(found, Refused)
    assert found.reason == ProblemReason.UNREADABLE
    assert detail in found.detail
    assert mark.exists()


def test_what_is_not_the_files_fault_is_an_error(hostile: Path, picture: Callable[..., np.ndarray]) -> None:
    killed, changed = _read(hostile, "killed.png", picture(1), "killed"), _read(hostile, "changed.png", picture(2))
    (hostile / "reading").mkdir()
    for read in (killed, changed):
        (hostile / "reading" / read.args[1]).touch()
    (hostile / "changed.png").write_bytes(b"another file")
    with pytest.raises(CxrAuditError, match="ended with status -9"):
        killed()
    with pytest.raises(IntegrityError, match="changed while"):
        changed()


def test_parts_are_tried_again_while_there_are_more_files_to_blame(tmp_path: Path) -> None:
    blamed = iter(["first", "second", "second"])

    def dies(parts: object) -> list[None]:
        (tmp_path / next(blamed)).touch()
        raise WorkerDiedError("dead")

    with pytest.raises(WorkerDiedError):
        list(Marks(tmp_path).surviving(dies, [Chore(tmp_path, 0)]))
    assert list(blamed) == []


@pytest.mark.slow
def test_an_ingest_survives_files_that_kill(hostile: Path, picture: Callable[..., np.ndarray]) -> None:
    """Two of them are in the last shard, which is then the only one left to read; one worker is enough."""
    for label in "ab":
        (hostile / "images" / label).mkdir(parents=True)
    for number in range(70):
        end = {5: "crash", 66: "hang", 68: "exit"}.get(number, "")
        _read(hostile, f"images/{'ab'[number % 2]}/{number:02d}.png", picture(number), end)
    (hostile / "manifest.yaml").write_text(MANIFEST)
    (hostile / "audit.py").write_text(INGEST)
    spread, alone = _ingested(hostile, workers=2), _ingested(hostile, workers=1)
    problems = pd.read_parquet(spread.path / "problems.parquet")
    assert list(problems["path"]) == ["images/a/66.png", "images/a/68.png", "images/b/05.png"]
    assert set(problems["reason"]) == {"unreadable"}
    assert len(spread.images) == 67
    assert _bytes(spread) == _bytes(alone)


def _ingested(root: Path, workers: int) -> DatasetVersion:
    command = [sys.executable, str(root / "audit.py"), str(root), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return DatasetVersion(Path(done.stdout.strip()))


def _bytes(version: DatasetVersion) -> dict[str, bytes]:
    files = (path for path in version.path.rglob("*") if path.is_file())
    return {path.relative_to(version.path).as_posix(): path.read_bytes() for path in files}
