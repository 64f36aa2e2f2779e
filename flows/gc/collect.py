"""Which things of a workspace are free, and deleting them so that a kill at any moment leaves nothing half there."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flows.gc.references import References
from flows.gc.roots import alive, roots
from flows.gc.things import TRASH, Thing, things
from flows.workspace import Workspace
from pipeline.locks import holder_of, locked
from pipeline.storage import storage_errors

_DAY = 24 * 3600


@dataclass(frozen=True)
class Judged:
    """A thing, whether it is free, and why or why not."""

    thing: Thing
    free: bool
    why: str


def plan(
    workspace: Workspace, *, keep_last: int | None = None, older_than: float = 0, unreviewed: bool = False
) -> list[Judged]:
    """Every thing of a workspace, judged.

    What is kept for its own sake (`roots`) keeps what it refers to (`References`). The rest is free: versions and
    classifiers that no kept run refers to, caches of what is not kept, what dead processes left behind, and, with
    `keep_last`, older runs that nobody accepted or decided about.

    Args:
        workspace: to look through.
        keep_last: runs to keep of each data set, besides those kept anyway; None: all.
        older_than: days since the last write below which nothing is free.
        unreviewed: nobody has reviewed an audit of the workspace, so that there is no database of decisions.

    Raises:
        InputError: what was decided or accepted cannot be read.
    """
    found = things(workspace)
    references = References(workspace, found)
    kept = _reached(found, roots(workspace, found, references, keep_last, unreviewed), references)
    names = {path.name for path in kept}
    judged = [_judge(each, kept, names, references) for each in found]
    limit = time.time() - older_than * _DAY
    return [
        Judged(each.thing, False, f"written within {older_than:g} days")
        if each.free and each.thing.kind != "trash" and older_than and each.thing.modified > limit
        else each
        for each in judged
    ]


def delete(workspace: Workspace, judged: Iterable[Judged]) -> list[Thing]:
    """Delete what is free; returns what was deleted.

    Everything is moved to the workspace's trash first, each thing in one step, and deleted there, which may take long;
    the trash of a killed attempt is free. What another process has taken up in the meantime stays.

    Raises:
        StorageError: the workspace cannot be written.
    """
    with storage_errors(workspace.path):
        free = [each.thing for each in judged if each.free]
        moved = [(thing, place) for thing in free if (place := _moved(workspace, thing)) is not None]
        for _, place in moved:
            _remove(place)
    return [thing for thing, _ in moved]


def _moved(workspace: Workspace, thing: Thing) -> Path | None:
    """Where in the trash a thing lies now; None where another process has taken it up."""
    if thing.kind == "trash":
        return thing.path
    target = thing.unfinished[0] if thing.kind == "unfinished" else thing.path
    if holder_of(target) is not None:
        return None
    with locked(target, f"removes {thing.path.name}"):
        trash = workspace.path / TRASH / f"{thing.path.parent.name}-{thing.path.name}-{os.getpid()}"
        trash.parent.mkdir(exist_ok=True)
        try:
            thing.path.rename(trash)
        except FileNotFoundError:
            return None
    return trash


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_unless_gone)
    else:
        path.unlink(missing_ok=True)


def _unless_gone(_function: object, _path: str, error: tuple[type[BaseException], BaseException, object]) -> None:
    """Another `gc` may be emptying the same trash."""
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def _reached(found: list[Thing], kept: dict[Path, str], references: References) -> dict[Path, str]:
    """`kept`, and everything that is referred to from there."""
    by_path, reached, waiting = {each.path: each for each in found}, dict(kept), list(kept)
    while waiting:
        path = waiting.pop()
        for needed in references.of(by_path[path]) if path in by_path else ():
            if needed not in reached:
                reached[needed] = f"{path.parent.name}/{path.name} refers to it"
                waiting.append(needed)
    return reached


def _judge(thing: Thing, kept: dict[Path, str], names: set[str], references: References) -> Judged:
    if thing.path in kept:
        return Judged(thing, False, kept[thing.path])
    name = thing.path.name
    match thing.kind:
        case "unfinished":
            living = alive(thing)
            return Judged(thing, not living, "being made" if living else "left by a process that ended")
        case "model" if references.trained_on(thing.path) is None and thing.path.parent.name != "adopted":
            return Judged(thing, False, "made by a command of its own, not by an audit")
        case "cache":
            used = name.rsplit("-", 1)[-1] in names
            return Judged(thing, not used, "of something that is kept" if used else "made anew when it is needed")
        case "job" | "told":
            of_kept = name.removesuffix(".json") in names
            return Judged(thing, not of_kept, "of a kept run" if of_kept else "its run is gone or free")
        case "trash" | "damaged":
            why = "a removal that was interrupted" if thing.kind == "trash" else "damaged, and set aside"
            return Judged(thing, True, why)
    return Judged(thing, True, "nothing that is kept refers to it")
