"""Explainers by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.contract import Explainer
from pipeline.explain.gradcam import GradCam
from pipeline.explain.igos_explainer import IgosExplainer

_EXPLAINERS: dict[str, Callable[..., Explainer]] = {
    "igos++": partial(IgosExplainer, variant="igos++"),
    "igos+": partial(IgosExplainer, variant="igos+"),
    "igos": partial(IgosExplainer, variant="igos"),
    "grad-cam": GradCam,
}


def available() -> tuple[str, ...]:
    """Names that `create` knows."""
    return tuple(_EXPLAINERS)


def create(name: str, model: nn.Module, spec: ModelSpec, **options: Any) -> Explainer:
    """The explainer `name`, bound to `model`.

    Args:
        name: one of `available()`.
        model: classifier returning logits.
        spec: its contract.
        options: of the method, see its class.

    Raises:
        InputError: no such explainer.
    """
    if name not in _EXPLAINERS:
        raise InputError(f"Unknown explainer {name!r}. {did_you_mean(name, _EXPLAINERS)}")
    return _EXPLAINERS[name](model, spec, **options)
