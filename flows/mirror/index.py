"""What the store holds of one folder: its index, one object that is written when all files are there.

``.index/<folder>.json``    {"files": {name: {"bytes": size, "sha256": hex}}, "ledger": run.json of a run, else null}

Without an index nothing of a folder counts, whatever a killed process left there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.artifacts import canonical_json, sha256_file

LEDGER = "run.json"
_PIXELS = "pixels.zarr/c/"
_DEPTHS = {"datasets": 3, "models": 3, "generated": 2, "runs": 2}
"""How deep in a workspace the folders are that are kept whole."""
SHARED = ("accepted", "history")
"""Folders of small files, each kept by itself and read anew whenever it is asked for."""


class Kept(NamedTuple):
    """One file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Index:
    """Files of a folder by name, and the ledger of a run."""

    files: Mapping[str, Kept]
    ledger: dict[str, Any] | None = None

    @classmethod
    def parse(cls, content: bytes) -> Index | None:
        """Of an object's content; None: it is damaged, so that the folder counts as not there."""
        try:
            read = json.loads(content)
            files = {name: Kept(entry["sha256"], entry["bytes"]) for name, entry in read["files"].items()}
            return cls(files, read["ledger"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def content(self) -> bytes:
        """Inverse of `parse`."""
        files = {name: {"bytes": kept.bytes, "sha256": kept.sha256} for name, kept in self.files.items()}
        return canonical_json({"files": files, "ledger": self.ledger}).encode()

    def without(self, names: set[str]) -> Index:
        """The index of what stays valid while `names` are written."""
        return Index({name: kept for name, kept in self.files.items() if name not in names}, self.ledger)


def index_name(unit: str) -> str:
    """The object that is the index of folder `unit`."""
    return f".index/{unit}.json"


def unit_of(inside: Path) -> str | None:
    """The folder, kept as a whole, that a path relative to the workspace lies in; None: it stays on this machine."""
    depth = _DEPTHS.get(inside.parts[0]) if inside.parts else None
    if depth is None or len(inside.parts) < depth or any(map(_passing, inside.parts)):
        return None
    return "/".join(inside.parts[:depth])


def is_run(unit: str) -> bool:
    """Whether a folder is a run, which grows; all others never change."""
    return unit.startswith("runs/")


def comes_late(unit: str, name: str) -> bool:
    """Whether a file is brought only when it is read: pixels of a data set, shard by shard."""
    return unit.startswith("datasets/") and name.startswith(_PIXELS)


def files_of(folder: Path) -> dict[str, Path]:
    """Finished files below a folder, by name; without a run's ledger, which is part of its index."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if name != LEDGER and not any(map(_passing, Path(name).parts))}


def measured(path: Path) -> Kept:
    """A file as it is here."""
    return Kept(sha256_file(path), path.stat().st_size)


def _passing(part: str) -> bool:
    """Whether a name is that of work at hand, of a lock, or of something damaged."""
    return part.endswith((".partial", ".lock")) or ".damaged-" in part
