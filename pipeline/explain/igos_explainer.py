"""The iGOS family behind the explainer contract."""

from __future__ import annotations

from typing import Any, Unpack

from torch import nn

from models.spec import ModelSpec
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.igos import run_optimization
from pipeline.explain.igos_descent import stable_step
from pipeline.explain.igos_objective import upsample

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
        **settings: Unpack[Settings],
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
            settings: see `Settings`; the probability is explained.
        """
        super().__init__(model, spec, **settings)
        self.name = variant
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
        }

    def _maps(self, query: Query) -> Maps:
        images = query.images
        generators = [self.generator(image_id, device=images.device) for image_id in query.image_ids]
        run = run_optimization(
            self.model,
            images,
            self.baseline(images),
            query.target,
            generator=generators,
            max_batch=query.scorer.batch_size,
            **self._options,
        )
        query.scorer.forward += run.forward
        query.scorer.backward += run.backward
        return Maps(upsample(1 - run.mask, images.shape[-2:]))
