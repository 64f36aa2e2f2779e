"""Saliency maps on demand, of images that the audit did not explain."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.request import resolve_device
from flows.review.studied import studied
from pipeline.artifacts import read_parquet

if TYPE_CHECKING:
    from torch import nn

    from models import ModelSpec

_one_at_a_time = Lock()
"""Explainers hook into the classifier and change its layout for the time of an explanation."""


def explain_one(run: Path, image_id: str, method: str) -> NDArray[np.float32]:
    """The map (h, w), float32 in [0, inf), that the audit of `run` would have made of one image, read-only.

    For the class that the classifier predicts, with the run's settings and seed. The classifiers of the last runs stay
    loaded, the last maps are kept.

    Args:
        run: folder of an audited run.
        image_id: an image of its data set.
        method: an explainer; those that the run did not use have their defaults.

    Raises:
        InputError: no such explainer or image, or the classifier does not give what the explainer needs.
    """
    with _one_at_a_time:
        return _map(run, image_id, method)


@lru_cache(maxsize=64)
def _map(run: Path, image_id: str, method: str) -> NDArray[np.float32]:
    from pipeline.explain import explain_image

    study = studied(run)
    row, config = study.row(image_id), study.audited.config
    model, spec = _classifier(study.audited.bundle)
    target = _predicted(run, spec.classes)[image_id]
    saliency = explain_image(model, spec, study.dataset, row, target, method, config.explain, seed=config.seed)
    saliency.setflags(write=False)
    return saliency


@lru_cache(maxsize=2)
def _classifier(bundle: Path) -> tuple[nn.Module, ModelSpec]:
    from pipeline.train import load_classifier

    model, spec = load_classifier(bundle)
    return model.to(resolve_device("auto")), spec


@lru_cache(maxsize=4)
def _predicted(run: Path, classes: tuple[str, ...]) -> dict[str, int]:
    """Index of the predicted class by image id."""
    table = read_parquet(run / "predictions.parquet")
    likeliest = table[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float32).argmax(axis=1)
    return dict(zip(table["image_id"].astype(str), likeliest.tolist(), strict=True))
