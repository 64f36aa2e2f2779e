"""Taking parts of an image away: the one step in which a perturbation method and its generative variant differ.

After Agarwal and Nguyen, "Explaining image classifiers by removing input features using generative models",
ACCV 2020 (arXiv 1910.04256): what stands in place of removed pixels is either arbitrary (grey, blur) or painted so
that the image stays plausible.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from models.spec import ModelSpec
from pipeline import fills
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.contract import Query
from pipeline.fills.registry import LEARNED, TORCHSCRIPT

Removal = Callable[[Tensor, Tensor], Tensor]
"""(network input (n, C, H, W), keep (n, 1, H, W) in [0, 1], 0 = taken away) -> network input. Where `keep` is 1 the
pixels come back bit-identical. Differentiable by `keep`; the new content counts as a constant."""

Inpaint = Callable[[Tensor, Tensor], Tensor]
"""(network input (n, C, H, W), keep (n, 1, H, W), 0 or 1) -> images painted where `keep` is 0, same shape. What it
returns elsewhere is never shown. Each image is to be painted without regard to the others of the batch, and alike
every time."""

_GAUSSIAN = "gaussian-"


def available_removals() -> tuple[str, ...]:
    """Names that `removal` accepts; any other radius in pixels does as well as 10; so do networks, see there."""
    return ("zero", f"{_GAUSSIAN}10", *fills.available_fills(), LEARNED)


def removal(how: str | Inpaint, spec: ModelSpec) -> Removal:
    """The removal called `how`, or the one that an inpainter makes, for network input that `spec` describes.

    * ``zero``: network input 0, the mean grey of training (SP and LIME of the paper);
    * ``gaussian-R``: the whole image blurred with a Gaussian of R pixels standard deviation (MP: R = 10);
    * a fill of `pipeline.fills` (its ``blur``, unlike the Gaussian, sees nothing of what was removed), among them
      ``learned``, ``learned:FOLDER`` and ``torchscript:FILE``, in the working directory unless they are absolute;
    * a function ``inpaint(images, keep)``, see `Inpaint`; `painted_by` makes one of a `Fill`.

    The first two fade as `keep` falls from 1 to 0. The others paint holes, and a hole is there or not: pixels with
    `keep` below 0.5 are painted, the rest is kept whole, and the gradient by `keep` is passed straight through that
    threshold. The authors' threshold, max(0.5, half of max + min), is taken over the batch, so that one image's mask
    decides the holes of another; and it would open holes in masks that keep everything.

    Raises:
        InputError: unknown name, or a network that cannot be used; on use, an inpainter that returns another shape.
        ModelError: a bundle cannot be loaded.
    """
    if how == "zero":
        return lambda images, keep: images * keep
    if isinstance(how, str) and how.startswith(_GAUSSIAN):
        sigma = _radius(how)
        return lambda images, keep: _composite(images, gaussian_blur(images, sigma), keep)
    if isinstance(how, str):
        if how not in fills.available_fills() and how.partition(":")[0] not in (LEARNED, TORCHSCRIPT):
            raise InputError(f"Unknown removal {how!r}. {did_you_mean(how, available_removals())}")
        how = painted_by(fills.fill(how), spec)
    return _hard(how)


def painted_by(fill: fills.Fill, spec: ModelSpec) -> Inpaint:
    """`fill`, which works on intensities in [0, 1], as an inpainter of network input.

    Grey images that the network wants three times are filled once. An image of which nothing is kept gives a fill
    nothing to go by: it becomes network input 0, the mean grey of training.
    """

    def inpaint(images: Tensor, keep: Tensor) -> Tensor:
        hole = keep == 0
        nothing_left = hole.flatten(1).all(dim=1).view(-1, 1, 1, 1)
        grey = images[:, :1]
        planes = grey if torch.equal(grey.expand_as(images), images) else images
        # Noise or rounding may have left [0, 1], outside of which fills give nonsense.
        filled = fill(spec.denormalise(planes).clamp(0, 1).float(), hole & ~nothing_left, None)
        return torch.where(nothing_left, 0.0, spec.normalise(filled).to(images.dtype).expand_as(images))

    return inpaint


def scores_without(query: Query, remove: Removal, keep: Callable[[Tensor, Tensor], Tensor], count: int) -> Tensor:
    """Scores (B, count) of `count` variants of each image; variants of several images share a batch.

    Args:
        query: images and classifier.
        remove: how content is taken away.
        keep: (which image (n,), which of its variants (n,)), int64 -> what is kept, float (n, 1, H, W).
        count: variants of each image.
    """
    total, scores = len(query.images) * count, list[Tensor]()
    start = 0
    while start < total:
        # Asked anew each time: the batch shrinks when memory runs out.
        numbers = torch.arange(start, min(start + query.scorer.batch_size, total), device=query.images.device)
        which, variant = numbers // count, numbers % count
        scores.append(query.scorer.values(remove(query.images[which], keep(which, variant)), which))
        start += len(numbers)
    return torch.cat(scores).view(-1, count)


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (n, C, H, W), cut at four sigma, the edge pixels repeated outside (as Pillow does)."""
    down, right = (_blur_matrix(side, sigma).to(images) for side in images.shape[-2:])
    return down @ images @ right.T


def _blur_matrix(side: int, sigma: float) -> Tensor:
    """(side, side): row i holds the weights with which the pixels of a line make blurred pixel i."""
    reach = torch.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    weights = torch.exp(-0.5 * (reach / sigma) ** 2)
    places = (torch.arange(side)[:, None] + reach).clamp(0, side - 1)
    return torch.zeros(side, side).scatter_add(1, places, (weights / weights.sum()).expand(side, -1))


def _hard(inpaint: Inpaint) -> Removal:
    def remove(images: Tensor, keep: Tensor) -> Tensor:
        kept = (keep >= 0.5).to(images.dtype)
        with torch.no_grad():
            content = inpaint(images, kept)
        if content.shape != images.shape:
            raise InputError(
                f"The inpainter returned {tuple(content.shape)} for images {tuple(images.shape)}; "
                "it must return the whole images."
            )
        return _composite(images, content, kept + (keep - keep.detach()))

    return remove


def _composite(images: Tensor, content: Tensor, keep: Tensor) -> Tensor:
    return images * keep + content * (1 - keep)


def _radius(name: str) -> float:
    try:
        radius = float(name.removeprefix(_GAUSSIAN))
    except ValueError:
        radius = math.nan
    if not 0 < radius < math.inf:
        raise InputError(
            f"Unknown removal {name!r}: '{_GAUSSIAN}' is followed by a radius in pixels, as in gaussian-10."
        )
    return radius
