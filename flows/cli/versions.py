"""Finding a data-set version by what a person types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.workspace import Workspace
from pipeline.errors import InputError

VersionArgument = Annotated[
    str, typer.Argument(help="Data set version: its id, a unique prefix of one, or its folder.", metavar="VERSION")
]


def find_version(workspace: Workspace, name: str) -> Path:
    """The folder of a data-set version, named by its folder, its id or a unique prefix of it.

    Raises:
        InputError: no version or more than one fits.
    """
    if (Path(name) / "meta.json").exists():
        return Path(name)
    versions = sorted(path.parent for path in workspace.datasets.glob("*/*/meta.json"))
    fitting = [path for path in versions if path.name.startswith(name)]
    if len(fitting) != 1:
        known = ", ".join(f"{path.parent.name}/{path.name}" for path in versions[-8:]) or "none"
        raise InputError(f"{len(fitting)} data set versions in {workspace.datasets} fit {name!r}; there are: {known}.")
    return fitting[0]
