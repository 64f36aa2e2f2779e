"""`reconstruct`: what else could stand in the salient region of an image without changing the classifier's answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.images import LARGEST_SIDE
from flows.cli.options import WORKSPACE, Device, DeviceName, Json, Seed, WorkspacePath
from flows.console import progress, say, shown
from flows.workspace import Workspace
from pipeline.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from models import ModelSpec
    from models.generative import PictureModel
    from pipeline.dataset import DatasetVersion
    from pipeline.explain.reconstruction import Variations

TILE = 128
"""Side of one picture on a sheet, pixels."""
COLUMNS = 8
LABEL = 16
"""Height of the line of text over each picture, pixels."""
ACCEPTED, REJECTED, PLAIN = (0, 158, 115), (213, 94, 0), (128, 128, 128)  # told apart with any colour vision

PAPER = {
    0.5: (59, 0.8889, 21),
    0.6: (59, 0.8169, 38),
    0.7: (33, 0.6622, 51),
    0.8: (22, 0.6799, 58),
    0.9: (18, 0.6468, 74),
}
"""Thakur and Fischmeister (2020) for each hole: accepted of 64, mean score of these, reconstruction loss."""
PAPER_NOTE = (
    "Paper (accuracy, score): one image of one class (lynx), read off a figure. Its 89 % is the mean score of those "
    "accepted at the smallest hole; the share accepted is 92 %. Its losses sum three colour channels, ours one."
)


def register(app: typer.Typer) -> None:
    """Add this file's command to the application."""
    app.command()(reconstruct)


