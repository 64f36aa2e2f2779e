"""SP and SP-G: the loss of score when a sliding patch is taken away.

Zeiler and Fergus, ECCV 2014 (arXiv 1311.2901), as used by Agarwal and Nguyen, ACCV 2020 (arXiv 1910.04256).
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.removal import Inpaint, removal, scores_without

REFERENCE_SIDE = 224
"""Side in pixels of the images for which the paper gives its patch and stride."""
PATCH, STRIDE = 29, 3


class SlidingPatch(Explainer):
    """Signed map ``f(x) - f(x without patch)``; positive where the patch speaks for the target.

    Patches of p x p pixels are taken away at every multiple of the stride d, K = (side - p) // d + 1 along each side;
    between the patches' centres the map is interpolated bilinearly, and beyond the outermost continued unchanged.
    The authors stretch the K x K values over the image from edge to edge instead, which displaces what lies near the
    border by up to half a patch, and just there the tell-tale print of radiographs lies; `stretch` does as they do.

    What is left over at the lower and right border when p and d do not divide the side (never more than d - 1 pixels)
    is not taken away, as in the authors' code. Costs K * K + 1 evaluations: 4357 by default.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        fill: str | Inpaint = "zero",
        patch: int | None = None,
        stride: int | None = None,
        stretch: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits.
            spec: its contract.
            fill: what replaces the patch, see `removal.removal`; "zero" is SP, a plausible fill makes SP-G.
            patch: side p in pixels; by default 29/224 of the image's shorter side, the value of the paper's figures.
            stride: d in pixels; by default 3/224 of the shorter side.
            stretch: lay the values out from edge to edge as the authors do.
            settings: see `Settings`; the probability is explained.

        Raises:
            InputError: unknown fill, or a patch or stride that does not fit the image.
        """
        super().__init__(model, spec, **settings)
        side = min(spec.input_size)
        self._patch = max(1, round(side * PATCH / REFERENCE_SIDE)) if patch is None else patch
        self._stride = max(1, round(side * STRIDE / REFERENCE_SIDE)) if stride is None else stride
        if not 1 <= self._patch <= side or self._stride < 1:
            raise InputError(
                f"Patch {self._patch} with stride {self._stride} does not fit images of {spec.input_size} pixels: "
                f"the patch is 1 to {side}, the stride at least 1."
            )
        self._remove = removal(fill, spec)
        self._stretch = stretch

    def _maps(self, query: Query) -> Maps:
        size = query.images.shape[-2:]
        rows, columns = (self._without_patch(side).to(query.images) for side in size)
        across = len(columns)

        def keep(_: Tensor, patch: Tensor) -> Tensor:
            outside = torch.maximum(rows[patch // across, :, None], columns[patch % across, None, :])
            return outside[:, None]

        without = scores_without(query, self._remove, keep, len(rows) * across)
        drops = query.scorer.values(query.images)[:, None] - without
        grid = drops.view(-1, 1, len(rows), across)
        if self._stretch:
            return Maps(torch.nn.functional.interpolate(grid, size, mode="bilinear", align_corners=False))
        down, right = (self._between_centres(side).to(grid) for side in size)
        return Maps(down @ grid @ right.T)

    def _without_patch(self, side: int) -> Tensor:
        """(K, side): 0 where patch k lies along one side of the image, else 1."""
        starts = torch.arange(0, side - self._patch + 1, self._stride)[:, None]
        pixels = torch.arange(side)
        return ((pixels < starts) | (pixels >= starts + self._patch)).float()

    def _between_centres(self, side: int) -> Tensor:
        """(side, K): weights that interpolate values at the patches' centres linearly to all pixels of a side."""
        last = (side - self._patch) // self._stride
        place = ((torch.arange(side) - (self._patch - 1) / 2) / self._stride).clamp(0, last)
        return (1 - (place[:, None] - torch.arange(last + 1)).abs()).clamp_min(0)
