"""Files that appear whole or not at all, and hashes that say what they were made from.

Every artifact is written under a temporary name beside its final place, flushed to disk, then renamed.
A reader therefore never sees half a file, and a killed run leaves only `*.partial` names behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from pipeline.errors import IntegrityError
from pipeline.locks import locked
from pipeline.storage import storage_errors

if TYPE_CHECKING:
    import pandas as pd

_SOURCE_ROOT = Path(__file__).resolve().parent.parent
_FORGOTTEN = 24 * 3600
"""Seconds after which a half-written file of another machine counts as left behind."""
_KERNEL = ("errors", "types", "artifacts", "randomness", "fills", "dataset", "inference", "statistics")


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_tree(folder: Path) -> str:
    """Hex sha256 over relative names and bytes of all files below `folder`, in name order."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def sha256_artifact(path: Path) -> str:
    """Hex sha256 of a file, or of a folder as `sha256_tree` does."""
    return sha256_tree(path) if path.is_dir() else sha256_file(path)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no NaN, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)


def content_hash(value: Any, length: int = 16) -> str:
    """First `length` hex digits of the sha256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


@cache
def code_version(*parts: str) -> str:
    """Hash of the source a result was computed by: the kernel and the given packages.

    Args:
        parts: dotted package or module names, e.g. ``"pipeline.flag"``, ``"models"``.
    """
    files: list[Path] = []
    for part in (*(f"pipeline.{name}" for name in _KERNEL), *parts):
        place = _SOURCE_ROOT.joinpath(*part.split("."))
        files += sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(_SOURCE_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


REMEDY = "`cxr-audit verify --set-aside` moves away what is damaged; what made it then makes it anew."
"""What to do about a file that cannot be read."""


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success flush it and rename it to `target`.

    Raises:
        StorageError: the disk is full, read-only or not ours to write.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{_writer()}.partial")
        try:
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _writer() -> str:
    """Names a thread among those of all processes and machines that may write the same file."""
    return f"{_host()}-{os.getpid()}-{threading.get_native_id()}"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", socket.gethostname())


def _sweep(folder: Path) -> None:
    """Remove what writers of `atomic_file` that were killed in the act left below `folder`.

    Whether a writer on another machine lives cannot be seen from here: its file goes when it has not grown for a day.
    """
    for left in folder.rglob(".*.partial"):
        host, _, pid = left.name.removesuffix(".partial").rpartition(".")[2].rpartition("-")[0].rpartition("-")
        here = host == _host() and pid.isdigit() and not psutil.pid_exists(int(pid))
        if left.is_file() and (here or time.time() - left.stat().st_mtime > _FORGOTTEN):
            left.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path, *, resume: bool = False) -> Iterator[Path]:
    """Yield a working folder that becomes `target` when the block succeeds; one process at a time.

    A caller that finds `target` missing and then waits here for another process makes it a second time: take its lock
    (`pipeline.locks.locked`) before looking.

    Args:
        target: final folder; must not exist yet.
        resume: keep what an interrupted attempt left in the working folder (`<target>.partial`) and
            keep it again when this attempt fails. The caller must know which of its files are whole.

    Raises:
        StorageError: the disk is full, read-only or not ours to write.
    """
    working = target.with_name(target.name + ".partial")
    with locked(target, f"makes {target}"), storage_errors(target):
        if working.exists() and not resume:
            shutil.rmtree(working)
        working.mkdir(parents=True, exist_ok=True)
        try:
            yield working
        except BaseException:
            if not resume:
                shutil.rmtree(working, ignore_errors=True)
            raise
        working.replace(target)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write indented JSON with sorted keys atomically; NaN is refused (unknown is null)."""
    text = json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False, default=str)
    write_text(target, text + "\n")


def read_json(path: Path) -> Any:
    """Parse a JSON artifact.

    Raises:
        IntegrityError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read as JSON ({error}). {REMEDY}", path) from error


def write_parquet(target: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet (zstd) atomically; equal tables give equal bytes."""
    with atomic_file(target) as temporary:
        table.to_parquet(temporary, engine="pyarrow", compression="zstd", index=False)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet artifact.

    Raises:
        IntegrityError: the file is missing, truncated or not Parquet.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read as Parquet ({error}). {REMEDY}", path) from error


class RunFolder:
    """One run's artifacts and the ledger, `run.json`, that lists each with its sha256.

    A stage asks `has(name)` before working and calls `record(name)` after. The ledger holds no times, so
    an interrupted and resumed run ends with the same bytes as an undisturbed one.
    """

    def __init__(self, path: Path, request: Mapping[str, Any]) -> None:
        """Open or start the run at `path` for `request` (what was asked: inputs, config, code version).

        Raises:
            IntegrityError: the folder belongs to another request.
        """
        self.path = path
        self._ledger = path / "run.json"
        with storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            _sweep(path)
        if self._ledger.exists():
            self._state: dict[str, Any] = self._read()
            if canonical_json(self._state["request"]) != canonical_json(dict(request)):
                raise IntegrityError(f"{self._ledger} belongs to another request. Move {path} away and run again.")
        else:
            self._state = {"request": dict(request), "artifacts": {}}
            write_json(self._ledger, self._state)

    def _read(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = read_json(self._ledger)
        except IntegrityError as error:
            raise IntegrityError(
                f"{self._ledger} cannot be read: nothing says which artifacts of the run are whole. "
                "Repeat the audit that made it.",
                self._ledger,
            ) from error
        return state

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name

    def has(self, name: str, key: str = "") -> bool:
        """Whether artifact `name` was recorded for `key` and still has the recorded hash.

        Args:
            name: path relative to the run folder.
            key: hash of what it is made from; a recorded artifact with another key is stale.
        """
        return self._recorded(name, key) and not self.damaged(name, key)

    def damaged(self, name: str, key: str = "") -> bool:
        """Whether artifact `name` was recorded for `key` and is missing or has another hash now."""
        path = self.path / name
        return self._recorded(name, key) and not (
            path.exists() and sha256_artifact(path) == self._state["artifacts"][name]["sha256"]
        )

    def _recorded(self, name: str, key: str) -> bool:
        entry = self._state["artifacts"].get(name)
        return entry is not None and entry["key"] == key

    def record(self, name: str, key: str = "") -> None:
        """List artifact `name`, made from `key`, with its current hash."""
        self._state["artifacts"][name] = {"key": key, "sha256": sha256_artifact(self.path / name)}
        write_json(self._ledger, self._state)

    def sha256(self, name: str) -> str:
        """Recorded hash of artifact `name`.

        Raises:
            IntegrityError: `name` was never recorded.
        """
        entry = self._state["artifacts"].get(name)
        if entry is None:
            raise IntegrityError(f"{self._ledger} lists no {name}. Run the audit again.")
        return str(entry["sha256"])

    def close(self) -> None:
        """Remove parts of recorded artifacts that came late: from a worker that another one had taken for dead."""
        for name in self._state["artifacts"]:
            shutil.rmtree(self.path / f"{name}.partial", ignore_errors=True)