def reconstruct(
    image: Annotated[Path, typer.Argument(help="A DICOM, PNG, JPEG, WebP or TIFF file.", exists=True, dir_okay=False)],
    model: Annotated[Path, typer.Option("--model", help="Bundle of the classifier.", exists=True, file_okay=False)],
    dataset: Annotated[
        Path, typer.Option("--dataset", help="Dataset version to learn pictures from.", exists=True, file_okay=False)
    ],
    method: Annotated[str, typer.Option("--method", help="Explainer that finds the salient region.")] = "blackbox-mask",
    target: Annotated[
        str | None, typer.Option("--class", help="Class that is to be the answer; the predicted one by default.")
    ] = None,
    candidates: Annotated[int, typer.Option("--candidates", min=1, help="Contents searched for each hole.")] = 64,
    steps: Annotated[
        int, typer.Option("--steps", min=0, help="Search updates of each candidate; 200 for a quick look.")
    ] = 1500,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of the generative model's training.")] = 100,
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures and numbers.", file_okay=False)] = Path(
        "reconstruction"
    ),
    workspace: WorkspacePath = WORKSPACE,
    seed: Seed = 0,
    device: Device = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Put other plausible contents into the salient region, and see which keep the classifier's answer.

    The first time it trains a generative model on the data set's training split.
    """
    from flows.request import resolve_device
    from pipeline.artifacts import atomic_file, write_json
    from pipeline.dataset import DatasetVersion
    from pipeline.explain import create
    from pipeline.explain.reconstruction import reconstruct as search
    from pipeline.train import load_classifier

    where = resolve_device(device.value)
    network, spec = load_classifier(model)
    network.to(where)
    pixels, image_id = _read(image, where)
    probabilities = spec.probabilities(network, pixels)[0]
    if target is not None and target not in spec.classes:
        raise InputError(f"{model} has no class {target!r}. {did_you_mean(target, spec.classes)}")
    outcome = spec.classes.index(target) if target else int(probabilities.argmax())
    explainer = create(method, network, spec, seed=seed)
    data = DatasetVersion(dataset)
    with shown():
        generator = _generator(data, Workspace(workspace), epochs, seed, where).to(where)
        saliency = explainer.attribute(spec.preprocess(pixels), outcome, image_ids=[image_id])
        found = search(
            network,
            spec,
            generator,
            pixels,
            saliency,
            outcome,
            image_id=image_id,
            candidates=candidates,
            steps=steps,
            seed=seed,
            progress=progress(),
        )
    for variations in found:
        with atomic_file(out / f"hole-{round(100 * variations.share)}.png") as temporary:
            _sheet(pixels, spec, variations).save(temporary, format="PNG")
    numbers = {
        "image_id": image_id,
        "outcome": spec.classes[outcome],
        "probability": float(probabilities[outcome]),
        "method": method,
        "dataset": {"name": data.meta.name, "version": data.meta.version},
        "settings": {"candidates": candidates, "steps": steps, "epochs": epochs, "seed": seed},
        "paper": {"note": PAPER_NOTE, "holes": [_paper_record(share) for share in PAPER]},
        "holes": [_record(variations) for variations in found],
    }
    write_json(out / "reconstruction.json", numbers)
    typer.echo(json.dumps(numbers, indent=2)) if as_json else _print(numbers, out)


def _read(image: Path, device: str) -> tuple[Tensor, str]:
    """The image as the classifiers were trained on it, letterboxed, (1, 1, S, S) in [0, 1]; and its id."""
    from pipeline.dataset import to_unit
    from pipeline.ingest import ReadLimits, image_id, letterbox, read_image

    stored = read_image(image, ReadLimits()).pixels
    square = letterbox(stored, min(max(stored.shape), LARGEST_SIDE))[0]
    return to_unit(square[None]).to(device), image_id(stored)


def _generator(data: DatasetVersion, workspace: Workspace, epochs: int, seed: int, device: str) -> PictureModel:
    """The generative model of a dataset version, trained now if there is none with these settings."""
    from models.generative import GenerativeSpec, load_generative
    from pipeline.artifacts import code_version, content_hash
    from pipeline.train import model_errors
    from pipeline.train.fit_generative import fit_generative

    spec = GenerativeSpec()
    key = [data.meta.version, spec, epochs, seed, code_version("pipeline.train", "models")]
    target = workspace.models / f"{data.meta.name}-generator" / content_hash(key)
    with model_errors():
        return load_generative(
            fit_generative(
                data, spec, epochs, seed, target, device=device, progress=progress(), cache=workspace.cache / "resized"
            )
        )


def _record(found: Variations) -> dict[str, Any]:
    return {
        "share_of_box": found.share,
        "pixels": int(found.hole.sum()),
        "saliency_inside": found.saliency_inside,
        "candidates": len(found.accepted),
        "accepted": int(found.accepted.sum()),
        "classification_accuracy": found.accuracy,
        "mean_score_of_accepted": found.accepted_score,
        "reconstruction_loss": float(found.context_loss.mean()),
        "change_in_hole": float(found.change.mean()),
        "spread_of_accepted": found.spread,
        "scores": found.score.tolist(),
        "is_accepted": found.accepted.tolist(),
    }


def _paper_record(share: float) -> dict[str, Any]:
    accepted, score, loss = PAPER[share]
    return {
        "share_of_box": share,
        "candidates": 64,
        "accepted": accepted,
        "classification_accuracy": accepted / 64,
        "mean_score_of_accepted": score,
        "reconstruction_loss": loss,
    }


def _print(numbers: dict[str, Any], out: Path) -> None:
    say(f"{numbers['outcome']}: probability {numbers['probability']:.3f}")
    table = Table(box=None)
    for column in ("hole", "accepted", "accuracy", "score", "loss", "change", "spread", "paper"):
        table.add_column(column, justify="right")
    for hole, paper in zip(numbers["holes"], numbers["paper"]["holes"], strict=True):
        table.add_row(
            f"{hole['share_of_box']:.0%}",
            f"{hole['accepted']}/{hole['candidates']}",
            f"{hole['classification_accuracy']:.0%}",
            _number(hole["mean_score_of_accepted"]),
            f"{hole['reconstruction_loss']:.1f}",
            _number(hole["change_in_hole"]),
            _number(hole["spread_of_accepted"]),
            f"{paper['classification_accuracy']:.0%}, {paper['mean_score_of_accepted']:.3f}",
        )
    Console().print(table)
    say(PAPER_NOTE)
    say(f"pictures and numbers {out}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _sheet(pixels: Tensor, spec: ModelSpec, found: Variations) -> Image.Image:
    """The image, the hole, then the composites: accepted before rejected, higher scores first."""
    from PIL import Image

    from pipeline.explain.reconstruction import composite

    def picture(contents: Tensor) -> Tensor:
        return spec.denormalise(composite(spec, pixels, contents, found.hole))[:, :1].cpu()

    grey = found.contents.new_full((1, *found.contents.shape[1:]), 0.5)
    tiles = [
        _tile(spec.resize(pixels).cpu()[0, 0], "image", PLAIN),
        _tile(picture(grey)[0, 0], f"hole {found.share:.0%}", PLAIN),
    ]
    order = sorted(range(len(found.score)), key=lambda i: (not found.accepted[i], -float(found.score[i])))
    for index in order:
        kept = bool(found.accepted[index])
        label = f"{'accepted' if kept else 'REJECTED'} {float(found.score[index]):.2f}"
        tiles.append(_tile(picture(found.contents[index : index + 1])[0, 0], label, ACCEPTED if kept else REJECTED))
    width, height = tiles[0].size
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(tiles) // COLUMNS) * height), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % COLUMNS * width, number // COLUMNS * height))
    return sheet


def _tile(image: Tensor, label: str, colour: tuple[int, int, int]) -> Image.Image:
    """(H, W) in [0, 1] as a picture in a frame of `colour` with `label` above it."""
    from PIL import Image, ImageDraw

    from pipeline.report import as_picture

    tile = Image.new("RGB", (TILE + 8, TILE + LABEL + 8), "white")
    draw = ImageDraw.Draw(tile)
    draw.rectangle((1, LABEL + 1, TILE + 6, TILE + LABEL + 6), fill=colour)
    draw.text((3, 2), label, fill=colour)
    tile.paste(as_picture(image.numpy()).resize((TILE, TILE), Image.Resampling.BILINEAR), (4, LABEL + 4))
    return tile
