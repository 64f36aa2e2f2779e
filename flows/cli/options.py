"""Options that several commands share."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.workspace import DATABASE_ENVIRONMENT, ENVIRONMENT, LOG_ENVIRONMENT, workspace_at


class PresetName(StrEnum):
    """How thorough an audit is."""

    quick = "quick"
    standard = "standard"
    full = "full"


class DeviceName(StrEnum):
    """Where the model runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PolicyName(StrEnum):
    """Who accepts findings when no person does."""

    confirmed = "confirmed"
    none = "none"


class FailOn(StrEnum):
    """What makes the exit code 3, see `flows.gate`."""

    confirmed = "confirmed"
    suspected = "suspected"
    metric_drop = "metric-drop"
    drift = "drift"


def _workspace(place: str | Path) -> Path:
    folder = workspace_at(place)
    if folder.is_file():
        raise typer.BadParameter(f"{folder} is a file.")
    return folder


WORKSPACE = Path("workspace")
"""Default of `--workspace`; the environment variable wins over it."""

ManifestArgument = Annotated[
    str, typer.Argument(help="Manifest file, or the name of a built-in one (see `datasets list`).", metavar="MANIFEST")
]
RunArgument = Annotated[str, typer.Argument(help="Run id, a unique prefix of one, or `last`.", metavar="RUN")]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Folder that the manifest's paths are relative to.", file_okay=False)
]
LogLevel = Annotated[
    str | None,
    typer.Option("--log-level", help="How much is logged: debug, info, warning or error.", envvar=LOG_ENVIRONMENT),
]
WorkspacePath = Annotated[
    Path,
    typer.Option(
        "--workspace",
        help="Where data sets, models and runs are kept: a folder, or the URL of an object store, such as "
        "s3://bucket/prefix; see docs/object-store.md.",
        envvar=ENVIRONMENT,
        parser=_workspace,
        metavar="FOLDER|URL",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="The review's database: a path, or the URL of a PostgreSQL database. review.sqlite of the workspace by "
        "default.",
        envvar=DATABASE_ENVIRONMENT,
        show_envvar=True,
    ),
]
Grow = Annotated[
    bool,
    typer.Option(
        "--grow",
        help="Go on from the last audit of this data set: its classifier and splits stay, and only new and changed "
        "images are decoded, searched and explained.",
    ),
]
FailOnOption = Annotated[
    list[FailOn] | None,
    typer.Option(
        "--fail-on",
        help="Exit with 3 on such findings, or on a drop of a test metric or any drift since the accepted audit. May "
        "be given several times.",
    ),
]
DropAtLeast = Annotated[
    float,
    typer.Option(
        "--metric-drop-at-least",
        min=0,
        max=1,
        help="Smallest drop that fails, e.g. 0.02; its interval must exclude 0 whatever its size.",
    ),
]
JUnit = Annotated[
    Path | None, typer.Option("--junit", help="Write every check to this file as JUnit XML.", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Preset = Annotated[PresetName, typer.Option("--preset", help="How thorough.")]
Seed = Annotated[int, typer.Option("--seed", help="Every random choice derives from it.")]
Device = Annotated[DeviceName, typer.Option("--device", help="Where the model runs.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes for decoding and mark detection.")]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Where the work is spread: `local` (a worker for every GPU or core), `local:4`, or the address of a Dask "
        "scheduler, such as tcp://10.0.0.5:8786; see docs/cluster.md. This process and --workers by default.",
    ),
]
ModelPath = Annotated[
    Path | None,
    typer.Option("--model", help="Bundle to audit instead of training, or a state dict with --spec.", exists=True),
]
SpecPath = Annotated[
    Path | None, typer.Option("--spec", help="JSON of the state dict's ModelSpec.", exists=True, dir_okay=False)
]


def use_database(database: str | None) -> None:
    """Let everything that this process does use `database`.

    By the environment, not as a parameter of a flow: Prefect keeps parameters, and a URL may hold a password.
    """
    if database:
        os.environ[DATABASE_ENVIRONMENT] = database
