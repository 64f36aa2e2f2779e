"""The numbers of one batch of maps. A metric that fails is a problem of that metric; the others still count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.explain import blurred_baseline, deletion_insertion
from pipeline.explain.metrics import (
    enrichment,
    localisation_error,
    mass_inside,
    pointing_game,
    rise_deletion_insertion,
    saliency_metric,
)
from pipeline.explain.metrics.decoy import saliency_fidelity

GRID = 28
"""iGOS deletion and insertion score every map at this resolution, so that none wins by being coarse or fine."""

Numbers = dict[str, NDArray[Any]]
"""Column -> one number an image (B,), NaN where there is none."""


@dataclass(frozen=True)
class MapBatch:
    """Maps of B images and what they are judged against; `truth` is all False where the evidence is not known."""

    model: nn.Module
    images: Tensor
    saliency: Tensor
    target: Tensor
    truth: Tensor


def measure(batch: MapBatch) -> tuple[Numbers, list[str]]:
    """Faithfulness and localisation of `batch`, and what went wrong on the way, a sentence each."""
    return attempt((name, partial(metric, batch)) for name, metric in _METRICS.items())


def attempt(measurements: Iterable[tuple[str, Callable[[], Numbers]]]) -> tuple[Numbers, list[str]]:
    """The numbers of all measurements that succeed, and a sentence for each that does not."""
    numbers: Numbers = {}
    problems: list[str] = []
    for name, run in measurements:
        try:
            numbers |= run()
        except Exception as error:  # whatever a method or metric does wrong is a result of this benchmark
            problems.append(f"{name}: {said(error)}")
    return numbers, problems


def said(error: Exception) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _igos(batch: MapBatch) -> Numbers:
    side = min(GRID, *batch.saliency.shape[-2:])
    grid = functional.adaptive_avg_pool2d(batch.saliency, side)
    curves = deletion_insertion(batch.model, batch.images, blurred_baseline(batch.images), grid, batch.target)
    return {"igos_deletion": numpy(curves.deletion_auc), "igos_insertion": numpy(curves.insertion_auc)}


def _rise(batch: MapBatch) -> Numbers:
    curves = rise_deletion_insertion(batch.model, batch.images, batch.saliency, batch.target)
    return {"rise_deletion": numpy(curves.deletion_auc), "rise_insertion": numpy(curves.insertion_auc)}


def _saliency_metric(batch: MapBatch) -> Numbers:
    return {"saliency_metric": numpy(saliency_metric(batch.model, batch.images, batch.saliency, batch.target))}


def _fidelity(batch: MapBatch) -> Numbers:
    return {"saliency_fidelity": numpy(saliency_fidelity(batch.model, batch.images, batch.saliency, batch.target))}


def _localisation(batch: MapBatch) -> Numbers:
    known = batch.truth.flatten(1).any(dim=1)
    numbers: Numbers = {}
    for metric in (pointing_game, mass_inside, enrichment, localisation_error):
        values = np.full(len(known), np.nan)
        if bool(known.any()):
            values[known.cpu().numpy()] = numpy(metric(batch.saliency[known], batch.truth[known]))
        numbers[metric.__name__] = values
    return numbers


_METRICS: dict[str, Callable[[MapBatch], Numbers]] = {
    "iGOS deletion and insertion": _igos,
    "RISE deletion and insertion": _rise,
    "saliency metric": _saliency_metric,
    "fidelity SF": _fidelity,
    "localisation": _localisation,
}


def numpy(values: Tensor) -> NDArray[Any]:
    """One number an image, as floats (bool: 0 or 1) on the CPU."""
    return values.detach().cpu().double().numpy()
