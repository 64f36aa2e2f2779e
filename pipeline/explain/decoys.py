"""Decoys: images that an early layer cannot tell from the original, though a patch is as different as it can be.

Lu, Guo, Xing and Noble, "DANCE: Enhancing saliency maps using decoys", ICML 2021 (arXiv 2002.00526). `decoy_solver`
has the problem and how it is solved.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.explain.decoy_solver import DecoyOptions, Problem, column, pull_back, search_decoys
from pipeline.explain.decoy_window import find_windows
from pipeline.explain.frozen import frozen
from pipeline.explain.stem import Stem

_MARGIN = 1e-3
"""Share of epsilon kept free: activations differ in the last bits with the size of a batch, the promise must not."""


@dataclass(frozen=True)
class Decoys:
    """P decoys and how they were reached.

    Attributes:
        images: network input (P, C, H, W); outside its patch each is bit-identical to its original.
        epsilon: allowed change of a unit of the layer (P,).
        drift: largest change of a unit (P,), measured on `images`, never above `epsilon`.
        gain: the objective (P,): sum of the changes in the wanted direction, network-input units.
        change: ||x' - x||_1 (P,), changes against the wanted direction included.
        steps: forward and backward passes through the layers that the search took, int64 (P,).
    """

    images: Tensor
    epsilon: Tensor
    drift: Tensor
    gain: Tensor
    change: Tensor
    steps: Tensor


class DecoySearch:
    """Finds decoys of B images. Needs a frozen model.

    Attributes:
        epsilon: allowed change of a unit, per image (B,).
    """

    def __init__(
        self, stem: Stem, images: Tensor, corners: Tensor, side: int, spec: ModelSpec, options: DecoyOptions
    ) -> None:
        """Prepare for square patches.

        Args:
            stem: the model up to the layer that must not notice.
            images: network input (B, C, H, W).
            corners: first row and column of each patch, int64 (n, 2).
            side: of the patches, pixels.
            spec: says what intensities 0 and 1, the ends of the box, are to the network. Where an image exceeds
                them its own extremes are the box, so that the image itself is always allowed.
            options: of the search.
        """
        self._stem, self._images, self._options = stem, images, options
        self._windows = find_windows(stem, images[:1], corners.to(images.device), side)
        with torch.no_grad():
            self._spread = torch.stack([stem(image[None]).std(correction=0) for image in images])
        self.epsilon = options.epsilon * self._spread
        black, white = spec.normalise(images.new_tensor([0.0, 1.0]))
        self._low = images.flatten(1).amin(1).clamp(max=black)
        self._high = images.flatten(1).amax(1).clamp(min=white)

    def solve(self, which: Tensor, patch: Tensor, sign: Tensor) -> Decoys:
        """Decoys of images `which`, for patches `patch` and signs `sign` (+1 or -1), int64 (P,) each.

        All problems advance together; solved ones leave the batch.
        """
        originals, epsilon = self._images[which], self.epsilon[which]
        problem = Problem(
            window=self._windows.cut(originals, patch),
            inside=self._windows.inside(patch),
            sign=column(sign.to(originals)),
            low=column(self._low[which]),
            high=column(self._high[which]),
            epsilon=epsilon * (1 - 2 * _MARGIN),
            spread=self._spread[which],
        )
        found, steps = search_decoys(self._stem, problem, self._options)
        with torch.no_grad():
            # Against the whole image, because windows rest on an argument and the promise must not.
            rows, place = torch.unique(which, return_inverse=True)
            reference = self._stem(self._images[rows])[place]
            images = self._windows.paste(originals, found, patch)
            images, drift = pull_back(self._stem, originals, reference, images, epsilon * (1 - _MARGIN))
        change = (images - originals).flatten(1)
        gain = (change * sign.to(change)[:, None]).clamp_min(0).sum(1)
        return Decoys(images, epsilon, drift, gain, change.abs().sum(1), steps)


def make_decoys(
    model: nn.Module,
    layer: str | None,
    images: Tensor,
    corners: Tensor,
    side: int,
    spec: ModelSpec,
    options: DecoyOptions | None = None,
    *,
    batch_size: int = 20,
) -> Decoys:
    """Two decoys, with sign +1 and -1, for each patch of each image: P = B * n * 2, in that order.

    Args:
        model: classifier; left exactly as it was.
        layer: the named layer that must not notice; None takes `stem.default_layer`.
        images: network input (B, C, H, W).
        corners: first row and column of each patch, int64 (n, 2); `decoy_window.patch_grid` makes them.
        side: of the square patches, pixels.
        spec: the model's contract.
        options: of the search.
        batch_size: most decoys searched at a time.

    Raises:
        InputError: there is no such layer.
    """
    problems = decoy_problems(images, len(corners))
    with frozen(model, channels_last=True):
        search = DecoySearch(Stem(model, layer, images[:1]), images, corners, side, spec, options or DecoyOptions())
        parts = [search.solve(*part.unbind(1)) for part in torch.split(problems, batch_size)]
    return Decoys(*(torch.cat([getattr(part, each.name) for part in parts]) for each in fields(Decoys)))


def decoy_problems(images: Tensor, patches: int) -> Tensor:
    """Rows (image, patch, sign), int64 (B * patches * 2, 3), on the device of `images` (B, C, H, W)."""
    numbers = torch.arange(len(images)), torch.arange(patches), torch.tensor([1, -1])
    return torch.cartesian_prod(*numbers).to(images.device)
