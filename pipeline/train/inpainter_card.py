"""The model card of an inpainter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import pipeline
from models import BundleCard
from pipeline.dataset import DatasetVersion

INTENDED_USE = (
    "Research: to paint over marks on the x-rays it was trained on, and over what an audit asks to be taken away. "
    "What it paints is invented; never to be read as anatomy, and not for diagnosis."
)

_CARD = """\
# Inpainter for {title}

{description}

## Intended use

{intended_use}

## Data

Data set `{dataset}`, version `{version}`: {images} images of splits train and val, labels not read. \
Sources: {sources}. Only windows that meet no detected mark were seen, with holes of the size and at the places of \
marks, rectangles and strokes. Terms: {licences}.

## Training

{steps} steps from {origin}, seed {seed}. Losses at the end: {losses}.

## Limits

* How well filled places can be told from untouched ones is measured by `cxr-audit benchmark fills` and by the \
fingerprint check of every cleanse, not here.
* A hole much larger than 100 pixels, or one across an edge that it hides entirely, is filled plausibly at best.
"""


def inpainter_card(
    dataset: DatasetVersion, rows: NDArray[np.int64], steps: int, seed: int, origin: str, losses: dict[str, float]
) -> BundleCard:
    """What the bundle of a finished training says.

    Args:
        dataset: what was learned from.
        rows: its images that were used.
        steps: batches.
        seed: of the training.
        origin: what it started from.
        losses: of the last steps.
    """
    meta = dataset.meta
    used = dataset.images.iloc[rows]
    sources = used["source"].fillna("unknown").value_counts()
    description = f"Paints what could stand under marks of {meta.name} {meta.version}; trained by cxr-audit."
    readme = _CARD.format(
        title=meta.title,
        description=description,
        intended_use=INTENDED_USE,
        dataset=meta.name,
        version=meta.version,
        images=len(rows),
        sources=", ".join(f"{name} ({count})" for name, count in sorted(sources.items())),
        licences=", ".join(sorted(set(used["licence"].fillna("unknown")))),
        steps=steps,
        origin=origin,
        seed=seed,
        losses=", ".join(f"{name} {value:.3f}" for name, value in losses.items() if name != "step"),
    )
    return BundleCard(
        version=pipeline.__version__,
        task="Inpainting of chest x-rays",
        description=description,
        intended_use=INTENDED_USE,
        data_source=f"{meta.title} ({meta.name} {meta.version})",
        readme=readme,
        metrics={name: value for name, value in losses.items() if name != "step"},
        packages={"cxr-audit": pipeline.__version__},
    )
