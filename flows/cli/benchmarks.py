"""`benchmark explainers`: which saliency method shows what a classifier reads."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.benchmark_detectors import detectors
from flows.cli.benchmark_fills import fills
from flows.cli.benchmark_removal import removal
from flows.cli.benchmark_shortcuts import shortcuts
from flows.cli.options import Device, DeviceName, Json, Seed, SpecPath
from flows.console import progress, say, shown, stderr

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from models import ModelSpec
    from pipeline.benchmark import Request

app = typer.Typer(help="Compare methods where the truth is known.", no_args_is_help=True)
app.command()(detectors)
app.command()(fills)
app.command()(shortcuts)
app.command()(removal)

TYPICAL_EVALUATIONS = 3000
"""Forward passes per image of a method that optimises or samples masks, in round numbers (docs: 500 to 8000)."""
SHOWN = {
    "igos_deletion": "deletion ↓",
    "igos_insertion": "insertion ↑",
    "enrichment": "enrichment ↑",
    "randomised_all": "randomised ↓",
}
"""Columns of the summary on the screen and their heads; the page has all."""


@app.callback()
def benchmark() -> None:
    """Keeps `explainers` a command of its own name: typer would fold a single one into the group."""


@app.command()
def explainers(
    model: Annotated[
        Path | None, typer.Option("--model", help="Bundle of the classifier, or a state dict with --spec.", exists=True)
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", help="Folder of a data set version.", exists=True, file_okay=False)
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--explainers", help="Names, comma-separated or repeated; all by default, see --list."),
    ] = None,
    images: Annotated[int, typer.Option("--images", min=1, help="Test images at most.")] = 32,
    stability_images: Annotated[
        int,
        typer.Option("--stability-images", min=0, help="Of these, how many for the costly metrics; 0 leaves them out."),
    ] = 4,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="NAME.KEY=VALUE of one explainer, e.g. rise.masks=500; repeatable."),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            "--marks", help="CSV of true boxes (path, x0, y0, x1, y1); found by itself for phantoms.", exists=True
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the result.", file_okay=False)] = Path("benchmark"),
    spec: SpecPath = None,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    listing: Annotated[bool, typer.Option("--list", help="Print the explainers there are, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Quality, stability, bias and cost of explainers on the same test images, as Parquet and a page.

    Resumes where it was stopped when the same command is given again.
    """
    if listing:
        _list(as_json)
        return
    if model is None or dataset is None:
        raise typer.BadParameter("--model and --dataset are needed (or --list).")
    began = time.perf_counter()
    request = _request(names, images, stability_images, seed, option)
    summary = _run(model, dataset, request, marks, out, spec, device.value)
    if as_json:
        typer.echo(summary.to_json(orient="records", indent=2))
        return
    _print(summary)
    say(f"page    {out / 'index.html'}   ({time.perf_counter() - began:.0f} s)")


def _run(
    model: Path,
    dataset: Path,
    request: Request,
    marks: Path | None,
    out: Path,
    spec: Path | None,
    device: str,
) -> pd.DataFrame:
    from flows.request import resolve_device
    from pipeline.artifacts import content_hash, sha256_artifact
    from pipeline.benchmark import benchmark_explainers, planted_marks, read_marks, with_trivial
    from pipeline.dataset import DatasetVersion
    from pipeline.train import load_classifier

    methods = len(with_trivial(request.explainers))
    data = DatasetVersion(dataset)
    network, contract = load_classifier(model, spec)
    network = network.to(resolve_device(device))
    stderr.print(_estimate(network, contract, methods, request.images))
    weights = content_hash([sha256_artifact(path) for path in (model, spec) if path])
    with shown():
        return benchmark_explainers(
            network,
            contract,
            data,
            request,
            out,
            weights=weights,
            marks=read_marks(marks) if marks else planted_marks(data),
            progress=progress(),
        )


def _request(
    names: list[str] | None, images: int, stability_images: int, seed: int, options: list[str] | None
) -> Request:
    from pipeline.benchmark import Request
    from pipeline.explain import available

    asked = tuple(name.strip() for text in names or () for name in text.split(",") if name.strip())
    return Request(asked or available(), images, stability_images, seed, _options(options or []))


def _options(texts: list[str]) -> dict[str, dict[str, Any]]:
    """`NAME.KEY=VALUE` by name and key; values are read as YAML, so that numbers and lists are what they look like."""
    import yaml

    from pipeline import plain_yaml
    from pipeline.explain.registry import method

    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        name, dot, key = place.rpartition(".")
        if not (equals and dot and key):
            raise typer.BadParameter(f"--option {text!r}: NAME.KEY=VALUE is needed, e.g. rise.masks=500.")
        method(name)
        try:
            found.setdefault(name, {})[key] = plain_yaml.load(value)
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"--option {text!r}: the value is not plain YAML: {error}") from error
    return found


def _estimate(network: nn.Module, spec: ModelSpec, methods: int, images: int) -> str:
    """How long it may take, from one timed batch: an order of magnitude, said before anything is computed."""
    from pipeline.inference import probabilities
    from pipeline.train.load import probe_images

    batch = spec.preprocess(probe_images(spec.input_size, 16))
    probabilities(network, batch)
    began = time.perf_counter()
    probabilities(network, batch)
    each = (time.perf_counter() - began) / len(batch)
    hours = each * TYPICAL_EVALUATIONS * images * methods / 3600
    return (
        f"{methods} explainers, at most {images} images, {1000 * each:.1f} ms per evaluation of the classifier: up to "
        f"{hours:.1f} h if each took {TYPICAL_EVALUATIONS} evaluations an image (mask optimisers take more, gradients "
        "almost none). Choose with --explainers and --images; an interrupted run resumes."
    )


def _list(as_json: bool) -> None:
    from pipeline.explain.registry import METHODS

    if as_json:
        records = [
            {"name": name, "needs": m.needs, "title": m.title, "trivial": m.trivial} for name, m in METHODS.items()
        ]
        typer.echo(json.dumps(records, indent=2))
        return
    table = Table("name", "needs", "title", box=None, header_style="bold")
    for name, entry in METHODS.items():
        table.add_row(name, entry.needs, entry.title)
    Console().print(table)


def _print(summary: pd.DataFrame) -> None:
    table = Table("explainer", "images", "failed", *SHOWN.values(), box=None, header_style="bold")
    for row in summary.to_dict("records"):
        cells = ["–" if row[name] is None or row[name] != row[name] else f"{row[name]:.3f}" for name in SHOWN]
        table.add_row(row["explainer"], str(row["images"]), str(row["failed"]), *cells)
    Console().print(table)
