"""Workspaces that are kept elsewhere, in an object store: their folder here holds copies of what was asked for.

The engine only ever reads and writes folders. Who keeps a workspace elsewhere says so with `kept_by`; before something
that is not in the folder counts as missing, it is asked for here.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol


class Keeper(Protocol):
    """Who keeps workspaces elsewhere. Paths of other workspaces are none of its business."""

    def has(self, path: Path) -> bool:
        """Whether `bring` would bring the file `path`."""

    def bring(self, path: Path) -> bool:
        """Bring a file or folder that is kept elsewhere; False: it is not. Pixels come only shard by shard."""

    def keep(self, path: Path) -> None:
        """Keep what is at `path` elsewhere too; nothing happens where it already is."""

    def reserved(self, target: Path, doing: str) -> AbstractContextManager[None]:
        """Hold `target` against other machines during the block, as `pipeline.locks.locked` does on this one."""


_keepers: list[Keeper] = []


def kept_by(keeper: Keeper) -> None:
    """Let this process ask `keeper` from now on, instead of whom it asked before."""
    _keepers[:] = [keeper]


def has(path: Path) -> bool:
    """Whether the file `path` is kept elsewhere."""
    return any(keeper.has(path) for keeper in _keepers)


def bring(path: Path) -> bool:
    """Have a file or folder brought that is not here; False: nobody keeps it."""
    return any(keeper.bring(path) for keeper in _keepers)


def keep(path: Path) -> None:
    """Have a finished file or folder kept where its workspace is kept."""
    for keeper in _keepers:
        keeper.keep(path)


def reserved(target: Path, doing: str) -> AbstractContextManager[None]:
    """Hold `target` against other machines, where its workspace is shared with any."""
    return _keepers[0].reserved(target, doing) if _keepers else nullcontext()
