"""Explainers by name. A name that is entered here joins the battery of `tests/contracts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.callable_model import CallableClassifier
from pipeline.explain.contract import Explainer, Settings

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
        input_factor: the map is multiplied by the input, or what is removed is set to input 0, so evidence where the
            input is 0 is invisible to it.
        trivial: no method at all, but what every method must beat.
        base: name of the explainer that this one wraps.
    """

    target: str
    needs: Needs
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    input_factor: bool = False
    trivial: bool = False
    base: str | None = None


BEST_FILL = "telea"
"""What the generative variants ("-g") paint with unless told otherwise. The learned inpainter is at least as plausible,
but 60 times slower for the thousands of small patches of SP-G (docs/explainers.md)."""

DANCE = "dance:"
"""Before the name of any other explainer: the range of its maps over decoys."""


def _dance(base: str) -> Method:
    return Method("dance:Dance", "layers", f"DANCE over {base} (2021)", base=base)


METHODS: dict[str, Method] = {
    "igos++": Method("igos_explainer:IgosExplainer", "gradients", "iGOS++ (2021)", {"variant": "igos++"}),
    "igos++-fast": Method(
        "igos_explainer:IgosExplainer",
        "gradients",
        "iGOS++, a sixth of the work",
        {"variant": "igos++", "preset": "fast"},
    ),
    "igos+": Method("igos_explainer:IgosExplainer", "gradients", "iGOS+ (2021)", {"variant": "igos+"}),
    "igos": Method("igos_explainer:IgosExplainer", "gradients", "I-GOS (2020)", {"variant": "igos"}),
    "grad-cam": Method("gradcam:GradCam", "layers", "Grad-CAM (2017)"),
    "blackbox-mask": Method("blackbox_mask:BlackBoxMask", "outputs", "Black-box mask optimisation (2020)"),
    "rise": Method("rise:Rise", "outputs", "RISE (2018)"),
    "occlusion": Method("occlusion:Occlusion", "outputs", "Occlusion (2014)"),
    "extremal-perturbation": Method(
        "extremal:ExtremalPerturbation", "gradients", "Extremal perturbations, preserved areas (2019)"
    ),
    "gradient": Method("gradients:Gradient", "gradients", "Gradient (2013)"),
    "input-x-gradient": Method("gradients:InputXGradient", "gradients", "Input x gradient (2016)", input_factor=True),
    "smoothgrad": Method("gradients:SmoothGrad", "gradients", "SmoothGrad (2017)"),
    "integrated-gradients": Method("gradients:IntegratedGradients", "gradients", "Integrated gradients (2017)"),
    "expected-gradients": Method("gradients:ExpectedGradients", "gradients", "Expected gradients (2021)"),
    "deeplift": Method("deeplift:DeepLift", "layers", "DeepLIFT, rescale rule (2017)"),
    "rectgrad": Method("rectgrad:RectGrad", "layers", "RectGrad (2019)", input_factor=True),
    "rectgrad-no-input": Method("rectgrad:RectGradNoInput", "layers", "RectGrad without the input factor (2020)"),
    "lrp": Method("lrp:Lrp", "layers", "Layer-wise relevance propagation, epsilon (2015)", input_factor=True),
    "lrp-no-input": Method("lrp:LrpNoInput", "layers", "LRP without the input factor (2020)"),
    "sp": Method("sliding_patch:SlidingPatch", "outputs", "Sliding patch, grey (2014)", input_factor=True),
    "sp-g": Method("sliding_patch:SlidingPatch", "outputs", "Sliding patch, painted over (2020)", {"fill": BEST_FILL}),
    "lime": Method("lime:Lime", "outputs", "LIME, grey (2016)", input_factor=True),
    "lime-g": Method("lime:Lime", "outputs", "LIME, painted over (2020)", {"fill": BEST_FILL}),
    "mp": Method("meaningful_perturbation:MeaningfulPerturbation", "gradients", "Meaningful perturbation, blur (2017)"),
    "mp-g": Method(
        "meaningful_perturbation:MeaningfulPerturbation",
        "gradients",
        "Meaningful perturbation, painted over (2020)",
        {"fill": BEST_FILL},
    ),
    **{f"{DANCE}{name}": _dance(name) for name in ("gradient", "integrated-gradients", "smoothgrad")},
    "random": Method("trivial:RandomMap", "outputs", "Random values", trivial=True),
    "centre": Method("trivial:CentreMap", "outputs", "Bump in the centre", trivial=True),
    "edges": Method("trivial:EdgeMap", "outputs", "Edges of the image", trivial=True),
}


def available() -> tuple[str, ...]:
    """Names that `create` knows."""
    return tuple(METHODS)


def method(name: str) -> Method:
    """What is known of `name` before it is created.

    Raises:
        InputError: no such explainer.
    """
    if name.startswith(DANCE) and not name.startswith(2 * DANCE):
        base = name.removeprefix(DANCE)
        return replace(_dance(base), input_factor=method(base).input_factor)
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
        options: of the method, see its class; `contract.Settings` are taken by all. ``dance:`` before a name takes
            DANCE's and, for the explainer that it wraps, a dictionary ``base_options``.

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
    if entry.base is not None:
        shared = {key: options[key] for key in Settings.__annotations__ if key in options}
        own = {"score": kind.default_score, **shared, **options.pop("base_options", {})}
        options["base"] = create(entry.base, network, spec, **own)
    try:
        explainer: Explainer = kind(network, spec, **{**entry.options, **options})
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"{name}: {str(error).partition('() ')[2]}. See pipeline.explain.{module}.") from error
    explainer.name = name
    return explainer
