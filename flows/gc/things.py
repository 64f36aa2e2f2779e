"""What lies in a workspace that might be removed: runs, versions, bundles, phantoms, caches, and what was left over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from flows.workspace import Workspace

Kind = Literal["run", "data set", "model", "generated", "cache", "job", "told", "unfinished", "damaged", "trash"]

TRASH: Final = ".trash"
"""Folder of a workspace that things are moved to before they are deleted: a name is there whole or gone."""

_PLACES: Final[tuple[tuple[Kind, str], ...]] = (
    ("run", "runs/*"),
    ("data set", "datasets/*/*"),
    ("model", "models/*/*"),
    ("generated", "generated/*"),
    ("job", "jobs/*"),
    ("told", "notified/*.json"),
    ("cache", "cache/lungs/*"),
    ("cache", "cache/resized/*"),
    ("cache", "cache/saliency/*"),
    ("cache", "cache/thumbnails/*"),
    ("trash", f"{TRASH}/*"),
)
"""Everything else is left alone, `cache/downloads` among it: images that were fetched are somebody's data root."""

_UNFINISHED = re.compile(r"^\.?(?P<target>.+?)(\.(\w+-)?(?P<pid>\d+)(-\d+)?)?(\.training)?\.(partial|parts)$")
"""Names of `pipeline.artifacts.atomic_file` and `atomic_folder`, of trainings and of kept parts."""


@dataclass(frozen=True)
class Thing:
    """A file or folder that is removed whole or not at all.

    Attributes:
        modified: when anything in it was last written, seconds since the epoch.
    """

    path: Path
    kind: Kind
    bytes: int
    modified: float

    @property
    def unfinished(self) -> tuple[Path, int | None]:
        """Of something unfinished: what was being made, and the process that said it made it."""
        match = _UNFINISHED.match(self.path.name)
        if match is None:
            return self.path, None
        return self.path.with_name(match["target"]), int(match["pid"]) if match["pid"] else None


def things(workspace: Workspace) -> list[Thing]:
    """All of them, by path."""
    found = [_thing(path, kind) for kind, pattern in _PLACES for path in workspace.path.glob(pattern)]
    return sorted((each for each in found if each is not None), key=lambda each: each.path)


def _thing(path: Path, place: Kind) -> Thing | None:
    kind = place
    if place != "trash":
        if _UNFINISHED.match(path.name):
            kind = "unfinished"
        elif ".damaged-" in path.name:
            kind = "damaged"
        elif path.name.startswith("."):  # locks
            return None
    sizes = list(_files(path))
    return Thing(path, kind, sum(size for size, _ in sizes), max(when for _, when in sizes))


def _files(path: Path) -> Iterator[tuple[int, float]]:
    """Bytes and time of everything below, itself included; what others remove meanwhile counts nothing."""
    yield 0, 0.0
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        try:
            stat = each.lstat()
        except FileNotFoundError:
            continue
        yield 0 if each.is_dir() else stat.st_size, stat.st_mtime
