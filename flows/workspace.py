"""Where things lie on disk: data sets, models and runs of one workspace."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from flows.mirror import folder_of, is_url, refresh, url_of
from pipeline.errors import InputError

ENVIRONMENT = "CXR_AUDIT_HOME"
DATABASE_ENVIRONMENT = "CXR_AUDIT_DATABASE"
LOG_ENVIRONMENT = "CXR_AUDIT_LOG_LEVEL"


def default_workspace() -> Path:
    """`CXR_AUDIT_HOME`, or ./workspace."""
    return workspace_at(os.environ.get(ENVIRONMENT, "workspace"))


def workspace_at(place: str | Path) -> Path:
    """The folder of a workspace that is named by its path, or by the URL of the store that it is kept in.

    Raises:
        InputError: no such kind of store, or the URL holds credentials.
    """
    return folder_of(place) if isinstance(place, str) and is_url(place) else Path(place)


def has_review_database(workspace: Path) -> bool:
    """Whether decisions have a place: a workspace in a store has none of its own."""
    return bool(os.environ.get(DATABASE_ENVIRONMENT)) or url_of(workspace) is None


def review_database(workspace: Path) -> str:
    """Where reviewers' decisions are: `CXR_AUDIT_DATABASE`, a path or a database's URL, or the workspace's own file.

    Raises:
        InputError: none is named, and the workspace is kept in a store, which can hold no database.
    """
    if not has_review_database(workspace):
        raise InputError(
            f"{url_of(workspace)} cannot hold the review's database, and a file on this machine alone would be lost "
            "with its mirror. Name a PostgreSQL database by --database or CXR_AUDIT_DATABASE, as a URL."
        )
    return os.environ.get(DATABASE_ENVIRONMENT) or str(Workspace(workspace).database)


def existing(workspace: Path) -> Workspace:
    """A workspace to look through: that there is nothing wrong in a folder that is not there would say nothing.

    Raises:
        InputError: there is none. One in a store may have nothing on this machine yet.
    """
    if not workspace.is_dir() and url_of(workspace) is None:
        raise InputError(f"{workspace}: no such folder. Name the workspace by --workspace or {ENVIRONMENT}.")
    return Workspace(workspace.resolve())


@dataclass(frozen=True)
class Workspace:
    """The folders of one workspace; nothing is created until something is written."""

    path: Path

    @property
    def datasets(self) -> Path:
        """datasets/<name>/<version>/"""
        return self.path / "datasets"

    @property
    def models(self) -> Path:
        """models/<name>/<version>/"""
        return self.path / "models"

    @property
    def runs(self) -> Path:
        """runs/<run-id>/"""
        return self.path / "runs"

    @property
    def generated(self) -> Path:
        """generated/<hash>/: phantom data sets, the data roots of generated manifests."""
        return self.path / "generated"

    @property
    def cache(self) -> Path:
        """cache/: what `datasets fetch` downloaded, and resized pixels shared between trainings."""
        return self.path / "cache"

    @property
    def benchmarks(self) -> Path:
        """benchmarks/<hash>/: results of the `benchmark` flow."""
        return self.path / "benchmarks"

    @property
    def jobs(self) -> Path:
        """jobs/<run-id>/: repairs that were started from the review page, with their logs."""
        return self.path / "jobs"

    @property
    def logs(self) -> Path:
        """logs/<host>.jsonl: structured logs, see docs/operations.md."""
        return self.path / "logs"

    @property
    def notices(self) -> Path:
        """notices.yaml: who is told what, unless another file is named."""
        return self.path / "notices.yaml"

    @property
    def notified(self) -> Path:
        """notified/<run-id>.json: who has been told what about a run."""
        return self.path / "notified"

    @property
    def database(self) -> Path:
        """review.sqlite: what reviewers decided, unless another database is named."""
        return self.path / "review.sqlite"

    def run(self, run_id: str) -> Path:
        """The folder of an existing run, named by its id, a unique prefix of it, or `last`.

        Raises:
            InputError: no run or more than one fits.
        """
        refresh(self.path, run_id)
        runs = sorted(
            (p for p in self.runs.glob("*") if (p / "run.json").exists()),
            key=lambda p: (p / "run.json").stat().st_mtime,
        )
        fitting = runs[-1:] if run_id == "last" else [p for p in runs if p.name.startswith(run_id)]
        if len(fitting) != 1:
            known = ", ".join(p.name for p in runs[-5:]) or "none"
            raise InputError(
                f"{len(fitting)} runs in {self.runs} fit {run_id!r}; newest: {known}. Give one id, or `last`."
            )
        return fitting[0]
