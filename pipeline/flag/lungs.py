"""Where the lungs are: the probability map of a segmenter, cleaned to two plausible lung fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

import models
from pipeline.errors import InputError, ModelError

Segmenter = Callable[[Tensor], Tensor]
"""Images float32 (B, 1, H, W) in [0, 1], square, bright = dense -> probability of lung (B, 1, H, W)."""

THRESHOLD = 0.5
MIN_PART = 0.01
"""A smaller part is no lung, share of the picture."""
MIN_SHARE, MAX_SHARE = 0.03, 0.75
"""Of the picture that both lungs together cover."""
MIN_CERTAINTY = 0.82
"""Mean probability inside the lungs that were found; on what is no chest x-ray a segmenter wavers."""


def load_segmenter(path: Path | None = None) -> Segmenter:
    """The lung segmenter at `path`, or the one that is shipped.

    torchxrayvision's is wrapped by `models.lungs.chestxdet_segmenter`, any other network by `models.lungs.Segmenter`.

    Args:
        path: folder of a MONAI bundle, weights of `cxr-audit train-lungs`, or a TorchScript file (B, 1, 256, 256) in
            [0, 1] -> probability of lung.

    Raises:
        ModelError: it cannot be loaded; says why.
    """
    from models.lungs import bundle_segmenter, file_segmenter, shipped_segmenter  # MONAI's networks load slowly

    try:
        if path is None:
            return shipped_segmenter()
        return bundle_segmenter(path) if path.is_dir() else file_segmenter(path)
    except models.ModelError as error:
        raise ModelError(str(error)) from error


def lung_masks(segmenter: Segmenter, images: Tensor) -> Tensor:
    """Lung fields of each image: at most the two largest parts, without holes.

    Args:
        segmenter: see `Segmenter`; images that are not square are padded with black before it sees them.
        images: float32 (B, 1, H, W) in [0, 1], bright = dense.

    Returns:
        bool (B, 1, H, W). All false for an image on which no plausible lungs are found: parts too small, too large
        together, or too uncertain.

    Raises:
        InputError: images or what the segmenter returns are not of that form.
    """
    if images.ndim != 4 or images.shape[1] != 1 or not images.is_floating_point():
        raise InputError(f"Give images as float (B, 1, H, W) in [0, 1], found {images.dtype} {tuple(images.shape)}.")
    height, width = images.shape[-2:]
    top, left = (max(height, width) - height) // 2, (max(height, width) - width) // 2
    square = functional.pad(images, (left, max(height, width) - width - left, top, max(height, width) - height - top))
    probability = _checked(segmenter(square), square)[:, :, top : top + height, left : left + width]
    cleaned = [plausible_lungs(each) for each in probability[:, 0].float().cpu().numpy()]
    return torch.from_numpy(np.array(cleaned, dtype=np.bool_).reshape(images.shape)).to(images.device)


def plausible_lungs(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Probability of lung (H, W) -> lungs (H, W), all false when what is left of them cannot be lungs."""
    likely = (probability > THRESHOLD).astype(np.uint8)
    outlines, _ = cv2.findContours(likely, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    area = sorted(((cv2.contourArea(outline), number) for number, outline in enumerate(outlines)), reverse=True)
    kept = [outlines[number] for size, number in area[:2] if size >= MIN_PART * likely.size]
    lungs = np.zeros(likely.shape, dtype=np.uint8)
    cv2.drawContours(lungs, kept, -1, 1, cv2.FILLED)
    inside = lungs > 0
    plausible = MIN_SHARE <= inside.mean() <= MAX_SHARE and probability[inside].mean() >= MIN_CERTAINTY
    return inside if plausible else np.zeros_like(inside)


def _checked(probability: Tensor, images: Tensor) -> Tensor:
    if probability.shape != images.shape:
        raise InputError(
            f"The lung segmenter returns {tuple(probability.shape)} for images {tuple(images.shape)}; it must return "
            "one probability for every pixel. Wrap it in models.lungs.Segmenter."
        )
    if not (probability.numel() == 0 or (probability.min() >= 0 and probability.max() <= 1)):  # NaN fails this too
        raise InputError(
            "The lung segmenter returns values outside [0, 1], or NaN; it must return probabilities. "
            "Put a sigmoid behind it."
        )
    return probability
