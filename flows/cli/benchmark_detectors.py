"""`benchmark detectors`: what the region detectors find on real x-rays where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.options import Json, Seed
from flows.console import progress, say, shown

if TYPE_CHECKING:
    import pandas as pd


def detectors(
    images: Annotated[
        Path,
        typer.Option("--images", help="Folder of real x-rays, searched recursively.", exists=True, file_okay=False),
    ],
    marks: Annotated[
        Path | None,
        typer.Option(
            "--marks",
            help="CSV of marks boxed by a person: path (relative to --images), x0, y0, x1, y1, kind.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=0, help="How many images get marks planted; 0: only --marks is scored.")
    ] = 60,
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", file_okay=False)] = Path(
        "benchmark-detectors"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Recall, precision and cost of the region detectors: marks planted at known places, and marks boxed by eye.

    Resumes where it was stopped when the same command is given again.
    """
    from pipeline.benchmark.detectors import DetectorRequest, benchmark_detectors

    with shown():
        summary = benchmark_detectors(DetectorRequest(images, marks, count, seed), out, progress=progress())
    if as_json:
        typer.echo(summary.to_json(orient="records", indent=2))
        return
    _print(summary)
    say(f"tables  {out / 'table.md'}")
    say(f"misses  {out / 'misses.png'}")


def _print(summary: pd.DataFrame) -> None:
    table = Table("truth", "measure", "by", "", "n", "rate", "95 % interval", box=None, header_style="bold")
    for row in summary[summary["by"].isin(("all", "kind"))].dropna(subset=["rate"]).to_dict("records"):
        cells = (row["truth"], row["measure"], row["by"], row["value"], str(row["n"]), f"{row['rate']:.2f}")
        table.add_row(*cells, f"{row['low']:.2f} to {row['high']:.2f}")
    Console().print(table)
