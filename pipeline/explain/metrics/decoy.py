"""The two scores of the DANCE paper: fidelity of a map, and its stability against attacks on explanations.

Lu, Guo, Xing and Noble, "DANCE: Enhancing saliency maps using decoys", ICML 2021 (arXiv 2002.00526), section 4. Its
numbers are in figures only, so there is nothing to compare with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pipeline.errors import InputError, did_you_mean
from pipeline.explain.contract import Explainer
from pipeline.explain.dance import normalised_map
from pipeline.explain.frozen import frozen
from pipeline.explain.metrics.checks import check_same_place, check_target
from pipeline.explain.scorer import CPU_BATCH, Scorer, target_score
from pipeline.randomness import torch_generator

Attack = Literal["top-k", "target", "mass-centre"]
"""Done to the explanation: its strongest pixels weakened, its mass pushed into a corner, or its centre moved."""

LEAST_PROBABILITY = 1e-12
"""Probabilities are clipped here before logarithms."""
TOP_SHARE = 5000 / 224**2
"""Strongest pixels of attack "top-k": the paper's 5000 of an ImageNet image, as a share of the pixels."""
CORNER_SHARE = 4 / 224
"""Side of the bottom right square of attack "target": the paper's 4 pixels, as a share of the input's."""
RADIUS = 8 / 255
"""Largest change of a pixel, intensities; the largest of Ghorbani et al., from memory."""
STEPS = 20
"""Ascent steps; ours."""
SHARPNESS = 10.0
"""Of the softplus that stands for ReLU; ours."""

_Damage = Callable[[Tensor], Tensor]
"""Gradient maps (B, 1, H, W) with sum 1 -> how badly they were hit, (B,), larger = worse."""


def saliency_fidelity(
    model: nn.Module, images: Tensor, saliency: Tensor, target: Tensor | int, *, batch_size: int = CPU_BATCH
) -> Tensor:
    """SF (B,): ``-log(p(E x) / p(mean(E) x))``, lower = the map keeps what the class needs; a constant map gets 0.

    The form is Dabkowski and Gal's. E is the map after DANCE's post-processing, in [0, 1]; E x is the product with the
    network's input, so what is masked out is input 0, usually mean grey (the paper does not say). Probabilities below
    `LEAST_PROBABILITY` count as that.

    Args:
        model: classifier returning logits; left exactly as it was.
        images: network input (B, C, H, W).
        saliency: (B, 1, H, W), larger = matters more.
        target: class per image (B,) or one for all.
        batch_size: most images in one call of the model.

    Raises:
        InputError: shapes disagree or the map is not finite.
    """
    check_same_place(saliency, images)
    mask = normalised_map(saliency).to(images)
    level = mask.mean(dim=(1, 2, 3), keepdim=True)
    scorer = Scorer(model, check_target(target, images), score="probability", batch_size=batch_size)
    with frozen(model):
        kept, flat = (
            scorer.values(share * images).double().clamp_min(LEAST_PROBABILITY).log() for share in (mask, level)
        )
    return (flat - kept).to(images.dtype)


def stability(
    explainer: Explainer,
    images: Tensor,
    target: Tensor | int,
    image_ids: Sequence[str],
    *,
    attack: Attack = "top-k",
    radius: float = RADIUS,
    steps: int = STEPS,
) -> Tensor:
    """SS (B,): ``||E(x) - E(x')|| / ||x - x'||`` for the attacked image x', lower = more stable (local Lipschitz).

    E is the map after DANCE's post-processing. The ids keep the method's own randomness the same for x and x'. NaN
    where every perturbation that the attack tried changes the predicted class: it is then no attack on the
    explanation.

    Args:
        explainer: the method, bound to its classifier.
        images: network input (B, C, H, W).
        target: class per image (B,) or one for all.
        image_ids: identity of each image.
        attack: see `attacked_images`.
        radius: see `attacked_images`.
        steps: see `attacked_images`.

    Raises:
        InputError: what `attacked_images` and `Explainer.attribute` refuse.
    """
    original = normalised_map(explainer.attribute(images, target, image_ids=image_ids))
    moved = attacked_images(explainer, images, target, image_ids, attack=attack, radius=radius, steps=steps)
    other = normalised_map(explainer.attribute(moved, target, image_ids=image_ids))
    difference: Tensor = (other - original).flatten(1).norm(dim=1) / (moved - images).flatten(1).norm(dim=1)
    return difference


