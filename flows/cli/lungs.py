"""`train-lungs`: make the lung segmenter again, or one for other pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Json, Seed
from flows.console import progress, say, shown


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command("train-lungs")(train)


def train(
    pictures: Annotated[Path, typer.Argument(help="Folder of x-rays.", exists=True, file_okay=False)],
    masks: Annotated[
        Path, typer.Argument(help="Folder of masks of the same names; lung is not black.", exists=True, file_okay=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder for weights and scores.", file_okay=False)] = Path(
        "lungs"
    ),
    table: Annotated[
        Path | None,
        typer.Option("--table", help="CSV with columns path and patient_id: patients stay together.", exists=True),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", help="Name without ending of a mask that is wrong, not to train on; repeatable."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", help="weights.pt of an earlier training to go on from.", exists=True, dir_okay=False),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=20, help="Batches of 8 pictures.")] = 2000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the lung segmenter on your masks and on phantoms; a quarter of the pictures is kept aside and scored.

    About a quarter of an hour on one idle processor core.
    """
    import pandas as pd

    from models.lungs import load_lung_net
    from pipeline.benchmark.lungs import train_lungs
    from pipeline.errors import InputError
    from pipeline.train.load import model_errors

    if out.exists():
        raise InputError(f"{out} exists already. Give another folder with --out.")
    patients: dict[str, str] = {}
    if table is not None:
        known = pd.read_csv(table, dtype=str)
        if not {"path", "patient_id"} <= set(known):
            raise InputError(f"{table} needs columns path and patient_id, found {', '.join(map(str, known))}.")
        known = known.dropna(subset=["path", "patient_id"])
        patients = {Path(path).stem: who for path, who in zip(known["path"], known["patient_id"], strict=True)}
    with shown(), model_errors():
        metrics = train_lungs(
            pictures,
            masks,
            out,
            patients=patients,
            leave_out=leave_out or (),
            start=None if start is None else load_lung_net(start),
            steps=steps,
            seed=seed,
            progress=progress(),
        )
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
        return
    say(
        f"Dice {metrics['dice']:.3f} [{metrics['dice_low']:.3f}, {metrics['dice_high']:.3f}] on {metrics['images']} "
        f"held-out pictures of {metrics['groups']} patients or series, lowest {metrics['dice_lowest']:.3f}; "
        f"{metrics['not_found']} without plausible lungs. Weights: {out / 'weights.pt'}"
    )
