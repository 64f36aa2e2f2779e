"""The iGOS family behind the explainer contract."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.contract import LOW_CONFIDENCE, Attribution, Explainer, Maps, Query, Settings
from pipeline.explain.igos import IgosSettings, MaskRun, run_optimization
from pipeline.explain.igos_descent import stable_step
from pipeline.explain.igos_objective import LineSearchObjective, upsample
from pipeline.explain.igos_path import Points

LINE_SEARCH_START = 1000.0
NAG_SHARE = 0.4
"""Fixed step of NAG, as a share of the longest stable one."""

PRESETS: dict[str, dict[str, Any]] = {
    "full": {},
    "fast": {"ig_steps": 6, "iterations": 10, "points": "stratified", "warm_start": True},
}
"""Settings that differ from the authors'. docs/performance.md has what "fast" saves and what it costs."""

COMPAT = {
    "swapped-counts": "iterations and ig_steps change places on their way to the optimiser",
    "always-line-search": "the choice of optimizer never reaches the optimiser",
}
"""Bugs of the authors' command line (github.com/khorrams/IGOS_pp at b0820a2), reproduced on request."""


class LowConfidenceWarning(UserWarning):
    """The classifier loses almost nothing when everything is taken away, so there is little to explain."""


class IgosOptions(Settings, total=False):
    """Options of the family: those of `IgosSettings`, and those of every explainer."""

    size: int
    optimizer: str
    step_size: float
    l1: float
    l2: float
    ig_steps: int
    iterations: int
    noise_std: float
    points: Points
    ls_objective: LineSearchObjective
    warm_start: bool
    tolerance: float
    adaptive_l1: bool


class IgosExplainer(Explainer):
    """Saliency = 1 - mask, upsampled bilinearly; in [0, 1].

    Notes in `info`: ``removed_share`` (B,) part of the mask below 0.5: near 0 or 1 the weights do not suit this
    mask size; ``objective`` (B, iterations) before each step and ``steps`` (B, iterations) taken, of the line search.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        variant: str,
        preset: Literal["full", "fast"] = "full",
        compat: Literal["official"] | Collection[str] = (),
        **options: Unpack[IgosOptions],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits.
            spec: its contract.
            variant: igos, igos+ or igos++.
            preset: "full" as published, or "fast": the same map for a fraction of the evaluations, see `PRESETS`.
            compat: which of the authors' bugs to reproduce, keys of `COMPAT`, or "official" for all.
            options: see `IgosSettings`, and `Settings`; they go before the preset. By default the mask is 28 cells
                wide, or as wide as a smaller image, and NAG steps by 0.4 of the longest stable step.

        Raises:
            InputError: a value that is not allowed.
        """
        common = {key: value for key, value in options.items() if key in Settings.__annotations__}
        super().__init__(model, spec, **common)  # type: ignore[arg-type]
        self.name = variant
        if self.score != "probability":
            raise InputError("The iGOS objective is made for probabilities; logits have no bounds to trade off.")
        if preset not in PRESETS:
            raise InputError(f"Unknown preset {preset!r}. {did_you_mean(preset, PRESETS)}")
        own = {key: value for key, value in options.items() if key not in common}
        chosen = {"size": min(28, *spec.input_size), **PRESETS[preset], **own, "variant": variant}
        self.settings = IgosSettings(**_with_step(_with_bugs(chosen, compat)))

    def explain(self, images: Tensor, target: Tensor | int, *, image_ids: Sequence[str] | None = None) -> Attribution:
        """As for every explainer.

        Warns:
            LowConfidenceWarning: for some images the score cannot fall: authors' model card, docs/methods.md 1.7.
        """
        found = super().explain(images, target, image_ids=image_ids)
        unsure = int(found.low_confidence.sum())
        if unsure:
            warnings.warn(
                f"{self.name}: blurring {unsure} of {len(images)} images costs the explained class less than "
                f"{LOW_CONFIDENCE} probability; their masks have nothing to hold on to. Explain the predicted class.",
                LowConfidenceWarning,
                stacklevel=2,
            )
        return found

    def _maps(self, query: Query) -> Maps:
        images = query.images
        generators = [self.generator(image_id, device=images.device) for image_id in query.image_ids]
        run = run_optimization(query.scorer, images, self.baseline(images), self.settings, generator=generators)
        return Maps(upsample(1 - run.mask, images.shape[-2:]), _notes(run))


def _notes(run: MaskRun) -> dict[str, Tensor]:
    notes = {"removed_share": (run.mask < 0.5).float().flatten(1).mean(dim=1)}
    if run.trace.objectives:
        notes["objective"] = torch.stack(run.trace.objectives, dim=1)
    return {**notes, "steps": torch.stack(run.trace.steps, dim=1)}


def _with_bugs(chosen: Mapping[str, Any], compat: Literal["official"] | Collection[str]) -> dict[str, Any]:
    flags = set(COMPAT) if compat == "official" else {compat} if isinstance(compat, str) else set(compat)
    for flag in flags:
        if flag not in COMPAT:
            raise InputError(f"Unknown compat flag {flag!r}. {did_you_mean(flag, COMPAT)}")
    result = dict(chosen)
    if "swapped-counts" in flags:
        defaults = IgosSettings()
        result["ig_steps"] = chosen.get("iterations", defaults.iterations)
        result["iterations"] = chosen.get("ig_steps", defaults.ig_steps)
    if "always-line-search" in flags:
        result["optimizer"] = "line-search"
    return result


def _with_step(chosen: Mapping[str, Any]) -> dict[str, Any]:
    if "step_size" in chosen or chosen.get("optimizer", "line-search") not in ("nag", "NAG"):
        return dict(chosen)
    return {**chosen, "step_size": NAG_SHARE * stable_step(chosen["size"], chosen.get("l2", IgosSettings().l2))}