def attacked_images(
    explainer: Explainer,
    images: Tensor,
    target: Tensor | int,
    image_ids: Sequence[str],
    *,
    attack: Attack = "top-k",
    radius: float = RADIUS,
    steps: int = STEPS,
) -> Tensor:
    """Images (B, C, H, W) that look and are classified like `images`, with a different gradient map.

    Iterative attacks of Ghorbani, Abid and Zou, "Interpretation of neural networks is fragile", AAAI 2019
    (arXiv 1710.10547), from memory: steps along the sign of the gradient of a damage, kept within `radius`; the step
    that damages most and does not change the predicted class is taken. "top-k" weakens the strongest pixels, "target"
    strengthens the bottom right corner, "mass-centre" moves the map's centre of mass.

    Our choices: the surrogate that is attacked is the gradient of the target's logit for all explainers, so all meet
    the same images, and most need not be differentiable; ReLU has no second derivative, so a copy of the classifier
    with `SHARPNESS`-softplus for every `torch.nn.ReLU` gives the gradients (a ReLU called as a function stays);
    steps of 2 radius / steps; the start is one random step away, because the centre of mass has no slope at the image.

    Args:
        explainer: its classifier is attacked.
        images: network input (B, C, H, W).
        target: class per image (B,) or one for all.
        image_ids: identity of each image; with the explainer's seed they decide where the attack starts.
        attack: one of the three.
        radius: largest change of a pixel, intensities in [0, 1].
        steps: of the ascent.

    Raises:
        InputError: unknown attack, a radius or steps that are not positive, or not one target for each image.
    """
    if attack not in get_args(Attack):
        raise InputError(f"Unknown attack {attack!r}. {did_you_mean(attack, get_args(Attack))}")
    if radius <= 0 or steps < 1:
        raise InputError(f"Attacks need radius > 0 and steps >= 1, found {radius} and {steps}.")
    classes = check_target(target, images)
    surrogate = _smooth(explainer.model)
    starts = torch.stack([_signs(images.shape[1:], explainer.seed, attack, key) for key in image_ids]).to(images)
    with frozen(explainer.model), frozen(surrogate):
        parts = [
            _Ascent(explainer, surrogate, images[rows], classes[rows], attack).run(starts[rows], radius, steps)
            for rows in torch.split(torch.arange(len(images)), CPU_BATCH)
        ]
    return torch.cat(parts)


class _Ascent:
    """One attack on some images (B, C, H, W)."""

    def __init__(
        self, explainer: Explainer, surrogate: nn.Module, images: Tensor, classes: Tensor, attack: Attack
    ) -> None:
        self.explainer, self.surrogate, self.images, self.classes = explainer, surrogate, images, classes
        self.damage = _damage(attack, _gradient_map(surrogate, images, classes).detach())

    def run(self, start: Tensor, radius: float, steps: int) -> Tensor:
        """The image on the way that damages most without a change of class; the original where there is none."""
        black, white, far = self.explainer.spec.normalise(self.images.new_tensor([0.0, 1.0, radius]))
        reach = far - black
        low, high = (self.images - reach).clamp_min(black), (self.images + reach).clamp_max(white)
        size = 2 * reach / steps
        predicted = self._predicted(self.images)
        current = _within(self.images + size * start, low, high)
        best, worst = self.images, self.images.new_full((len(start),), -torch.inf)
        for _ in range(steps):
            leaf = current.clone().requires_grad_()
            damage = self.damage(_gradient_map(self.surrogate, leaf, self.classes))
            (slope,) = torch.autograd.grad(damage.sum(), leaf)
            kept = (self._predicted(current) == predicted) & (damage.detach() > worst)
            worst = torch.where(kept, damage.detach(), worst)
            best = torch.where(kept[:, None, None, None], current, best)
            current = _within(current + size * slope.sign(), low, high)
        return best

    def _predicted(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = self.explainer.model(images)
        return logits.argmax(dim=1)


def _damage(attack: Attack, original: Tensor) -> _Damage:
    """How to tell the harm done to the gradient maps `original` (B, 1, H, W) with sum 1."""
    height, width = original.shape[-2:]
    if attack == "top-k":
        count = max(1, round(TOP_SHARE * height * width))
        strongest = original.flatten(1).topk(count, dim=1).indices
        return lambda maps: -maps.flatten(1).gather(1, strongest).sum(1)
    if attack == "target":
        rows, columns = (max(1, round(CORNER_SHARE * side)) for side in (height, width))
        return lambda maps: maps[:, :, -rows:, -columns:].sum(dim=(1, 2, 3))
    centre = _centre(original)
    return lambda maps: (_centre(maps) - centre).norm(dim=1)


def _centre(maps: Tensor) -> Tensor:
    """Row and column (B, 2) of the centre of mass of maps (B, 1, H, W) with sum 1."""
    rows, columns = (torch.arange(side, device=maps.device, dtype=maps.dtype) for side in maps.shape[-2:])
    return torch.stack([(maps.sum(dim=(1, 3)) * rows).sum(dim=1), (maps.sum(dim=(1, 2)) * columns).sum(dim=1)], dim=1)


def _gradient_map(model: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Absolute derivative of the target's logit, summed over channels and scaled to sum 1: (B, 1, H, W)."""
    with torch.enable_grad():
        leaf = images if images.requires_grad else images.detach().requires_grad_()
        score = target_score(model, leaf, target, "logit").sum()
        (slope,) = torch.autograd.grad(score, leaf, create_graph=True)
    size = slope.abs().sum(dim=1, keepdim=True)
    return size / size.sum(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)


def _smooth(model: nn.Module) -> nn.Module:
    """A copy of `model` whose ReLU modules have second derivatives."""
    smooth = copy.deepcopy(model)
    for parent in list(smooth.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.Softplus(beta=SHARPNESS))
    return smooth


def _within(images: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(images, low), high)


def _signs(shape: Sequence[int], seed: int, *purpose: str) -> Tensor:
    """Random +1 and -1, (C, H, W)."""
    generator = torch_generator(seed, "explanation-attack", *purpose)
    return 2.0 * torch.randint(0, 2, tuple(shape), generator=generator) - 1
