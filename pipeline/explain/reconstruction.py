"""Which other contents of the salient region leave the outcome unchanged?

The reconstruction half of Thakur and Fischmeister, ICPR 2020, arXiv 2006.09504. The salient region is cut out (see
`hole`) and a generative model of the domain is searched for pictures that agree with what is left: latent search, as
in Yeh et al., CVPR 2017. Each picture found lends its content to the hole, and the composite is accepted when the
classifier still gives its answer. The classifier is a black box here: it is asked once for each composite, and
gradients go through the generative model only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.frozen import frozen
from pipeline.explain.hole import rim_weights, salient_holes
from pipeline.explain.scorer import Scorer, fitting_batch
from pipeline.progress import Progress, silent
from pipeline.randomness import torch_generator

if TYPE_CHECKING:
    from models.generative import PictureModel  # takes seconds: MONAI

HOLES = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Sizes of the hole in the paper's figure, shares of the salient region's bounding box."""
CANDIDATES = 64
"""Latents searched for one hole, and at a time; the authors' number."""
STEPS = 1500
"""Updates of each latent; the authors' number for 64 pixels. On radiographs the loss hardly falls after 200."""
RATE = 0.01
MOMENTUM = 0.9
REALISM = 0.005
"""Weight of the term that keeps a picture like the domain's (lambda)."""


@dataclass(frozen=True)
class Variations:
    """What was found for one hole.

    Attributes:
        share: the hole's size as a share of the salient region's bounding box.
        hole: bool (S, S), true where the content is replaced; S is the side of the generative model's pictures.
        saliency_inside: share of the map's sum above its minimum that lies in the hole.
        contents: generated pictures (n, 1, S, S) in [0, 1]; the hole shows a part of each.
        context_loss: sum(R |B G(z) - B x|) of each, on the scale [-1, 1]; (n,).
        score: probability of the outcome for each composite, (n,).
        accepted: whether the outcome still is the classifier's answer, bool (n,).
        change: mean absolute difference between new and old content in the hole, on the scale [0, 1], (n,). Where it
            is small, acceptance says little: the composite shows what was there before.
    """

    share: float
    hole: Tensor
    saliency_inside: float
    contents: Tensor
    context_loss: Tensor
    score: Tensor
    accepted: Tensor
    change: Tensor

    @property
    def accuracy(self) -> float:
        """Share of the composites that are accepted."""
        return float(self.accepted.float().mean())

    @property
    def accepted_score(self) -> float | None:
        """Mean score of the accepted composites, None without any: what the paper's figure seems to call accuracy."""
        return float(self.score[self.accepted].mean()) if bool(self.accepted.any()) else None

    @property
    def spread(self) -> float | None:
        """Standard deviation between accepted contents, mean over the hole, in [0, 1]; None with fewer than two.

        Near 0 the variations are one and the same.
        """
        if int(self.accepted.sum()) < 2 or not bool(self.hole.any()):
            return None
        return float(self.contents[self.accepted][..., self.hole].std(dim=0).mean())


def reconstruct(
    model: nn.Module,
    spec: ModelSpec,
    generator: PictureModel,
    pixels: Tensor,
    saliency: Tensor,
    target: int,
    *,
    image_id: str,
    holes: Sequence[float] = HOLES,
    candidates: int = CANDIDATES,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Variations]:
    """Search contents for holes of several sizes and ask the classifier which of them keep its answer.

    Args:
        model: classifier returning logits; left as it was.
        spec: its contract.
        generator: generative model of the domain, on the device of `model`; left as it was.
        pixels: the image (1, 1, H, W) in [0, 1], on the same device.
        saliency: its map (1, 1, h, w), larger = matters more.
        target: class whose being the answer is the outcome.
        image_id: with `seed` and the hole's size it decides all randomness.
        holes: sizes, shares of the salient region's bounding box.
        candidates: latents for each hole.
        steps: updates of each latent.
        seed: of the run.
        progress: told after every hole.

    Raises:
        InputError: a setting out of range, or a map without a salient region.
    """
    if not holes or min(holes) < 0 or max(holes) > 1 or candidates < 1 or steps < 0:
        raise InputError(
            "Holes are shares in 0..1, candidates at least 1, steps at least 0; "
            f"found holes {list(holes)}, {candidates} candidates, {steps} steps."
        )
    coarse = _resized(saliency, generator.size)[0, 0]
    above = coarse - coarse.min()
    picture = _resized(pixels, generator.size)
    found = []
    with frozen(model), frozen(generator, channels_last=True):
        for number, (share, hole) in enumerate(zip(holes, salient_holes(coarse, holes), strict=True)):
            source = torch_generator(seed, "reconstruction", image_id, f"{share:g}")
            start = 2 * torch.rand(candidates, generator.latent, generator=source) - 1
            weights = rim_weights(hole)
            found_latents = [
                search_latents(generator, 2 * picture - 1, weights, part.to(pixels.device), steps)
                for part in torch.split(start, CANDIDATES)
            ]
            with torch.no_grad():
                made = torch.cat([generator(latents) for latents in found_latents])
            loss = context_loss(made, 2 * picture - 1, weights)
            contents = (made + 1) / 2
            score, accepted = _judge(model, spec, pixels, contents, hole, target)
            change = (contents - picture)[..., hole].abs().flatten(1).sum(1) / max(int(hole.sum()), 1)
            inside = float(above[hole].sum() / above.sum())
            found.append(Variations(share, hole, inside, contents, loss, score, accepted, change))
            progress("reconstruct", number + 1, len(holes))
    return found


