"""Gradients of the score with respect to the image, at one point, around it, and on the way to it from a baseline.

All five are a few lines above `Scorer.gradients`, which batches, counts and survives out-of-memory. Captum's versions
draw from the global random state, so that a map would depend on the other images of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Query, Settings
from pipeline.explain.shares import ShareExplainer, Shares
from pipeline.explain.whitebox import WhiteBoxExplainer


class Gradient(WhiteBoxExplainer):
    """Absolute derivative of the score, largest of the channels: Simonyan et al., 2013 (arXiv 1312.6034), section 3."""

    channels: ClassVar[Literal["sum", "largest"]] = "largest"

    def signed(self, query: Query) -> Tensor:
        """Derivatives (B, C, H, W)."""
        return query.scorer.gradients(query.images)[1]


class InputXGradient(WhiteBoxExplainer):
    """Input times derivative: Shrikumar et al., 2016 (arXiv 1605.01713). Blind wherever the network's input is 0."""

    channels: ClassVar[Literal["sum", "largest"]] = "sum"

    def signed(self, query: Query) -> Tensor:
        """Derivatives times input (B, C, H, W)."""
        return query.images * query.scorer.gradients(query.images)[1]


class SmoothGrad(WhiteBoxExplainer):
    """Mean derivative over noisy copies of the image: Smilkov et al., 2017 (arXiv 1706.03825).

    The paper averages signed maps and leaves the channels open; we take the largest absolute mean, as for `Gradient`.
    """

    channels: ClassVar[Literal["sum", "largest"]] = "largest"

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        samples: int = 50,
        sigma: float = 0.15,
        **settings: Unpack[Settings],
    ) -> None:
        """Options.

        Args:
            model: classifier returning logits.
            spec: its contract.
            samples: noisy copies.
            sigma: standard deviation of the noise, as a share of the image's maximum minus its minimum. The paper
                finds 0.1 to 0.2 best.
            settings: see `Settings`.

        Raises:
            InputError: no sample, or negative noise.
        """
        super().__init__(model, spec, **settings)
        self._samples = _at_least_one("smoothgrad: samples", samples)
        if not sigma >= 0:
            raise InputError(f"smoothgrad: sigma must be 0 or more, found {sigma}.")
        self._sigma = sigma

    def signed(self, query: Query) -> Tensor:
        """Mean derivatives (B, C, H, W)."""
        images = query.images
        spread = self._sigma * (images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3)))
        # On the CPU and one at a time: the same noise on every device and at every batch size.
        generators = [self.generator(image_id) for image_id in query.image_ids]
        total = torch.zeros_like(images)
        for which, _ in _variants(query, self._samples):
            noise = torch.stack([torch.randn(images.shape[1:], generator=generators[i]) for i in which.tolist()])
            noisy = images[which] + spread[which, None, None, None] * noise.to(images)
            total.index_add_(0, which, query.scorer.gradients(noisy, which)[1])
        return total / self._samples


