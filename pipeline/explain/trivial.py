"""Maps that do not look at the classifier. A method whose numbers they reach has shown nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from pipeline.explain.contract import Explainer, Maps, Query

BUMP = 0.25
"""Standard deviation of the bump in the centre, as a share of the image's sides."""
_SMOOTH = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
_RISE = torch.tensor([-1.0, -2.0, 0.0, 2.0, 1.0]) / 8
"""Binomial smoothing with a standard deviation of one pixel, and the difference of its neighbours."""


class RandomMap(Explainer):
    """Independent uniform values in [0, 1)."""

    def _maps(self, query: Query) -> Maps:
        shape = (1, *query.images.shape[-2:])
        maps = [torch.rand(shape, generator=self.generator(image_id)) for image_id in query.image_ids]
        return Maps(torch.stack(maps).to(query.images))


class CentreMap(Explainer):
    """A Gaussian bump in the middle, 1 at most: what is photographed is usually there."""

    def _maps(self, query: Query) -> Maps:
        rows, columns = (_bump(side, query.images) for side in query.images.shape[-2:])
        return Maps((rows[:, None] * columns).expand(len(query.images), 1, -1, -1).clone())


class EdgeMap(Explainer):
    """Sobel magnitude of the mean of the channels, smoothed by one pixel. Edges look like an explanation.

    Adebayo et al., NeurIPS 2018 (arXiv 1810.03292), show how much some methods resemble it. The border is continued
    outwards, so the frame is no edge.
    """

    def _maps(self, query: Query) -> Maps:
        grey = functional.pad(query.images.mean(dim=1, keepdim=True), (2, 2, 2, 2), mode="replicate")
        smooth, rise = _SMOOTH.to(grey), _RISE.to(grey)
        kernels = torch.stack([torch.outer(rise, smooth), torch.outer(smooth, rise)])[:, None]
        return Maps(functional.conv2d(grey, kernels).norm(dim=1, keepdim=True))


def _bump(side: int, like: Tensor) -> Tensor:
    places = (torch.arange(side).to(like) - (side - 1) / 2) / side
    return torch.exp(-((places / BUMP) ** 2) / 2)
