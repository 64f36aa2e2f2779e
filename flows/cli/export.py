"""`export`: a clean data set leaves the workspace."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import WORKSPACE, DataRoot, Json, Workers, WorkspacePath
from flows.cli.versions import find_version
from flows.console import printable, progress, shown
from flows.workspace import Workspace
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.export import Source


class FormatName(StrEnum):
    """What is written."""

    png = "png"
    dicom = "dicom"
    coco = "coco"
    label_studio = "label-studio"
    masks = "masks"
    metadata = "metadata"
    all = "all"


class SyntaxName(StrEnum):
    """How changed DICOM images are encoded."""

    explicit = "explicit"
    jpeg_ls = "jpeg-ls"
    jpeg_2000 = "jpeg-2000"
    rle = "rle"


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(export)


def export(
    what: Annotated[
        str, typer.Argument(help="Run (id, prefix or `last`) or data set version.", metavar="RUN_OR_VERSION")
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder, or that of the same export.", file_okay=False)],
    formats: Annotated[
        list[FormatName] | None, typer.Option("--format", help="What to write; repeatable. `all`: what there is.")
    ] = None,
    data_root: DataRoot = None,
    syntax: Annotated[
        SyntaxName, typer.Option("--transfer-syntax", help="Of changed DICOM images; all are lossless.")
    ] = SyntaxName.explicit,
    prefix: Annotated[
        str, typer.Option("--image-prefix", help="Put before picture paths in Label Studio tasks.")
    ] = "/data/local-files/?d=",
    workspace: WorkspacePath = WORKSPACE,
    workers: Workers = 2,
    as_json: Json = False,
) -> None:
    """Write cleansed images at full size and depth, regions and a table. Originals are only read; resumes."""
    from pipeline.export import ExportOptions
    from pipeline.export import export as write

    home = Workspace(workspace.resolve())
    source = _source(home, what)
    asked = None if not formats or FormatName.all in formats else [name.value for name in formats]
    with shown():
        state = write(
            source,
            _originals(home, source, data_root),
            out,
            asked,
            ExportOptions(syntax.value, prefix, workers),
            progress=progress(),
        )
    typer.echo(json.dumps(state, indent=2) if as_json else printable(_as_text(state, out)))


def _source(home: Workspace, what: str) -> Source:
    from flows.settings import configure_prefect
    from pipeline.export import source_of_run, source_of_version

    configure_prefect(home.path)
    from flows.tasks.lung_fields import lung_fields

    how: dict[str, Any] = {"find_lungs": partial(lung_fields, home), "bundles": home.models}
    if not any(path.name.startswith(what) for path in home.runs.glob("*")) and what != "last":
        return source_of_version(find_version(home, what), home.runs, **how)
    return source_of_run(home.run(what), home.datasets, **how)


def _originals(home: Workspace, source: Source, data_root: Path | None) -> Path:
    """Where the original files lie: as given, else where a manifest that generates its images had put them.

    Raises:
        InputError: there is no such folder.
    """
    if data_root is None:
        data_root = _generated(home, source)
    if not data_root.is_dir():
        raise InputError(
            f"--data-root {data_root}: no such folder. Give the folder that the manifest's paths are relative to."
        )
    return data_root


def _generated(home: Workspace, source: Source) -> Path:
    from flows.request import AuditRequest
    from flows.tasks.data import generated_root

    manifest = source.dataset.path / "manifest.yaml"
    return generated_root(AuditRequest(manifest=str(manifest), workspace=home.path))


def _as_text(state: dict[str, Any], out: Path) -> str:
    images, regions = state["counts"]["images"], state["counts"].get("regions")
    lines = [
        f"{images['all']:,} images of version {state['version']}: {images['changed']:,} changed "
        f"({images['decoys']:,} of them decoys), {images['unchanged']:,} unchanged"
    ]
    if regions:
        lines.append(
            f"{regions['all']:,} regions: {regions['removed']:,} removed, {regions['held_back']:,} held back for a "
            f"person, {regions['left']:,} left"
        )
    for name, facts in state["formats"].items():
        lines.append(f"{name:<12} {facts['images']:,} images  {out / facts['place']}")
        lines += [f"  not written: {entry['path']}: {entry['reason']}" for entry in facts.get("reasons", ())]
    return "\n".join(lines)