class IntegratedGradients(ShareExplainer):
    """Derivative averaged along the straight line from the baseline: Sundararajan et al., ICML 2017, equation 1.

    ``share = (image - baseline) * mean over k of gradient at baseline + (k - 1/2) / steps * (image - baseline)``.
    The paper sums at k / steps; the middles of the steps cost the same and are nearer the integral of a smooth score.

    Info: ``completeness_gap`` (B,), how far the sum of the shares is from the change of the score.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        steps: int = 50,
        multiply_by_inputs: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """`steps` on the line; for `multiply_by_inputs` see `ShareExplainer`.

        Raises:
            InputError: no step.
        """
        super().__init__(model, spec, multiply_by_inputs=multiply_by_inputs, **settings)
        self._steps = _at_least_one("integrated-gradients: steps", steps)

    def split(self, query: Query) -> Shares:
        """Shares, mean derivatives and the note."""
        images, baseline = query.images, self.baseline(query.images)
        change = images - baseline
        total = torch.zeros_like(images)
        for which, number in _variants(query, self._steps):
            alpha = ((number + 0.5) / self._steps).to(images)[:, None, None, None]
            total.index_add_(0, which, query.scorer.gradients(baseline[which] + alpha * change[which], which)[1])
        slopes = total / self._steps
        shares = change * slopes
        gained = query.scorer.values(images) - query.scorer.values(baseline)
        return Shares(shares, slopes, {"completeness_gap": (shares.sum(dim=(1, 2, 3)) - gained).abs()})


class ExpectedGradients(ShareExplainer):
    """Integrated gradients averaged over many references: Erion et al., Nature Machine Intelligence 3, 2021.

    ``share = mean of (image - reference) * gradient at reference + alpha * (image - reference)``, with a reference
    drawn with replacement and alpha uniform in [0, 1) for each sample. DeGrave et al. (Nature Machine Intelligence 3,
    2021) explain the logit of COVID-19 with 200 radiographs without it as references and 200 samples, and show the
    mean absolute value of the channels; our map is the signed sum.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        references: Tensor | None = None,
        samples: int = 200,
        multiply_by_inputs: bool = True,
        **settings: Unpack[Settings],
    ) -> None:
        """Options.

        Args:
            model: classifier returning logits.
            spec: its contract.
            references: network input (n, C, H, W), e.g. 200 images without the disease. Without them each image's
                baseline is its only reference, and this is integrated gradients at random steps.
            samples: points where the gradient is taken, for each image.
            multiply_by_inputs: see `ShareExplainer`.
            settings: see `Settings`.

        Raises:
            InputError: no sample, or references that are not network input.
        """
        super().__init__(model, spec, multiply_by_inputs=multiply_by_inputs, **settings)
        self._samples = _at_least_one("expected-gradients: samples", samples)
        if references is not None:
            _check_references(references, (spec.channels, *spec.input_size))
        self._references = references

    def split(self, query: Query) -> Shares:
        """Shares and mean derivatives."""
        images = query.images
        shares, slopes = torch.zeros_like(images), torch.zeros_like(images)
        generators = [self.generator(image_id) for image_id in query.image_ids]
        alphas = torch.stack([torch.rand(self._samples, generator=generator) for generator in generators]).to(images)
        references, choices = self._references_for(images, generators)
        for which, number in _variants(query, self._samples):
            reference = references[choices[which, number]]
            change = images[which] - reference
            points = reference + alphas[which, number][:, None, None, None] * change
            gradients = query.scorer.gradients(points, which)[1]
            shares.index_add_(0, which, change * gradients)
            slopes.index_add_(0, which, gradients)
        return Shares(shares / self._samples, slopes / self._samples)

    def _references_for(self, images: Tensor, generators: list[torch.Generator]) -> tuple[Tensor, Tensor]:
        """References (n, C, H, W), and for each image which of them its samples take, int64 (B, samples)."""
        if self._references is None:
            own = torch.arange(len(images), device=images.device)
            return self.baseline(images), own[:, None].expand(-1, self._samples)
        draws = [torch.randint(len(self._references), (self._samples,), generator=each) for each in generators]
        return self._references.to(images), torch.stack(draws).to(images.device)


def _variants(query: Query, each: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Image and number (0..each - 1) of every variant, int64 (n,) each, about one batch of the scorer at a time."""
    numbers = torch.arange(len(query.images) * each, device=query.images.device)
    start = 0
    while start < len(numbers):
        part = numbers[start : start + query.scorer.batch_size]
        yield part // each, part % each
        start += len(part)


def _at_least_one(what: str, value: int) -> int:
    if value < 1:
        raise InputError(f"{what} must be 1 or more, found {value}.")
    return value


def _check_references(references: Tensor, expected: tuple[int, ...]) -> None:
    if references.dim() != 4 or len(references) == 0 or tuple(references.shape[1:]) != expected:
        raise InputError(
            f"expected-gradients: references must be (n, {', '.join(map(str, expected))}), "
            f"found {tuple(references.shape)}. Use ModelSpec.preprocess."
        )
    if not bool(torch.isfinite(references).all()):
        raise InputError("expected-gradients: references must be finite, found NaN or infinity.")
