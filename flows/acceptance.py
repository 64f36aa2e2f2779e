"""Which audit of a data set is accepted as the one to compare with: `<workspace>/accepted/<data set>.json`.

Anybody who may write to the workspace may accept; who did, when, and what was accepted before is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from flows.workspace import Workspace
from pipeline.artifacts import read_json, write_json
from pipeline.errors import InputError
from pipeline.locks import locked


class Acceptance(BaseModel):
    """One audit, accepted by somebody."""

    run: str
    by: str
    at: datetime
    note: str = ""


class Accepted(Acceptance):
    """The acceptance in force, and those before it."""

    history: list[Acceptance] = Field(default_factory=list)
    """Earlier ones, oldest first."""


def accept(run: Path, by: str, note: str = "") -> Accepted:
    """Make `run` the audit that later audits of its data set are compared with.

    Raises:
        InputError: the run has no findings yet, or nobody is named.
        StorageError: the workspace cannot be written.
    """
    if not by.strip():
        raise InputError("An audit is accepted by somebody: give a name with --by.")
    need_findings(run)
    workspace, dataset = Workspace(run.parent.parent), dataset_of(run)
    path = _path(workspace, dataset)
    with locked(path, f"accepts run {run.name}"):
        before = accepted(workspace, dataset)
        history = [*before.history, Acceptance(**before.model_dump(exclude={"history"}))] if before else []
        at = datetime.now(UTC).replace(microsecond=0)
        now = Accepted(run=run.name, by=by.strip(), at=at, note=note, history=history)
        write_json(path, now.model_dump(mode="json"))
    return now


def need_findings(run: Path) -> None:
    """Refuse an audit that did not come to its findings.

    Raises:
        InputError: it has none.
    """
    if not (run / "findings.json").exists():
        raise InputError(f"Run {run.name} has no findings yet. Finish its audit first: the same command resumes it.")


def accepted(workspace: Workspace, dataset: str) -> Accepted | None:
    """What is accepted for data set `dataset`; None: nothing.

    Raises:
        InputError: the record is damaged.
    """
    path = _path(workspace, dataset)
    if not path.exists():
        return None
    try:
        return Accepted.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path} is no record of an accepted audit. Remove it and accept the audit again.") from error


def all_accepted(workspace: Workspace) -> dict[str, Accepted]:
    """What is accepted, by data set."""
    names = sorted(path.stem for path in (workspace.path / "accepted").glob("*.json"))
    return {name: found for name in names if (found := accepted(workspace, name)) is not None}


def dataset_of(run: Path) -> str:
    """Name of the data set that a run is about."""
    return str(read_json(run / "run.json")["request"]["dataset"]).split("/")[0]


def _path(workspace: Workspace, dataset: str) -> Path:
    return workspace.path / "accepted" / f"{dataset}.json"
