"""Train the lung segmenter on masks drawn by people and on phantoms, and score it on pictures it has not seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models.lungs import LungNet, Segmenter, save_lung_net
from pipeline.artifacts import atomic_folder, sha256_file, write_json, write_text
from pipeline.errors import EmptyResultError
from pipeline.flag.lungs import lung_masks
from pipeline.ingest import letterbox
from pipeline.ingest.lung_masks import MaskedImage, folds, read_masked_images
from pipeline.ingest.synthetic.phantom import PhantomSpec, Source, render
from pipeline.progress import Progress, silent
from pipeline.randomness import numpy_generator
from pipeline.spreadsheets import csv_text
from pipeline.statistics import clusters, percentile_interval, resample_weights
from pipeline.train.fit_lungs import STEPS, LungExample, fit_lungs

SIDE = 320
"""Side of the training pictures before they are cropped and scaled at random, pixels."""
PHANTOMS = PhantomSpec(images=400, other_source_images=200, size=SIDE, honest_signal=1.0, seed=11)
HELD_OUT = 4
"""One of so many parts of the real pictures is kept aside."""
CONFIDENCE = 0.95
RESAMPLES = 2000


def train_lungs(
    pictures: Path,
    masks: Path,
    out: Path,
    *,
    patients: Mapping[str, str] | None = None,
    leave_out: Collection[str] = (),
    start: LungNet | None = None,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train on three quarters of the real pictures and the phantoms `PHANTOMS`, score on the last quarter.

    Args:
        pictures: folder of x-rays.
        masks: folder of masks with the pictures' names, lung where not black.
        out: new folder: weights.pt, metrics.json, and lungs.csv with a row for each held-out picture.
        patients: picture's name without ending -> patient, where known.
        leave_out: names without ending of masks that are not trained on; they are scored where they are held out.
        start: weights to go on from. They must not have seen the held-out pictures: these are the same for the same
            folders.
        steps: batches of training.
        seed: of everything random.
        progress: told about stages "phantoms" and "train lungs".

    Returns:
        What metrics.json holds: `mean_dice`'s result, pictures trained on, steps, seed and the weights' sha256.
    """
    held, *others = folds(read_masked_images(pictures, masks, patients), HELD_OUT)
    trained = [image for part in others for image in part if image.name not in leave_out]
    real, phantoms = [real_example(image) for image in trained], phantom_examples(progress)
    model = fit_lungs(real, phantoms, start=start, steps=steps, seed=seed, progress=progress)
    with atomic_folder(out) as folder:
        save_lung_net(folder / "weights.pt", model)
        table = score_lungs(Segmenter(model), held)
        write_text(folder / "lungs.csv", csv_text(table))
        facts = {"trained_on": len(trained), "phantoms": PHANTOMS.images + PHANTOMS.other_source_images}
        run = {"steps": steps, "seed": seed, "sha256": sha256_file(folder / "weights.pt")}
        metrics = {**mean_dice(table, seed), **facts, **run}
        write_json(folder / "metrics.json", metrics)
    return metrics


def real_example(image: MaskedImage) -> LungExample:
    """The picture and its mask in a square of `SIDE` pixels, aspect kept."""
    picture, _ = letterbox(np.rint(image.picture * 255).astype(np.uint8), SIDE)
    lungs, _ = letterbox(image.lungs.astype(np.uint8) * 255, SIDE)
    return LungExample(picture.astype(np.float32) / np.float32(255), lungs > 127)


def phantom_examples(progress: Progress = silent) -> list[LungExample]:
    """All of `PHANTOMS`, both sources, marks and all."""
    sources: tuple[tuple[Source, int], ...] = (
        ("phantom-a", PHANTOMS.images),
        ("phantom-b", PHANTOMS.other_source_images),
    )
    examples = []
    for source, count in sources:
        for index in range(count):
            phantom = render(PHANTOMS, index, source)
            examples.append(LungExample(phantom.image, phantom.lungs))
            progress("phantoms", len(examples), PHANTOMS.images + PHANTOMS.other_source_images)
    return examples


def score_lungs(segmenter: Segmenter, images: Sequence[MaskedImage]) -> pd.DataFrame:
    """Agreement with the person, a row an image: `name`, `group`, `dice` in [0, 1], `found`.

    Compared are cleaned masks at the picture's own size, as an audit uses them; where no lungs were found dice is 0.
    """
    rows = []
    for image in images:
        found = lung_masks(segmenter, torch.from_numpy(image.picture)[None, None])[0, 0].numpy()
        rows.append((image.name, image.group, dice(found, image.lungs), bool(found.any())))
    return pd.DataFrame(rows, columns=["name", "group", "dice", "found"])


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|); 1 when both are empty (L. R. Dice, Ecology 26, 1945)."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def mean_dice(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Mean of `score_lungs` with 95 % interval (bootstrap over groups), lowest value, numbers of images and groups.

    Raises:
        EmptyResultError: nothing was scored.
    """
    if not len(table):
        raise EmptyResultError("No picture with a lung mask was scored.")
    group = clusters(table["group"], table["name"])
    weights = resample_weights(group, RESAMPLES, numpy_generator(seed, "lung dice"))
    values = table["dice"].to_numpy(dtype=float)
    low, high = percentile_interval(weights @ values / weights.sum(axis=1), CONFIDENCE)
    return {
        "dice": float(values.mean()),
        "dice_low": low,
        "dice_high": high,
        "dice_lowest": float(values.min()),
        "images": len(table),
        "groups": int(group.max()) + 1,
        "not_found": int((~table["found"]).sum()),
    }
