"""Options that several commands share."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.workspace import DATABASE_ENVIRONMENT, ENVIRONMENT


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
    """Findings that make the exit code 3."""

    confirmed = "confirmed"
    suspected = "suspected"


WORKSPACE = Path("workspace")
"""Default of `--workspace`; the environment variable wins over it."""

ManifestArgument = Annotated[
    str, typer.Argument(help="Manifest file, or the name of a built-in one (see `datasets list`).", metavar="MANIFEST")
]
RunArgument = Annotated[str, typer.Argument(help="Run id, a unique prefix of one, or `last`.", metavar="RUN")]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Folder that the manifest's paths are relative to.", file_okay=False)
]
WorkspacePath = Annotated[
    Path,
    typer.Option("--workspace", help="Where data sets, models and runs are kept.", envvar=ENVIRONMENT, file_okay=False),
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
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Preset = Annotated[PresetName, typer.Option("--preset", help="How thorough.")]
Seed = Annotated[int, typer.Option("--seed", help="Every random choice derives from it.")]
Device = Annotated[DeviceName, typer.Option("--device", help="Where the model runs.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes for decoding and mark detection.")]
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
