"""The costly metrics: each takes many maps per image, so they are measured on a few images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.benchmark.measures import Numbers, numpy
from pipeline.explain import Explainer, create
from pipeline.explain.metrics import (
    HYPERPARAMETERS,
    hyperparameters,
    max_sensitivity,
    noise_floor,
    parameter_randomisation,
    similarity,
)
from pipeline.explain.metrics.decoy import stability

SEEDS = 3
"""Maps that differ in nothing but the seed."""


@dataclass(frozen=True)
class Subject:
    """An explainer by name, its classifier, and B images to try it on."""

    name: str
    model: nn.Module
    spec: ModelSpec
    images: Tensor
    target: Tensor
    image_ids: Sequence[str]
    options: Mapping[str, Any]

    def make(self, model: nn.Module | None = None, **options: Any) -> Explainer:
        """The explainer bound to `model`, the classifier itself by default."""
        return create(self.name, model or self.model, self.spec, **{**self.options, **options})

    @property
    def seed(self) -> int:
        """Seed of the metrics, the explainer's own."""
        return int(self.options["seed"])

    @property
    def question(self) -> tuple[Tensor, Tensor, Sequence[str]]:
        """What the metrics ask maps for."""
        return self.images, self.target, self.image_ids


def _randomisation(subject: Subject) -> Numbers:
    table = parameter_randomisation(subject.model, subject.spec, subject.make, *subject.question, seed=subject.seed)
    steps = table.pivot_table(index="image_id", columns="step", values="spearman_absolute").loc[list(subject.image_ids)]
    return {
        "randomised_first": steps[steps.columns.min()].to_numpy(),
        "randomised_all": steps[steps.columns.max()].to_numpy(),
    }


def _sensitivity(subject: Subject) -> Numbers:
    return {"max_sensitivity": numpy(max_sensitivity(subject.make(), *subject.question, seed=subject.seed))}


def _noise(subject: Subject) -> Numbers:
    seeds = range(subject.seed, subject.seed + SEEDS)
    return {"noise_floor": numpy(noise_floor(lambda seed: subject.make(seed=seed), *subject.question, seeds))}


def _attack(subject: Subject) -> Numbers:
    return {"attack_stability": numpy(stability(subject.make(), *subject.question))}


def _robustness(subject: Subject) -> Numbers:
    if subject.name not in HYPERPARAMETERS:
        return {}
    images, target, ids = subject.question
    settings = hyperparameters(subject.name, subject.spec)
    maps = [subject.make(**options).attribute(images, target, image_ids=ids) for options in settings]
    return {"robustness": numpy(similarity(maps).ssim)}


STABILITY: dict[str, Callable[[Subject], Numbers]] = {
    "randomisation": _randomisation,
    "sensitivity": _sensitivity,
    "noise": _noise,
    "attack": _attack,
    "robustness": _robustness,
}
"""Name of a unit of work -> the metric."""
