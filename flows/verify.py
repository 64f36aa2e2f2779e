"""Reading everything of a workspace again: is each file what was written?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.workspace import Workspace
from pipeline.artifacts import read_json, sha256_artifact
from pipeline.errors import InputError, IntegrityError
from pipeline.integrity import damage, sealed, set_aside
from pipeline.locks import holder_of, locked


@dataclass(frozen=True)
class Verdict:
    """One folder or run artifact after its files were read again."""

    path: Path
    wrong: tuple[str, ...] = ()
    """What is damaged, a phrase each."""
    unknown: str | None = None
    """Why nothing can be said about it."""
    set_aside: Path | None = None


def verify(workspace: Workspace, what: str, *, move: bool = False) -> Iterator[Verdict]:
    """Hash what belongs to `what`, one verdict after the other.

    Args:
        workspace: is read.
        what: `all`; a run's id, with the data set and the classifier it was made from; or the name of a data set
            version or bundle. Unique beginnings of names will do.
        move: set aside what is damaged, so that it is made anew.

    Raises:
        InputError: nothing has that name, or several have.
    """
    for path, run in _things(workspace, what):
        verdict = _artifact(path, run) if run else _folder(path)
        if verdict.wrong and move:
            with locked(run or path, f"sets aside {path.name}"):
                verdict = Verdict(path, verdict.wrong, set_aside=set_aside(path) if path.exists() else None)
        yield verdict


def _things(workspace: Workspace, what: str) -> list[tuple[Path, Path | None]]:
    """Sealed folders, and artifacts with the run that they belong to."""
    runs, folders = _runs(workspace), _folders(workspace)
    if what != "all":
        found = [path for path in (*runs, *folders) if path.name.startswith(what)]
        if what == "last":
            found = [workspace.run(what)]
        if len(found) != 1:
            raise InputError(
                f"{len(found)} runs, data set versions and bundles in {workspace.path} begin with {what!r}. "
                "Give one of their names, `last` for the newest run, or `all`."
            )
        runs = [path for path in runs if path in found]
        folders = [path for path in folders if path in found or any(path in _made_of(workspace, run) for run in runs)]
    return [*((path, None) for path in folders), *(each for run in runs for each in _artifacts(run))]


def _runs(workspace: Workspace) -> list[Path]:
    return sorted(path.parent for path in workspace.runs.glob("*/run.json"))


def _folders(workspace: Workspace) -> list[Path]:
    places = (
        (workspace.datasets, "*/*"),
        (workspace.models, "*/*"),
        (workspace.generated, "*"),
        (workspace.cache, "lungs/*"),
    )
    found = (path for place, pattern in places for path in sorted(place.glob(pattern)) if path.is_dir())
    return [
        path for path in found if not path.name.startswith(".") and not path.suffix.startswith((".partial", ".damaged"))
    ]


def _made_of(workspace: Workspace, run: Path) -> tuple[Path, ...]:
    try:
        request = read_json(run / "run.json")["request"]
    except IntegrityError:
        return ()
    return workspace.datasets / request["dataset"], workspace.models / request["bundle"]


def _artifacts(run: Path) -> list[tuple[Path, Path | None]]:
    try:
        names = read_json(run / "run.json")["artifacts"]
    except IntegrityError:
        names = {}
    return [(run / name, run) for name in ("run.json", *names)]


def _folder(path: Path) -> Verdict:
    if not sealed(path):
        return Verdict(path, unknown="it lists no files: made by an older version of cxr-audit")
    return Verdict(path, tuple(damage(path, thorough=True)))


def _artifact(path: Path, run: Path) -> Verdict:
    if holder := holder_of(run):
        return Verdict(path, unknown=f"at work: {holder}")
    try:
        ledger = read_json(run / "run.json")
    except IntegrityError:
        return Verdict(path, ("it cannot be read",))
    entry = ledger["artifacts"].get(path.name) or ledger["artifacts"].get(path.relative_to(run).as_posix())
    if entry is None:  # the ledger itself, which has just been read
        return Verdict(path)
    if not path.exists():
        return Verdict(path, ("it is missing",))
    return Verdict(path) if sha256_artifact(path) == entry["sha256"] else Verdict(path, ("it has other content",))
