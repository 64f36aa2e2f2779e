"""LIME and LIME-G: a linear model of which superpixels the score hangs on.

Ribeiro, Singh, Guestrin, KDD 2016 (arXiv 1602.04938), with the settings of Agarwal and Nguyen, ACCV 2020
(arXiv 1910.04256).
"""

from __future__ import annotations

from typing import Unpack

import torch
from skimage.segmentation import slic
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.removal import Inpaint, removal, scores_without
from pipeline.randomness import torch_generator

KERNEL_WIDTH = 0.25
"""Of the weights, in cosine distance."""
RIDGE = 1.0
"""Penalty on the squared coefficients."""
SLIC_SIGMA = 3 / 224
"""Smoothing before the segmentation, as a share of the image's side: 3 pixels at the paper's 224."""


class Lime(Explainer):
    """Signed map: each SLIC superpixel holds its coefficient in a weighted ridge regression of the score.

    N copies of the image have every superpixel kept with probability 1/2; the first is kept whole. Copy i with the
    share s_i of its superpixels kept weighs ``sqrt(exp(-D_i^2 / 0.25^2))``, ``D_i = 1 - sqrt(s_i)``, the cosine
    distance from the whole image. The regression has an intercept and the penalty 1; all superpixels stay in it.
    Of two bugs of the authors' code neither is repeated: samples left over by the batches were classified
    unperturbed, and each sample of LIME-G was classified twice.

    Notes: "r2" of the regression, weighted, (B,): how far the score of the copies is a sum over superpixels at all;
    "segments", how many superpixels there are, (B,).
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        fill: str | Inpaint = "zero",
        segments: int = 50,
        compactness: float = 30.0,
        samples: int = 500,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier returning logits.
            spec: its contract.
            fill: what replaces superpixels, see `removal.removal`; "zero" is LIME, a plausible fill makes LIME-G.
            segments: about how many superpixels.
            compactness: of the superpixels; the higher, the squarer.
            samples: N, evaluations per image.
            settings: see `Settings`; the probability is explained.

        Raises:
            InputError: unknown fill, or fewer than two samples or superpixels.
        """
        super().__init__(model, spec, **settings)
        if min(samples, segments) < 2:
            raise InputError(f"{samples} samples of {segments} superpixels explain nothing; both must be at least 2.")
        self._remove = removal(fill, spec)
        self._segments = segments
        self._compactness = compactness
        self._samples = samples

    def _maps(self, query: Query) -> Maps:
        segments = torch.stack([self._superpixels(image) for image in query.images.cpu()])
        counts = segments.flatten(1).amax(dim=1) + 1
        draws = [self._draw(name, int(count)) for name, count in zip(query.image_ids, counts, strict=True)]
        kept = torch.nn.utils.rnn.pad_sequence([draw.T for draw in draws], batch_first=True).to(query.images)
        place = segments.to(query.images.device)

        def keep(which: Tensor, sample: Tensor) -> Tensor:
            return kept[which, :, sample].gather(1, place[which].flatten(1)).view(-1, 1, *place.shape[1:])

        scores = scores_without(query, self._remove, keep, self._samples).cpu()
        fits = [weighted_ridge(draw, score) for draw, score in zip(draws, scores, strict=True)]
        painted = [coefficients[where] for (coefficients, _), where in zip(fits, segments, strict=True)]
        return Maps(
            torch.stack(painted)[:, None].to(query.images),
            {"r2": torch.stack([r2 for _, r2 in fits]).float(), "segments": counts},
        )

    def _superpixels(self, image: Tensor) -> Tensor:
        """Number of the superpixel of every pixel, int64 (H, W), 0 to count - 1; grey is shown to SLIC as RGB."""
        intensities = self.spec.denormalise(image).clamp(0, 1).expand(3, -1, -1)
        labels = slic(
            intensities.permute(1, 2, 0).double().numpy(),
            n_segments=self._segments,
            compactness=self._compactness,
            sigma=SLIC_SIGMA * min(image.shape[-2:]),
            start_label=0,
        )
        return torch.from_numpy(labels).long()

    def _draw(self, image_id: str, count: int) -> Tensor:
        """Which superpixels each sample keeps, float (N, count); the same whatever the fill."""
        generator = torch_generator(self.seed, "explain", "lime", image_id)
        draw = torch.rand(self._samples, count, generator=generator) < 0.5
        draw[0] = True
        return draw.float()


def weighted_ridge(kept: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """LIME's regression of `scores` (N,) on `kept` (N, d), 0 or 1: coefficients (d,) and weighted R2 (), float64.

    Of a score that hardly changes, by less than 1e-6, R2 tends to 1: there is nothing that the fit misses.
    """
    kept, scores = kept.double(), scores.double()
    distance = 1 - kept.mean(dim=1).sqrt()
    weight = torch.exp(-((distance / KERNEL_WIDTH) ** 2)).sqrt()
    share = weight / weight.sum()
    scores = scores - scores[0]  # exactly 0 where nothing ever changes
    rows, values = kept - share @ kept, scores - share @ scores  # centred: the intercept is not penalised
    gram = rows.T @ (weight[:, None] * rows) + RIDGE * torch.eye(rows.shape[1], dtype=rows.dtype)
    coefficients = torch.linalg.solve(gram, rows.T @ (weight * values))
    missed, spread = share @ (values - rows @ coefficients) ** 2, share @ values**2
    return coefficients, 1 - missed / spread.clamp_min(1e-12)
