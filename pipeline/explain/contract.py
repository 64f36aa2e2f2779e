"""What every explainer promises."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, ModelError
from pipeline.explain.baseline import blurred_baseline
from pipeline.explain.frozen import frozen, target_probability, target_tensor

LOW_CONFIDENCE = 0.1
"""Below this much probability lost by blurring the whole image, there is little for a map to explain."""


@dataclass
class Evaluations:
    """Images that went through the model; every backward pass belongs to a forward pass that is counted too."""

    forward: int = 0
    backward: int = 0


@dataclass(frozen=True)
class RawMaps:
    """What an explainer hands to the contract: maps and what they cost.

    Attributes:
        saliency: (B, 1, H, W), larger = matters more for the target.
        forward: image evaluations per image, int64 (B,).
        backward: backward passes per image, int64 (B,).
    """

    saliency: Tensor
    forward: Tensor
    backward: Tensor


@dataclass(frozen=True)
class Attribution:
    """Checked maps of B images and what is needed to judge them.

    Attributes:
        saliency: float32 (B, 1, H, W), finite, larger = matters more for the target.
        probability: softmax probability of the target for the image, (B,).
        baseline_probability: the same for the blurred image, (B,).
        forward: image evaluations the map took, int64 (B,).
        backward: backward passes the map took, int64 (B,).
    """

    saliency: Tensor
    probability: Tensor
    baseline_probability: Tensor
    forward: Tensor
    backward: Tensor

    @property
    def low_confidence(self) -> Tensor:
        """Bool (B,): blurring everything costs the class less than `LOW_CONFIDENCE`, so distrust the map."""
        return self.probability - self.baseline_probability < LOW_CONFIDENCE


class Explainer(ABC):
    """A saliency method bound to one classifier.

    A map depends on the image, its id, the seed and the options, not on the other images of the batch. The
    classifier is left as it was: mode, weights, gradients, hooks.

    Subclasses write `_maps`; users call `attribute` or `explain`.
    """

    name: str
    """Key in `pipeline.explain.available()`."""

    def __init__(self, model: nn.Module, spec: ModelSpec) -> None:
        """Bind to `model`, which returns logits (B, len(spec.classes)) for network input that `spec` describes."""
        self.model = model
        self.spec = spec
        self.evaluations = Evaluations()

    def attribute(self, images: Tensor, target: Tensor | int, *, image_ids: Sequence[str] | None = None) -> Tensor:
        """Saliency maps, float32 (B, 1, H, W), finite, larger = matters more for `target`; see `explain`."""
        return self.explain(images, target, image_ids=image_ids).saliency

    def explain(self, images: Tensor, target: Tensor | int, *, image_ids: Sequence[str] | None = None) -> Attribution:
        """Saliency maps with target probabilities and cost.

        Args:
            images: network input (B, C, H, W) as `ModelSpec.preprocess` makes it.
            target: class per image, int64 (B,), or one for all.
            image_ids: identity of each image, which its randomness is derived from; by default a hash of its pixels.

        Raises:
            InputError: shape, value or target is not what the classifier takes.
            ModelError: the map came out with NaN or infinity.
        """
        classes = self._check(images, target, image_ids)
        ids = list(image_ids) if image_ids is not None else [_pixel_hash(image) for image in images]
        with frozen(self.model, channels_last=True):
            raw = self._maps(images, classes, ids)
            with torch.no_grad():
                probability = target_probability(self.model, images, classes)
                baseline_probability = target_probability(self.model, blurred_baseline(images), classes)
        self.evaluations.forward += int(raw.forward.sum())
        self.evaluations.backward += int(raw.backward.sum())
        saliency = raw.saliency.detach().float()
        self._check_maps(saliency, images)
        return Attribution(saliency, probability, baseline_probability, raw.forward, raw.backward)

    @abstractmethod
    def _maps(self, images: Tensor, target: Tensor, image_ids: Sequence[str]) -> RawMaps:
        """Maps for checked input; the model is frozen while this runs."""

    def _check(self, images: Tensor, target: Tensor | int, image_ids: Sequence[str] | None) -> Tensor:
        expected = (self.spec.channels, *self.spec.input_size)
        if images.dim() != 4 or len(images) == 0 or tuple(images.shape[1:]) != expected:
            raise InputError(
                f"{self.name} needs images (B, {', '.join(map(str, expected))}), found {tuple(images.shape)}. "
                "Use ModelSpec.preprocess."
            )
        if not images.is_floating_point() or not bool(torch.isfinite(images).all()):
            raise InputError(
                f"{self.name} needs finite floating-point images, found {images.dtype} or NaN or infinity."
            )
        classes = target_tensor(target, images)
        if classes.shape != (len(images),) or bool(((classes < 0) | (classes >= len(self.spec.classes))).any()):
            raise InputError(
                f"{self.name} needs one target in 0..{len(self.spec.classes) - 1} for each of {len(images)} images, "
                f"found {target}."
            )
        if image_ids is not None and len(image_ids) != len(images):
            raise InputError(f"{self.name} needs one id per image: {len(images)} images, {len(image_ids)} ids.")
        return classes

    def _check_maps(self, saliency: Tensor, images: Tensor) -> None:
        expected = (len(images), 1, *images.shape[-2:])
        if tuple(saliency.shape) != expected:
            raise ModelError(
                f"{self.name} made maps {tuple(saliency.shape)}, {expected} expected. This is a bug in the explainer."
            )
        if not bool(torch.isfinite(saliency).all()):
            raise ModelError(
                f"{self.name} made a map with NaN or infinity. Check that the classifier's logits are finite."
            )


def _pixel_hash(image: Tensor) -> str:
    return hashlib.sha256(image.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
