"""`benchmark shortcuts`: are planted shortcuts confirmed, and does repair win back what they cost?"""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Json, Seed
from flows.console import progress, say, shown


class SubsetName(StrEnum):
    """How many trials."""

    full = "full"
    ci = "ci"


def shortcuts(
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset", help="Folder of a data set version; generated images without it.", exists=True, file_okay=False
        ),
    ] = None,
    classes: Annotated[
        str, typer.Option("--classes", help="Two classes, comma-separated; those of the data set if it has two.")
    ] = "",
    source: Annotated[list[str] | None, typer.Option("--source", help="Only images of it; repeatable.")] = None,
    images: Annotated[int, typer.Option("--images", min=60, help="At most so many images of the data set.")] = 400,
    subset: Annotated[SubsetName, typer.Option("--subset", help="ci: four trials on small pictures.")] = (
        SubsetName.full
    ),
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes, one trial each.")] = 2,
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", file_okay=False)] = Path(
        "benchmark-shortcuts"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Are planted shortcuts confirmed, controls left alone, and is what was lost won back?

    Resumes where it was stopped when the same command is given again. Seed 0 is what is reported; try things with
    others.
    """
    from pipeline.benchmark.shortcuts import ShortcutRequest, benchmark_shortcuts

    began = time.perf_counter()
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    request = ShortcutRequest(dataset, names, tuple(source or ()), images, subset.value, seed)
    with shown():
        trials = benchmark_shortcuts(request, out, workers=workers, progress=progress())
    if as_json:
        typer.echo(trials.to_json(orient="records", indent=2))
        return
    say((out / "table.md").read_text(encoding="utf-8"))
    say(f"table   {out / 'table.md'}   ({time.perf_counter() - began:.0f} s)")
