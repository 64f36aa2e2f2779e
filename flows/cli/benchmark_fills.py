"""`benchmark fills`: how well removal operators repair real x-rays, and whether it shows."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.options import Json, Seed
from flows.console import progress, say, shown, stderr

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.benchmark.fills.subjects import Subject


class SplitName(StrEnum):
    """Splits of a data set version."""

    train = "train"
    val = "val"
    test = "test"
    other_source = "other_source"


SHOWN = {"mae": "MAE, greys", "texture": "texture AUROC", "network": "network AUROC", "milliseconds": "ms"}
"""Columns of the summary on the screen and their heads; the table has all."""


def fills(
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of real x-rays, searched recursively.", exists=True, file_okay=False),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", help="Or the folder of a data set version.", exists=True, file_okay=False),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            "--regions", help="regions.parquet of an audit of --dataset; else marks are detected now.", exists=True
        ),
    ] = None,
    split: Annotated[
        SplitName | None, typer.Option("--split", help="With --dataset: x-rays of this split only.")
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--fills", help="Names, comma-separated or repeated; by default all that need no file, and the learned one."
        ),
    ] = None,
    bundles: Annotated[
        Path | None, typer.Option("--bundles", help="Where learned:FOLDER and torchscript:FILE are looked for.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="X-rays at most.")] = 200,
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", file_okay=False)] = Path(
        "benchmark-fills"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Holes shaped like real marks on clean ground: error against the truth, the trace a classifier can read, time.

    Resumes where it was stopped when the same command is given again.
    """
    from pipeline.benchmark.fills import FillRequest, benchmark_fills
    from pipeline.fills import available_fills

    if (images is None) == (dataset is None):
        raise typer.BadParameter("--images or --dataset is needed, one of them.")
    if dataset is None and (regions or split):
        raise typer.BadParameter("--regions and --split go with --dataset.")
    asked = tuple(name.strip() for text in names or () for name in text.split(",") if name.strip())
    request = FillRequest(asked or (*available_fills(), "learned"), bundles, seed)
    with shown():
        summary = benchmark_fills(
            request, _subjects(images, dataset, regions, count, seed, split), out, progress=progress()
        )
    if as_json:
        typer.echo(summary.to_json(orient="records", indent=2))
        return
    _print(summary)
    say(f"table     {out / 'table.md'}")
    say(f"examples  {out / 'examples.png'}")


def _subjects(
    images: Path | None, dataset: Path | None, regions: Path | None, count: int, seed: int, split: SplitName | None
) -> list[Subject]:
    from pipeline.artifacts import read_parquet
    from pipeline.benchmark.fills.subjects import of_dataset, of_folder
    from pipeline.dataset import DatasetVersion

    if dataset is None:
        found = of_folder(images or Path(), count, seed)
    else:
        table = read_parquet(regions) if regions else None
        found = of_dataset(DatasetVersion(dataset), table, count, seed, split.value if split else None)
    if regions is None:
        stderr.print(f"Looking for marks on at most {count} x-rays; about a second each.")
    return list(found)


def _print(summary: pd.DataFrame) -> None:
    import pandas as pd

    table = Table("holes", "fill", "images", *SHOWN.values(), box=None, header_style="bold")
    for row in summary.to_dict("records"):
        cells = ["–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in SHOWN]
        table.add_row(row["size"], row["fill"], str(row["images"]), *cells)
    Console().print(table)
