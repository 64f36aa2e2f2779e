"""Who keeps mirrored workspaces elsewhere, as the engine knows it; importing this says so to the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.mirror.places import root_of, url_of
from pipeline.artifacts import read_json
from pipeline.elsewhere import bring, kept_by
from pipeline.errors import InputError

if TYPE_CHECKING:
    from flows.mirror.mirror import Mirror


class Mirrors:
    """A `pipeline.elsewhere.Keeper` that finds the mirror which a path lies in."""

    def has(self, path: Path) -> bool:
        """See `Keeper`."""
        mirror = _mirror_of(path)
        return mirror is not None and mirror.has(path)

    def bring(self, path: Path) -> bool:
        """See `Keeper`."""
        mirror = _mirror_of(path)
        return mirror is not None and mirror.bring(path)

    def keep(self, path: Path) -> None:
        """See `Keeper`."""
        mirror = _mirror_of(path)
        if mirror is not None:
            mirror.keep(path)

    @contextmanager
    def reserved(self, target: Path, doing: str) -> Iterator[None]:
        """See `Keeper`."""
        mirror = _mirror_of(target)
        if mirror is None:
            yield
            return
        with mirror.reserved(target, doing):
            yield


kept_by(Mirrors())


def refresh(workspace: Path, run_id: str | None = None, *, dataset: str = "*") -> None:
    """Bring runs that are kept elsewhere, with the data sets and classifiers that they are about.

    Args:
        workspace: any; nothing happens unless it is a mirror.
        run_id: a run's id or the beginning of one; None or `last`: the newest of every data set, and the accepted ones.
        dataset: only of the data set of this name.
    """
    mirror = _mirror_of(workspace)
    if mirror is None:
        return
    known = mirror.runs()
    wanted = {name for name in known if run_id and name.startswith(run_id)}
    if run_id is None or run_id == "last":
        wanted = set(_newest(mirror, dataset)) & set(known)
    for name in sorted(wanted):
        _bring_all(workspace, name)


def kept_below(folder: Path) -> set[Path]:
    """Folders below `folder` that are kept elsewhere, whether they are here or not."""
    mirror = _mirror_of(folder)
    if mirror is None:
        return set()
    names = mirror.remote.names(f".index/{folder.absolute().relative_to(mirror.root).as_posix()}")
    return {mirror.root / name.removeprefix(".index/").removesuffix(".json") for name in names}


def refuse(workspace: Path, command: str) -> None:
    """Stop a command that works on a whole workspace, where the workspace is in a store.

    Raises:
        InputError: it is.
    """
    url = url_of(workspace)
    if url is not None:
        raise InputError(
            f"{command} works on a whole workspace and cannot yet do so in a store. Copy {url} into a folder (e.g. "
            "`aws s3 sync`), whose layout is the same, and give that folder with --workspace."
        )


def _newest(mirror: Mirror, dataset: str) -> list[str]:
    """The last runs of data sets of this name, and the accepted ones; the small files that say so are brought first."""
    for name in [each for folder in ("history", "accepted") for each in mirror.remote.names(folder)]:
        mirror.bring(mirror.root / name)
    histories = [read_json(path)["runs"][-_LAST:] for path in mirror.root.glob(f"history/{dataset}.json")]
    accepted = [read_json(path)["run"] for path in mirror.root.glob(f"accepted/{dataset}.json")]
    return [*accepted, *(run for runs in histories for run in runs)]


_LAST = 3
"""Runs of a data set that the next audit may go on from."""


def _bring_all(workspace: Path, run_id: str) -> None:
    run = workspace / "runs" / run_id
    if not bring(run):
        return
    request = read_json(run / "run.json")["request"]
    for path in (workspace / "datasets" / request["dataset"], workspace / "models" / request["bundle"]):
        if not path.exists():
            bring(path)


def _mirror_of(path: Path) -> Mirror | None:
    from flows.mirror.mirror import mirror_at

    root = root_of(path.absolute())
    return mirror_at(root) if root else None
