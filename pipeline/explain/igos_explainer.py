"""The iGOS family behind the explainer contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.explain.baseline import blurred_baseline
from pipeline.explain.contract import Explainer, RawMaps
from pipeline.explain.igos import run_optimization
from pipeline.explain.igos_descent import stable_step
from pipeline.explain.igos_objective import upsample
from pipeline.randomness import torch_generator

LINE_SEARCH_START = 1000.0
NAG_SHARE = 0.4
"""Fixed step of NAG, as a share of the longest stable one."""


class IgosExplainer(Explainer):
    """Saliency = 1 - mask, upsampled bilinearly; in [0, 1]. See `igos.optimize_mask` for the options."""

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        variant: str,
        size: int = 28,
        optimizer: str = "line-search",
        step_size: float | None = None,
        l1: float = 1.0,
        l2: float = 20.0,
        ig_steps: int = 20,
        iterations: int = 15,
        noise_std: float = 0.2,
        max_batch: int | None = None,
        seed: int = 0,
    ) -> None:
        """Options as for `optimize_mask`.

        Args:
            model: classifier returning logits.
            spec: its contract.
            variant: igos, igos+ or igos++.
            size: side of the mask; smaller images get a mask of their own size.
            optimizer: "line-search" or "nag".
            step_size: None takes 1000 for the line search and 0.4 of the longest stable step for NAG.
            l1: weight of the mean of ``1 - mask``.
            l2: weight of the (bilateral) total variation.
            ig_steps: points on the path from the baseline.
            iterations: steps taken.
            noise_std: of the noise on the network input.
            max_batch: most images in one call of the model.
            seed: with the image's id, decides the noise.
        """
        super().__init__(model, spec)
        self.name = variant
        self._seed = seed
        side = min(size, *spec.input_size)
        default_step = LINE_SEARCH_START if optimizer == "line-search" else NAG_SHARE * stable_step(side, l2)
        self._options: dict[str, Any] = {
            "variant": variant,
            "size": side,
            "optimizer": optimizer,
            "step_size": default_step if step_size is None else step_size,
            "l1": l1,
            "l2": l2,
            "ig_steps": ig_steps,
            "iterations": iterations,
            "noise_std": noise_std,
            "max_batch": max_batch,
        }

    def _maps(self, images: Tensor, target: Tensor, image_ids: Sequence[str]) -> RawMaps:
        generators = [
            torch_generator(self._seed, "explain", self.name, name, device=images.device) for name in image_ids
        ]
        baseline = blurred_baseline(images)
        run = run_optimization(self.model, images, baseline, target, generator=generators, **self._options)
        return RawMaps(upsample(1 - run.mask, images.shape[-2:]), run.forward, run.backward)
