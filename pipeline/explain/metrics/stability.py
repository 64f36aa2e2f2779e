"""How much a map moves when the image hardly does, and how much of that is the method's own chance.

Max-sensitivity alone does not tell good maps from random ones (arXiv 2412.10942): read it beside
`randomisation.parameter_randomisation`, and against the `noise_floor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.explain.contract import Explainer
from pipeline.randomness import torch_generator


def max_sensitivity(
    explainer: Explainer,
    images: Tensor,
    target: Tensor | int,
    image_ids: Sequence[str],
    *,
    radius: float = 0.02,
    samples: int = 10,
    seed: int = 0,
) -> Tensor:
    """Largest relative change of the map under small noise on the image, (B,), >= 0; lower = more stable.

    ``max_j ||E(x + d_j) - E(x)|| / ||E(x)||``, d uniform in [-radius, radius]: Yeh et al., NeurIPS 2019
    (arXiv 1901.09392), with Captum's radius, samples and rule that a map of zeros has norm 1. The ids keep the
    method's own randomness the same, so only the image differs.

    Args:
        explainer: the method, bound to its classifier.
        images: network input (B, C, H, W).
        target: class per image (B,) or one for all.
        image_ids: identity of each image; with `seed` they decide its noise.
        radius: in units of network input, that is after normalisation: with a std of 0.25, 0.02 is 0.005 of the
            range from black to white.
        samples: noisy copies of each image.
        seed: of the noise.

    Raises:
        InputError: fewer than one sample, a radius that is not positive, or what `Explainer.attribute` refuses.
    """
    if samples < 1 or radius <= 0:
        raise InputError(f"Max-sensitivity needs samples >= 1 and radius > 0, found {samples} and {radius}.")
    original = explainer.attribute(images, target, image_ids=image_ids)
    worst = torch.zeros(len(images), device=original.device)
    for sample in range(samples):
        noise = torch.stack([_uniform(images.shape[1:], radius, seed, key, sample) for key in image_ids])
        moved = explainer.attribute(images + noise.to(images), target, image_ids=image_ids)
        worst = torch.maximum(worst, relative_change(original, moved))
    return worst


def noise_floor(
    make: Callable[[int], Explainer],
    images: Tensor,
    target: Tensor | int,
    image_ids: Sequence[str],
    seeds: Sequence[int],
) -> Tensor:
    """Largest relative change of the map by the seed alone, (B,), >= 0; 0 for methods without randomness.

    In the units of `max_sensitivity`: the map of the first seed against those of the others.

    Args:
        make: the explainer for a seed, all else equal.
        images: network input (B, C, H, W).
        target: class per image (B,) or one for all.
        image_ids: identity of each image.
        seeds: at least two different ones.

    Raises:
        InputError: fewer than two seeds.
    """
    if len(set(seeds)) < 2:
        raise InputError(f"The noise floor compares at least two different seeds, found {list(seeds)}.")
    first, *others = (make(seed).attribute(images, target, image_ids=image_ids) for seed in seeds)
    return torch.stack([relative_change(first, other) for other in others]).amax(dim=0)


def relative_change(original: Tensor, moved: Tensor) -> Tensor:
    """Frobenius norm of the difference of maps (B, 1, H, W) over that of the original, (B,); zero maps have norm 1."""
    norm = original.flatten(1).norm(dim=1)
    change: Tensor = (moved - original).flatten(1).norm(dim=1)
    return change / torch.where(norm > 0, norm, 1.0)


def _uniform(shape: torch.Size, radius: float, *purpose: str | int) -> Tensor:
    return (2 * torch.rand(shape, generator=torch_generator("max-sensitivity", *purpose)) - 1) * radius
