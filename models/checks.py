"""Loud checks: a classifier that breaks its contract in a common way is refused, with the way to repair it.

Each of these mistakes gives plausible maps and numbers when it goes unnoticed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.spec import ModelSpec

_SAME = 1e-6
"""Logits closer than this, relative to the largest, count as equal."""


def check_classifier(model: nn.Module, spec: ModelSpec, images: Tensor) -> None:
    """Refuse a classifier that does not do what `spec` says. The model is only run forward, without gradient.

    Args:
        model: the classifier as it will be used.
        spec: its contract.
        images: at least two different images, float32 (B, 1, H, W) in [0, 1], on the model's device.

    Raises:
        ModelError: says which part of the contract is broken and what to do.
    """
    _check_spec(spec)
    _check_images(images)
    _check_mode(model)
    _check_logits(_run(model, spec, images), spec, len(images))


def _check_spec(spec: ModelSpec) -> None:
    low, high = spec.value_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ModelError(f"spec.value_range must be (low, high) with low < high, found {spec.value_range}.")
    if (spec.mean, spec.std) == (0.0, 1.0):
        return
    width = high - low
    if not (low <= spec.mean <= high and width / 100 <= spec.std <= width * 10):
        raise ModelError(
            f"spec.mean {spec.mean:g} and spec.std {spec.std:g} do not fit spec.value_range ({low:g}, {high:g}): "
            "they are in units of value_range. Give them in those units, or 0 and 1 for a network that wants none."
        )


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 1 or images.dtype != torch.float32:
        raise ModelError(f"Give images as float32 (B, 1, H, W), found {images.dtype} {tuple(images.shape)}.")
    if len(images) < 2 or bool((images == images[0]).all()):
        raise ModelError(f"Give at least two different images to check with, found {len(images)}, all equal.")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # NaN fails this too
        raise ModelError(
            f"Image values span [{low:g}, {high:g}], allowed is [0, 1]. Divide by the data type's maximum; "
            "the spec maps [0, 1] to what the network wants (value_range)."
        )


def _check_mode(model: nn.Module) -> None:
    training = [name or type(model).__name__ for name, module in model.named_modules() if module.training]
    if training:
        raise ModelError(
            f"The model is in training mode (e.g. {training[0]}): dropout and batch norm would make results depend on "
            "the batch. Call model.eval() first."
        )


def _run(model: nn.Module, spec: ModelSpec, images: Tensor) -> object:
    inputs = spec.preprocess(images)
    try:
        with torch.no_grad():
            return model(inputs)
    except RuntimeError as error:
        raise ModelError(
            f"The model cannot take input {tuple(inputs.shape)}: {error}. Correct spec.input_size or spec.channels."
        ) from error


def _check_logits(logits: object, spec: ModelSpec, count: int) -> None:
    if not isinstance(logits, Tensor):
        raise ModelError(
            f"The model returns a {type(logits).__name__}, not a tensor. Wrap it so that forward returns only logits."
        )
    expected = (count, len(spec.classes))
    if tuple(logits.shape) != expected:
        raise ModelError(
            f"The model returns shape {tuple(logits.shape)}, expected {expected}: one logit for each of the "
            f"{expected[1]} classes {', '.join(spec.classes)}. Correct spec.classes or the last layer."
        )
    if not bool(torch.isfinite(logits).all()):
        bad = int((~torch.isfinite(logits)).any(dim=1).sum())
        raise ModelError(
            f"The model returns NaN or infinity for {bad} of {count} images. "
            "The weights are damaged or training diverged: load another checkpoint or train with a lower learning rate."
        )
    _check_not_probabilities(logits)
    _check_not_constant(logits)


def _check_not_probabilities(logits: Tensor) -> None:
    sums_to_one = torch.allclose(logits.sum(dim=1), torch.ones_like(logits[:, 0]), atol=1e-3)
    if sums_to_one and float(logits.min()) >= 0 and float(logits.max()) <= 1:
        raise ModelError(
            "The model returns probabilities (each row is in [0, 1] and sums to 1), but logits are wanted: softmax "
            "would be applied twice. Remove the final softmax, or return the logarithm of the probabilities."
        )


def _check_not_constant(logits: Tensor) -> None:
    spread = float((logits - logits[0]).abs().max())
    if spread <= _SAME * max(1.0, float(logits.abs().max())):
        raise ModelError(
            f"The model gives the same output for {len(logits)} different images. The weights were not loaded, "
            "the network is dead, or the input is saturated: check the checkpoint and spec.value_range."
        )
