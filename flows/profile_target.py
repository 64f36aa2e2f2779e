"""What `cxr-audit profile` is pointed at, brought to one table with one row an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from flows.workspace import Workspace
from pipeline.artifacts import read_json, read_parquet
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError

_PROBLEMS = ("place", "reason", "detail")
_TABLES = (".csv", ".tsv", ".tab", ".parquet", ".txt")


@dataclass(frozen=True)
class Target:
    """A table and what is known about how it was come by.

    Attributes:
        title: for the head of the output.
        table: one row an image; unknown is null.
        names: what to call each row.
        problems: rows that could not be used: place, reason, detail.
        notes: sentences about how the table was read.
        dataset: where the table is that of a dataset version.
        regions: the regions table of a run.
    """

    title: str
    table: pd.DataFrame
    names: list[str]
    problems: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    dataset: DatasetVersion | None = None
    regions: pd.DataFrame | None = None


def open_target(targets: Sequence[str], data_root: Path | None, workspace: Path) -> Target:
    """A dataset version's or a run's folder, a manifest (ingested as an audit would), or one or more tables.

    Raises:
        InputError: it is none of these, or cannot be read.
    """
    paths = [Path(target) for target in targets]
    if all(path.suffix.casefold() in _TABLES for path in paths):
        return _tables(paths)
    if len(targets) > 1:
        raise InputError(f"Several targets must be tables ({', '.join(_TABLES)}); found {', '.join(targets)}.")
    path = paths[0]
    if (path / "images.parquet").is_file():
        return _version(path)
    if (path / "run.json").is_file():
        return _run(path)
    if path.is_dir():
        raise InputError(
            f"{path} is neither a dataset version (images.parquet) nor a run (run.json). Give one of these folders, a "
            f"manifest, or a table ({', '.join(_TABLES)})."
        )
    return _version(_ingested(targets[0], data_root, workspace))


def _version(path: Path, regions: pd.DataFrame | None = None) -> Target:
    dataset = DatasetVersion(path)
    problems = read_parquet(path / "problems.parquet").rename(columns={"path": "place"})
    names = dataset.images["image_id"].astype(str).tolist()
    title = f"{dataset.meta.title} ({dataset.meta.name}/{dataset.meta.version})"
    return Target(title, dataset.images, names, problems, dataset=dataset, regions=regions)


def _run(path: Path) -> Target:
    version = Workspace(path.resolve().parent.parent).datasets / read_json(path / "run.json")["request"]["dataset"]
    regions = path / "regions.parquet"
    return _version(version, read_parquet(regions) if regions.exists() else None)


def _ingested(manifest: str, data_root: Path | None, workspace: Path) -> Path:
    """The dataset version of a manifest, without Prefect: its tasks are called as plain functions."""
    from flows.settings import configure_prefect

    configure_prefect(workspace)
    from flows.request import AuditRequest
    from flows.steps import Steps
    from flows.tasks import data

    request = AuditRequest(manifest=manifest, data_root=data_root, workspace=workspace.resolve())
    config = data.config_of(request)
    root = data_root or Steps().made(data.generated_root(request), lambda: data.generate.fn(request))
    return data.ingest.fn(request, root, config)[0]


def _tables(paths: Sequence[Path]) -> Target:
    from pipeline.flag.profile.roles import with_extension

    read = [_table(path, several=len(paths) > 1) for path in paths]
    return Target(
        title=", ".join(path.name for path in paths),
        table=with_extension(pd.concat([part.table for part in read], ignore_index=True)),
        names=[name for part in read for name in part.names],
        problems=pd.concat([part.problems for part in read], ignore_index=True),
        notes=[note for part in read for note in part.notes],
    )


def _table(path: Path, *, several: bool) -> Target:
    """One file: every cell as text, words for "unknown" as null."""
    from pipeline.ingest import vocabulary
    from pipeline.ingest.covidx import read_covidx, split_of
    from pipeline.ingest.tables import read_table

    problems, notes = pd.DataFrame(columns=list(_PROBLEMS), dtype="string"), []
    if path.suffix.casefold() == ".txt":
        found = read_covidx(path)
        cells, lines = found.rows, found.rows.index.tolist()
        places = [f"{path.name}:{line}" for line in found.problems.index]
        problems = found.problems.assign(place=places)[list(_PROBLEMS)]
        notes = [f"{n} lines of {path.name} misspell a source: {name}" for name, n in found.respelled.items()]
    else:
        cells = read_table(path)
        lines = list(range(2, len(cells) + 2))  # row 1 is the header
    known = pd.DataFrame({name: cells[name].map(vocabulary.known).astype("string") for name in cells})
    if several and "split" not in known:
        known = known.assign(split=split_of(path) or path.stem)
    return Target(
        path.name, known, [f"{path.name}:{line}" if several else f"row {line}" for line in lines], problems, notes
    )
