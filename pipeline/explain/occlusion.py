"""Occlusion: Zeiler and Fergus, ECCV 2014 (arXiv 1311.2901), section 4.2."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.blending import blended_scores
from pipeline.explain.contract import Explainer, Maps, Query, Settings

WINDOW = 16 / 224
"""Default side of the window, as a share of the image's."""


class Occlusion(Explainer):
    """Signed map: the score that is lost while a window with the pixel shows the baseline, averaged over windows.

    Windows slide in equal steps; the last one ends at the image's edge even where that takes a shorter step, so every
    pixel is covered. The paper names neither size nor step and shows a grey square: `baseline` = "zero".

    Captum's ``Occlusion`` gives the same map where the steps fit, one image after the other; here the windows of all
    images share batches. 729 evaluations and one more at the defaults.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        window: int | None = None,
        stride: int | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits, or any function.
            spec: its contract.
            window: side of the square window, pixels; by default 16/224 of the image's shorter side.
            stride: step, pixels; by default half a window.
            settings: see `Settings`; the probability is explained.

        Raises:
            InputError: the window does not fit the image, or the steps leave gaps.
        """
        super().__init__(model, spec, **settings)
        side = min(spec.input_size)
        self._window = max(1, round(WINDOW * side)) if window is None else window
        self._stride = max(1, self._window // 2) if stride is None else stride
        if not 1 <= self._stride <= self._window <= side:
            raise InputError(
                f"Occlusion needs 1 <= stride <= window <= {side} pixels (the image's shorter side), "
                f"found stride {self._stride} and window {self._window}."
            )

    def _maps(self, query: Query) -> Maps:
        rows, columns = (self._covered(side).to(query.images) for side in query.images.shape[-2:])

        def keep(_: Tensor, window: Tensor) -> Tensor:
            down, across = window // len(columns), window % len(columns)
            return 1 - (rows[down, :, None] * columns[across, None, :])[:, None]

        without = blended_scores(query, self.baseline(query.images), keep, len(rows) * len(columns))
        lost = query.scorer.values(query.images)[:, None] - without
        effects = lost.view(-1, 1, len(rows), len(columns))
        return Maps((rows / rows.sum(dim=0)).T @ effects @ (columns / columns.sum(dim=0)))

    def _covered(self, side: int) -> Tensor:
        """(windows, side): 1 where a window lies along one side of the image, else 0."""
        last = side - self._window
        starts = torch.tensor([*range(0, last, self._stride), last])[:, None]
        pixels = torch.arange(side)
        return ((pixels >= starts) & (pixels < starts + self._window)).float()
