"""`profile`: what gives the label away before any model, from a table, a manifest, a dataset version or a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.options import WORKSPACE, DataRoot, Json, Seed, WorkspacePath
from flows.console import cell, say, shown

if TYPE_CHECKING:
    import pandas as pd

    from flows.profile_target import Target
    from pipeline.flag.profile.profile import Profile

MARKS_SHOWN = 10
_WIDTH = 120
"""Columns of a screen that the table of columns needs: narrower, rich would leave out their names."""

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...",
        help="Table (CSV, TSV, Parquet, COVIDx .txt; several: their names give the split), manifest, folder of a "
        "dataset version, or folder of a run.",
    ),
]
Label = Annotated[str | None, typer.Option("--label", help="Column that holds the classes.")]
Positive = Annotated[str | None, typer.Option("--positive", help="Class that is told from the rest.")]
Group = Annotated[str | None, typer.Option("--group", help="Column that says the patient.")]
Split = Annotated[str | None, typer.Option("--split", help="Column that says train, test and so on.")]
Columns = Annotated[
    list[str] | None, typer.Option("--columns", help="Only these columns, comma-separated or repeated.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for profile.json, tables and profile.html.", file_okay=False)
]


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(profile)


def profile(
    targets: Targets,
    label: Label = None,
    positive: Positive = None,
    group: Group = None,
    columns: Columns = None,
    split: Split = None,
    data_root: DataRoot = None,
    workspace: WorkspacePath = WORKSPACE,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """What gives the label away without any model: source, size, file format, view, sex, age, marks, copies."""
    from flows.profile_target import open_target
    from pipeline.flag.profile.association import mark_association
    from pipeline.flag.profile.profile import plain_rows, profile_table
    from pipeline.flag.profile.roles import guess_roles

    with shown():
        target = open_target(targets, data_root, workspace)
        known = target.dataset
        if known is not None:
            label, positive = label or "label", positive or (known.meta.positive if label in (None, "label") else None)
        only = [name.strip() for text in columns or () for name in text.split(",") if name.strip()]
        roles = guess_roles(target.table, label=label, positive=positive, group=group, split=split, columns=only)
        found = profile_table(target.table, roles, seed, names=target.names, pseudonyms=known is not None)
    marks = None if known is None or target.regions is None else mark_association(known, target.regions)
    result = {
        "target": target.title,
        "notes": target.notes + _unread(found.associations),
        "problems": {str(reason): int(n) for reason, n in target.problems["reason"].value_counts().items()},
        **found.to_json(),
        "marks": None if marks is None else plain_rows(marks),
    }
    if out is not None:
        _write(out, result, found, target, marks)
    if as_json:
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print(result, out)


def _unread(associations: pd.DataFrame) -> list[str]:
    counts = zip(associations["column"], associations["unread"], strict=True)
    return [f"{n} cells of column {name!r} are no numbers and count as missing" for name, n in counts if n]


def _write(out: Path, result: Mapping[str, Any], found: Profile, target: Target, marks: pd.DataFrame | None) -> None:
    from flows.profile_page import render_profile
    from pipeline.artifacts import write_json, write_parquet, write_text

    write_json(out / "profile.json", result)
    write_parquet(out / "associations.parquet", found.associations)
    write_parquet(out / "levels.parquet", found.levels)
    write_parquet(out / "problems.parquet", target.problems)
    if marks is not None:
        write_parquet(out / "marks.parquet", marks)
    write_text(out / "profile.html", render_profile(result))


def _print(result: Mapping[str, Any], out: Path | None) -> None:
    from flows.profile_page import read_as, rows_line

    console = Console()
    for sentence in result["verdict"]:
        console.print(f"[bold]•[/] {cell(sentence)}", highlight=False)
    console.print()
    for line in (rows_line(result), *result["notes"], read_as(result["roles"])):
        console.print(cell(line), style="dim", highlight=False)
    if result["associations"]:
        console.print()
        Console(width=max(console.width, _WIDTH)).print(_columns_table(result))
    if result["marks"]:
        console.print()
        console.print(_marks_table(result["marks"], result["roles"]["positive"]))
    console.print()
    console.print(_splits_table(result["splits"]))
    if out is not None:
        say(f"page    {out / 'profile.html'}")


def _columns_table(result: Mapping[str, Any]) -> Table:
    from flows.profile_page import column_cells

    table = Table(box=None, header_style="bold", title="Columns against the label", title_justify="left")
    for name in ("column", "AUROC", "Cramér's V", "by chance", "information", "missing", "q", "says"):
        table.add_column(
            name, no_wrap=name not in ("column", "says"), justify="left" if name in ("column", "says") else "right"
        )
    for record in result["records"]:
        table.add_row(*map(cell, column_cells(record, result)))
    return table


def _marks_table(marks: Sequence[Mapping[str, Any]], positive: str) -> Table:
    from flows.profile_page import mark_cells

    table = Table(
        box=None, header_style="bold", title=f"Marks on training images, for {cell(positive)}", title_justify="left"
    )
    for name in ("mark", "on positive", "on the rest", "odds ratio", "q"):
        table.add_column(name, justify="left" if name == "mark" else "right")
    rows = [row for row in marks if row["class"] == positive]
    for row in sorted(rows, key=lambda row: -max(row["odds_low"], 1 / row["odds_high"]))[:MARKS_SHOWN]:
        table.add_row(*map(cell, mark_cells(row)))
    return table


def _splits_table(checks: Sequence[Mapping[str, Any]]) -> Table:
    from flows.profile_page import examples

    table = Table(box=None, header_style="bold", title="Copies, patients and splits", title_justify="left")
    for name in ("check", "groups", "rows", "meaning", "such as"):
        table.add_column(name, justify="right" if name in ("groups", "rows") else "left")
    for check in checks:
        counts = ["–" if check[name] is None else f"{check[name]:,}" for name in ("groups", "rows")]
        table.add_row(*map(cell, (check["check"], *counts, check["meaning"], examples(check, 2))))
    return table
