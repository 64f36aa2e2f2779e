"""`benchmark removal`: do SP, LIME and MP gain from painting over what they remove?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Device, DeviceName, Json, Seed
from flows.console import progress, say, shown


def removal(
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
    explained: Annotated[int, typer.Option("--explained", min=2, help="Test images that are explained.")] = 8,
    fill: Annotated[
        str | None,
        typer.Option("--fill", help="What the generative variants paint with, e.g. learned; telea if left out."),
    ] = None,
    network: Annotated[str, typer.Option("--network", help="Architecture of the classifier.")] = "resnet18",
    input_size: Annotated[int, typer.Option("--input-size", min=32, help="Its side, pixels.")] = 128,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="It is trained.")] = 6,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Of SP's patch, pixels.")] = 8,
    samples: Annotated[int, typer.Option("--samples", min=2, help="Of LIME.")] = 200,
    iterations: Annotated[int, typer.Option("--iterations", min=1, help="Of MP.")] = 150,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes, one image each.")] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", file_okay=False)] = Path(
        "benchmark-removal"
    ),
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Are sp-g, lime-g and mp-g more plausible, accurate and robust than sp, lime and mp, on a known shortcut?

    Resumes where it was stopped when the same command is given again.
    """
    from flows.request import resolve_device
    from pipeline.benchmark.removal import RemovalRequest, benchmark_removal
    from pipeline.explain.registry import BEST_FILL

    began = time.perf_counter()
    request = RemovalRequest(
        dataset,
        tuple(name.strip() for name in classes.split(",") if name.strip()),
        tuple(source or ()),
        images,
        explained,
        fill or BEST_FILL,
        network,
        input_size,
        epochs,
        stride,
        samples,
        iterations,
        seed=seed,
    )
    with shown():
        summary = benchmark_removal(
            request, out, workers=workers, device=resolve_device(device.value), progress=progress()
        )
    if as_json:
        typer.echo(summary.to_json(orient="records", indent=2))
        return
    say((out / "table.md").read_text(encoding="utf-8"))
    say(f"table   {out / 'table.md'}   ({time.perf_counter() - began:.0f} s)")
