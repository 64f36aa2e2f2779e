"""RISE: Petsiuk, Das, Saenko, BMVC 2018 (arXiv 1806.07421)."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.blending import blended_scores
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.random_masks import GridMasks, check_grid


class Rise(Explainer):
    """How much more the target scores while a pixel is visible than it does on average; signed, 0 = no influence.

    ``map = sum_i (f(M_i) - mean f) M_i / (N p)``: the expected score given that the pixel is visible (the paper's
    estimate), less the average score. The paper does not subtract, so its map of a pixel without influence is the
    average score: shares of saliency then mean little, and chance in how often a pixel was shown makes more than
    twice the noise (on the linear toy of the tests). `centred` = False is the paper's map. Where the paper puts
    network input 0, hidden pixels are those of the explainer's baseline; `baseline` = "zero" is the paper's.

    Every image has its own masks, drawn from its generator, so that their noise averages out over a data set. They
    are drawn as coarse grids (N s s numbers) and enlarged for one batch at a time, which costs next to nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        masks: int = 2000,
        grid: int = 7,
        keep: float = 0.5,
        centred: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits, or any function.
            spec: its contract.
            masks: how many for each image, N, at one evaluation each; 2000 to 8000 are usual.
            grid: cells a side, s, as in the paper.
            keep: probability p that a cell is visible, as in the paper.
            centred: subtract the average score.
            settings: see `Settings`; the probability is explained.

        Raises:
            InputError: no mask, a probability outside (0, 1), or a grid that does not fit the image.
        """
        super().__init__(model, spec, **settings)
        if masks < 1 or not 0 < keep < 1:
            raise InputError(f"RISE needs at least one mask and 0 < keep < 1, found {masks} masks and keep {keep}.")
        self._count, self._keep, self._centred = masks, keep, centred
        self._grid = check_grid(grid, spec.input_size)

    def _maps(self, query: Query) -> Maps:
        grids = GridMasks(self._grid, query.images)
        draws = [self._draw(image_id, grids) for image_id in query.image_ids]
        cells = torch.stack([cells for cells, _ in draws]).to(query.images)
        offsets = torch.stack([offsets for _, offsets in draws]).to(query.images.device)

        def masks(which: Tensor, number: Tensor) -> Tensor:
            return grids.masks(cells[which, number], offsets[which, number])

        scores = blended_scores(query, self.baseline(query.images), masks, self._count)
        if self._centred:
            scores = scores - scores.mean(dim=1, keepdim=True)
        weighted = scores[..., None, None] * cells
        totals = [grids.total(*image) for image in zip(weighted, offsets, strict=True)]
        return Maps(torch.stack(totals) / (self._count * self._keep))

    def _draw(self, image_id: str, grids: GridMasks) -> tuple[Tensor, Tensor]:
        generator = self.generator(image_id)
        visible = torch.rand(self._count, grids.grid, grids.grid, generator=generator) < self._keep
        return visible, grids.offsets(self._count, generator)
