"""`detect` and `explain`: one image or a folder, straight through the pipeline, without Prefect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.errors import Exit, leave
from flows.cli.options import Device, DeviceName, Json, Seed
from flows.console import printable, say, stderr
from pipeline.errors import EmptyResultError, ImageReadError, InputError, did_you_mean

if TYPE_CHECKING:
    from pipeline.types import Region

ImageArgument = Annotated[
    Path, typer.Argument(help="A DICOM, PNG, JPEG, WebP or TIFF file, or a folder of them.", exists=True)
]


LARGEST_SIDE = 1024
"""Side of the square that a larger image is shrunk to before it is explained, pixels."""


def register(app: typer.Typer) -> None:
    """Add this file's commands to the application."""
    app.command()(detect)
    app.command()(explain)


def detect(image: ImageArgument, as_json: Json = False) -> None:
    """Printed characters and markers, in the pixels of the file."""
    from pipeline.flag import detect as find
    from pipeline.ingest import ReadLimits, image_id, read_image

    files = sorted(p for p in image.rglob("*") if p.is_file()) if image.is_dir() else [image]
    if not files:
        raise EmptyResultError(f"{image} holds no file. Give an image or a folder of images.")
    results: list[dict[str, Any]] = []
    for file in files:
        try:
            pixels = read_image(file, ReadLimits()).pixels
        except ImageReadError as error:
            results.append({"path": str(file), "problem": error.reason.value, "detail": str(error)})
            continue
        regions = find(pixels, image_id=image_id(pixels))
        results.append({"path": str(file), "regions": [_record(region) for region in regions]})
    typer.echo(json.dumps(results, indent=2) if as_json else printable(_as_text(results)))
    leave(Exit.ERROR if all("problem" in result for result in results) else Exit.OK)


def _record(region: Region) -> dict[str, Any]:
    return {
        "kind": region.kind,
        "text": region.text,
        "box": [round(value, 1) for value in region.box.as_tuple()],
        "confidence": round(region.confidence, 3),
        "detector": region.detector,
    }


def _as_text(results: list[dict[str, Any]]) -> str:
    lines = []
    for result in results:
        if "problem" in result:
            lines.append(f"{result['path']}: {result['problem']}: {result['detail']}")
            continue
        lines.append(f"{result['path']}: {len(result['regions'])} regions")
        for region in result["regions"]:
            box = " ".join(f"{value:.0f}" for value in region["box"])
            lines.append(
                f"  {region['kind']:<9} {region['text'] or '-':<12} x0 y0 x1 y1 = {box}  {region['confidence']:.2f}"
            )
    return "\n".join(lines)


def explain(
    image: ImageArgument,
    model: Annotated[Path, typer.Option("--model", help="Bundle of the classifier.", exists=True, file_okay=False)],
    method: Annotated[
        str, typer.Option("--method", help="Explainer, see `benchmark explainers --list`.")
    ] = "igos++-fast",
    target: Annotated[
        str | None, typer.Option("--class", help="Class to explain; the predicted one by default.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Picture to write (PNG).")] = Path("explanation.png"),
    seed: Seed = 0,
    device: Device = DeviceName.auto,
) -> None:
    """Explain a classifier's answer for one image: picture with the saliency over it."""
    from flows.request import resolve_device
    from pipeline.artifacts import atomic_file
    from pipeline.dataset import to_unit
    from pipeline.explain import create
    from pipeline.ingest import ReadLimits, image_id, letterbox, read_image
    from pipeline.report import as_picture, overlay
    from pipeline.train import load_classifier

    network, spec = load_classifier(model)
    network = network.to(resolve_device(device.value))
    stored = read_image(image, ReadLimits()).pixels
    # The classifier was trained on letterboxed squares; stretched anatomy would be new to it.
    pixels = to_unit(letterbox(stored, min(max(stored.shape), LARGEST_SIDE))[0][None])
    probabilities = spec.probabilities(network, pixels.to(resolve_device(device.value)))[0]
    if target is not None and target not in spec.classes:
        raise InputError(f"{model} has no class {target!r}. {did_you_mean(target, spec.classes)}")
    index = spec.classes.index(target) if target else int(probabilities.argmax())
    explainer = create(method, network, spec, seed=seed)
    inputs = spec.preprocess(pixels).to(resolve_device(device.value))
    saliency = explainer.attribute(inputs, index, image_ids=[image_id(stored)])
    picture = overlay(as_picture(pixels[0, 0].numpy()), saliency[0, 0].cpu().numpy())
    with atomic_file(out) as temporary:
        picture.save(temporary, format="PNG")
    say(f"{spec.classes[index]}: probability {float(probabilities[index]):.3f}")
    say(f"picture {out}")
    stderr.print(f"{explainer.evaluations}")
