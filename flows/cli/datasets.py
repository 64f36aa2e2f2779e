"""`datasets list | check | fetch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.options import WORKSPACE, Json, ManifestArgument, WorkspacePath
from flows.console import cell, progress, say, shown
from flows.workspace import Workspace

app = typer.Typer(help="Manifests: list them, check them against data, fetch what they pin.", no_args_is_help=True)


@app.command("list")
def list_manifests(as_json: Json = False) -> None:
    """Built-in manifests: name, title, classes, licence."""
    from pipeline.ingest import builtin_manifests, find_manifest

    manifests = [find_manifest(name) for name in builtin_manifests()]
    if as_json:
        say(
            json.dumps(
                [m.model_dump(mode="json", include={"name", "title", "classes", "licence"}) for m in manifests],
                indent=2,
            )
        )
        return
    table = Table(box=None, header_style="bold")
    table.add_column("name", no_wrap=True)
    for column in ("title", "classes", "licence"):
        table.add_column(column)
    for manifest in manifests:
        table.add_row(*map(cell, (manifest.name, manifest.title, ", ".join(manifest.classes), manifest.licence)))
    Console().print(table)


@app.command()
def check(
    manifest: ManifestArgument,
    data_root: Annotated[
        Path, typer.Option("--data-root", help="Folder that the manifest's paths are relative to.", file_okay=False)
    ],
    as_json: Json = False,
) -> None:
    """Read a manifest against its data, without decoding images: counts by class, source and problem."""
    from pipeline.ingest import check_manifest, find_manifest

    report = check_manifest(find_manifest(manifest), data_root)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
        return
    table = Table("source", "class", "split", "images", "patients", "of unknown patient", box=None, header_style="bold")
    for group in report.groups:
        counts = (group.images, group.patients, group.without_patient)
        table.add_row(*map(cell, (group.source, group.label, group.split)), *(f"{count:,}" for count in counts))
    Console().print(table)
    say(f"{report.images:,} images, {report.patients:,} known patients")
    for reason, count in report.problems.items():
        say(f"not used, {reason}: {count:,}")
    for path in report.missing_files[:5]:
        say(f"missing: {path}")


@app.command()
def fetch(manifest: ManifestArgument, workspace: WorkspacePath = WORKSPACE) -> None:
    """Download what a manifest pins (git at a commit, https with sha256) into the cache; resumes, verifies.

    Prints the data root to give to the other commands.
    """
    from pipeline.ingest import find_manifest
    from pipeline.ingest.fetch import fetch as get

    with shown():
        root = get(find_manifest(manifest), Workspace(workspace).cache / "downloads", progress=progress())
    say(str(root))
