"""Which audits of a data set ended, in their order: `<workspace>/history/<data set>.json`."""

from __future__ import annotations

from pathlib import Path

from flows.workspace import Workspace
from pipeline.artifacts import read_json, write_json
from pipeline.locks import locked


def ended(workspace: Workspace, dataset: str) -> list[Path]:
    """Run folders of the audits of `dataset` that ended, newest first; those that were removed since are left out."""
    path = _path(workspace, dataset)
    names = read_json(path)["runs"] if path.exists() else []
    runs = [workspace.runs / name for name in reversed(names)]
    return [run for run in runs if (run / "run.json").exists()]


def remember(run: Path, dataset: str) -> None:
    """Put an audit that has just ended last; one that did so before, and only found its work done, moves up."""
    workspace = Workspace(run.parent.parent)
    path = _path(workspace, dataset)
    with locked(path, f"notes that {run.name} ended"):
        names = read_json(path)["runs"] if path.exists() else []
        if names[-1:] != [run.name]:
            write_json(path, {"runs": [*(name for name in names if name != run.name), run.name]})


def _path(workspace: Workspace, dataset: str) -> Path:
    return workspace.path / "history" / f"{dataset}.json"
