"""What every explainer promises."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypedDict

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, ModelError
from pipeline.explain.baseline import Baseline, make_baseline
from pipeline.explain.frozen import frozen, target_tensor
from pipeline.explain.scorer import Score, Scorer, fitting_batch
from pipeline.randomness import torch_generator

LOW_CONFIDENCE = 0.1
"""Below this much probability lost by taking the whole image away, there is little for a map to explain."""


@dataclass
class Evaluations:
    """Images that went through the model; every backward pass belongs to a forward pass that is counted too."""

    forward: int = 0
    backward: int = 0


class Settings(TypedDict, total=False):
    """Options that every explainer takes.

    Attributes:
        seed: with the image's id, decides all randomness.
        baseline: the image without evidence, see `baseline.make_baseline`.
        score: what is explained; each method has its usual choice.
        batch_size: most images in one call of the model; by default what fits into free memory.
    """

    seed: int
    baseline: Baseline
    score: Score
    batch_size: int | None


@dataclass(frozen=True)
class Query:
    """Checked input of a method.

    Attributes:
        images: network input (B, C, H, W).
        target: class to explain for each image, int64 (B,).
        image_ids: what the randomness of each image is derived from.
        scorer: the classifier. Evaluations made past it must be entered with `Scorer.count`.
    """

    images: Tensor
    target: Tensor
    image_ids: Sequence[str]
    scorer: Scorer


@dataclass(frozen=True)
class Maps:
    """What a method answers: saliency (B, 1, H, W), larger = matters more, and notes, one row (B, ...) an image."""

    saliency: Tensor
    info: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Attribution:
    """Checked maps of B images and what is needed to judge them.

    Attributes:
        saliency: float32 (B, 1, H, W), finite, larger = matters more for the target.
        probability: softmax probability of the target for the image, (B,).
        baseline_probability: the same for the baseline, (B,).
        forward: image evaluations the map took, int64 (B,).
        backward: backward passes the map took, int64 (B,).
        info: what the method noted beside the map, (B, ...) each; which notes there are is said by its class.
    """

    saliency: Tensor
    probability: Tensor
    baseline_probability: Tensor
    forward: Tensor
    backward: Tensor
    info: Mapping[str, Tensor]

    @property
    def low_confidence(self) -> Tensor:
        """Bool (B,): taking everything away costs the class less than `LOW_CONFIDENCE`, so distrust the map."""
        return self.probability - self.baseline_probability < LOW_CONFIDENCE


class Explainer(ABC):
    """A saliency method bound to one classifier.

    A map depends on the image, its id, the seed and the options, not on the other images of the batch. The
    classifier is left as it was: mode, weights, gradients, hooks.

    Subclasses write `_maps`; users call `attribute` or `explain`.
    """

    name: str
    """Key in `pipeline.explain.available()`; `create` sets it."""
    default_score: ClassVar[Score] = "probability"
    """What the method explains unless told otherwise."""

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        seed: int = 0,
        baseline: Baseline = "blur",
        score: Score | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Bind to `model`, which returns logits (B, len(spec.classes)) for network input that `spec` describes.

        The options are those of `Settings`.
        """
        self.model = model
        self.spec = spec
        self.seed = seed
        self.score: Score = score or self.default_score
        self.evaluations = Evaluations()
        self._baseline = baseline
        self._batch_size = batch_size

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
            if self._batch_size is None:
                self._batch_size = fitting_batch(self.model, images[:1])
            scorer = Scorer(self.model, classes, score=self.score, batch_size=self._batch_size)
            maps = self._maps(Query(images.detach(), classes, ids, scorer))
            self._batch_size = scorer.batch_size
            # Counted apart: they judge the map and are no part of its cost.
            judge = Scorer(self.model, classes, score="probability", batch_size=self._batch_size)
            probability, baseline_probability = judge.values(images), judge.values(self.baseline(images))
        self.evaluations.forward += int(scorer.forward.sum())
        self.evaluations.backward += int(scorer.backward.sum())
        saliency = maps.saliency.detach().float()
        self._check_maps(saliency, images)
        return Attribution(
            saliency, probability, baseline_probability, scorer.forward, scorer.backward, dict(maps.info)
        )

    def baseline(self, images: Tensor) -> Tensor:
        """The images (B, C, H, W) without evidence, as the option `baseline` says; same shape."""
        return make_baseline(self._baseline, images, self.spec)

    def generator(self, image_id: str, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
        """Source of the randomness of one image."""
        return torch_generator(self.seed, "explain", self.name, image_id, *purpose, device=device)

    @abstractmethod
    def _maps(self, query: Query) -> Maps:
        """Maps for checked input; the model is frozen (evaluation mode, no parameter gradients) while this runs."""

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