def context_loss(pictures: Tensor, original: Tensor, weights: Tensor) -> Tensor:
    """sum(R |B G(z) - B x|) of each picture (n, 1, S, S), (n,). R is 0 where B is, so B need not be applied."""
    return (weights * (pictures - original).abs()).sum(dim=(1, 2, 3))


def search_latents(generator: PictureModel, original: Tensor, weights: Tensor, start: Tensor, steps: int) -> Tensor:
    """Latents whose pictures agree with `original` around the hole, after `steps` updates from `start`.

    Minimises ``context_loss + REALISM * implausibility`` with the authors' momentum: v' = 0.9 v - 0.01 gradient,
    z += -0.9 v + 1.9 v', z clipped to [-1, 1]. Latents do not influence each other.

    Args:
        generator: frozen.
        original: the picture (1, 1, S, S) in [-1, 1].
        weights: importance R (S, S).
        start: latents (n, latent) in [-1, 1]; not modified.
        steps: number of updates.
    """
    latents, velocity = start, torch.zeros_like(start)
    for _ in range(steps):
        leaf = latents.detach().requires_grad_()
        with torch.enable_grad():
            pictures = generator(leaf)
            loss = context_loss(pictures, original, weights) + REALISM * generator.implausibility(pictures)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        before, velocity = velocity, MOMENTUM * velocity - RATE * gradient
        latents = (latents - MOMENTUM * before + (1 + MOMENTUM) * velocity).clamp(-1, 1)
    return latents


def composite(spec: ModelSpec, pixels: Tensor, contents: Tensor, hole: Tensor) -> Tensor:
    """Network input with generated content in the hole; outside, bit for bit that of the image.

    Args:
        spec: contract of the classifier.
        pixels: the image (1, 1, H, W) in [0, 1].
        contents: generated pictures (n, 1, S, S) in [0, 1].
        hole: bool (S, S).

    Returns:
        (n, channels, *spec.input_size).
    """
    inputs = spec.preprocess(pixels)
    content = functional.interpolate(contents, spec.input_size, mode="bilinear", align_corners=False)
    where = functional.interpolate(hole[None, None].float(), spec.input_size, mode="nearest") > 0
    return torch.where(where, spec.normalise(content), inputs)


def _judge(
    model: nn.Module, spec: ModelSpec, pixels: Tensor, contents: Tensor, hole: Tensor, target: int
) -> tuple[Tensor, Tensor]:
    """Score of the outcome for each composite, and whether it is the classifier's answer; (n,) both."""

    def run(part: Tensor, _target: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            probabilities = torch.softmax(model(composite(spec, pixels, part, hole)).float(), dim=1)
        return probabilities[:, target], probabilities.argmax(dim=1) == target

    batch = fitting_batch(model, spec.preprocess(pixels))
    scorer = Scorer(model, torch.tensor([target]), score="probability", batch_size=batch)
    score, accepted = scorer.apply(run, contents, torch.zeros(len(contents), dtype=torch.int64), backward=0)
    return score, accepted


def _resized(images: Tensor, side: int) -> Tensor:
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
