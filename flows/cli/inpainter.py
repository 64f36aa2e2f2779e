"""`train-inpainter`: an inpainter of a data set's own clean regions, for the fill `learned:<bundle>`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Device, DeviceName, Json, Seed
from flows.console import progress, say, shown


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command("train-inpainter")(train)


def train(
    version: Annotated[
        Path, typer.Argument(help="Dataset version to learn from.", exists=True, file_okay=False, metavar="VERSION")
    ],
    regions: Annotated[
        Path,
        typer.Option(
            "--regions", help="regions.parquet of one of its runs: marks to avoid.", exists=True, dir_okay=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder for the bundle.", file_okay=False)] = Path("inpainter"),
    steps: Annotated[int, typer.Option("--steps", min=1, help="Batches.")] = 600,
    start: Annotated[
        Path | None,
        typer.Option("--start", help="Bundle to go on from; the shipped one by default.", exists=True, file_okay=False),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start from an untrained network.")] = False,
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Learn from images of this source alone; repeatable.")
    ] = None,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Train the inpainter on windows of splits train and val that meet no mark; an interrupted training resumes.

    600 steps take about three minutes on one idle processor core. Use it as fill `learned:FOLDER`.
    """
    from flows.request import resolve_device
    from pipeline.artifacts import read_json, read_parquet
    from pipeline.dataset import DatasetVersion
    from pipeline.errors import InputError
    from pipeline.train.fit_inpainter import fit_inpainter

    if out.exists():
        raise InputError(f"{out} exists already. Give another folder with --out.")
    if fresh and start is not None:
        raise InputError("--fresh starts from an untrained network and --start from a trained one. Give one of them.")
    with shown():
        fit_inpainter(
            DatasetVersion(version),
            read_parquet(regions),
            steps,
            seed,
            out,
            start=start,
            fresh=fresh,
            sources=tuple(source or ()),
            device=resolve_device(device.value),
            progress=progress(),
        )
    metrics = read_json(out / "metrics.json")
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
        return
    last = ", ".join(f"{name} {value:.3f}" for name, value in metrics["history"][-1].items() if name != "step")
    say(f"{metrics['images']} images, {steps} steps; losses at the end: {last}. Fill: learned:{out.resolve()}")
