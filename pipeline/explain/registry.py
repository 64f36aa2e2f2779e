"""Explainers by name. A name that is entered here joins the battery of `tests/contracts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.callable_model import CallableClassifier
from pipeline.explain.contract import Explainer

Needs = Literal["outputs", "gradients", "layers"]
"""What a method asks of the classifier: its outputs only, gradients with respect to the input, or inner layers."""


@dataclass(frozen=True)
class Method:
    """One way to make saliency maps.

    Attributes:
        target: ``module:class`` inside `pipeline.explain`, imported when first used.
        needs: what it asks of the classifier.
        title: what it is, in a few words.
        options: fixed by the name.
        input_factor: the map is multiplied by the input, so evidence where the input is 0 is invisible to it.
        trivial: no method at all, but what every method must beat.
    """

    target: str
    needs: Needs
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    input_factor: bool = False
    trivial: bool = False


METHODS: dict[str, Method] = {
    "igos++": Method("igos_explainer:IgosExplainer", "gradients", "iGOS++ (2021)", {"variant": "igos++"}),
    "igos+": Method("igos_explainer:IgosExplainer", "gradients", "iGOS+ (2021)", {"variant": "igos+"}),
    "igos": Method("igos_explainer:IgosExplainer", "gradients", "I-GOS (2020)", {"variant": "igos"}),
    "grad-cam": Method("gradcam:GradCam", "layers", "Grad-CAM (2017)"),
}


def available() -> tuple[str, ...]:
    """Names that `create` knows."""
    return tuple(METHODS)


def method(name: str) -> Method:
    """What is known of `name` before it is created.

    Raises:
        InputError: no such explainer.
    """
    if name not in METHODS:
        raise InputError(f"Unknown explainer {name!r}. {did_you_mean(name, METHODS)}")
    return METHODS[name]


def create(name: str, model: nn.Module | Callable[[Tensor], Tensor], spec: ModelSpec, **options: Any) -> Explainer:
    """The explainer `name`, bound to `model`.

    Args:
        name: one of `available()`.
        model: classifier returning logits. Methods that need outputs only also take any function of images;
            `CallableClassifier` adapts one that returns probabilities.
        spec: its contract.
        options: of the method, see its class; `contract.Settings` are taken by all.

    Raises:
        InputError: no such explainer, an option it does not have, or a classifier it cannot look into.
    """
    entry = method(name)
    network = model if isinstance(model, nn.Module) else CallableClassifier(model)
    if isinstance(network, CallableClassifier) and entry.needs != "outputs":
        black_box = ", ".join(key for key, other in METHODS.items() if other.needs == "outputs")
        raise InputError(f"{name} needs {entry.needs} of the classifier, a function has none. Use one of: {black_box}.")
    module, _, class_name = entry.target.partition(":")
    kind = getattr(import_module(f"pipeline.explain.{module}"), class_name)
    try:
        explainer: Explainer = kind(network, spec, **{**entry.options, **options})
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"{name}: {str(error).partition('() ')[2]}. See pipeline.explain.{module}.") from error
    explainer.name = name
    return explainer
