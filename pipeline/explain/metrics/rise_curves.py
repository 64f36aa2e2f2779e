"""Deletion and insertion by the protocol of RISE: Petsiuk, Das, Saenko, BMVC 2018 (arXiv 1806.07421).

Single pixels are taken out or put in, with hard edges. Not comparable with the numbers of `faithfulness.py`,
the iGOS papers' protocol: soft masks at the map's resolution, and another baseline.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from pipeline.errors import InputError
from pipeline.explain.faithfulness import Curves, removal_rank
from pipeline.explain.frozen import frozen
from pipeline.explain.metrics.checks import check_same_place, check_target
from pipeline.explain.scorer import CPU_BATCH, Scorer

BULK_STEPS = 28
"""Blocks at the reference's bulk setting: 8 * 224 of 224 * 224 pixels at a time."""
BLUR_TAPS = 11
BLUR_SIGMA = 5.0


def rise_deletion_insertion(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    target: Tensor | int,
    *,
    step: int | None = None,
    batch_size: int = CPU_BATCH,
) -> Curves:
    """RISE's deletion (lower = better) and insertion (higher = better) curves, and the areas under them.

    Pixels change in order of decreasing saliency, ties in reading order (the source leaves them to its sort).
    Deletion sets them to 0 in network input, the mean grey. Insertion starts from the image convolved with an
    11 x 11 kernel of sigma 5 and zeros around it, `rise_blur`. The area is the trapezoid rule with equal
    steps, also when the last block has fewer pixels, as in the source. Its class is the predicted one, ours `target`.

    Args:
        model: classifier returning logits; left exactly as it was.
        images: network input (B, C, H, W).
        saliency: (B, 1, H, W), larger = matters more.
        target: class per image (B,) or one for all.
        step: pixels in a block. The source takes W for single images and 8 W in bulk at 224 x 224; None is the
            latter, scaled to the image: `BULK_STEPS` blocks, 29 evaluations per curve.
        batch_size: most images in one call of the model.

    Raises:
        InputError: shapes disagree, the map is not finite, or `step` is below 1.
    """
    check_same_place(saliency, images)
    pixels = saliency[0].numel()
    block = -(-pixels // BULK_STEPS) if step is None else step
    if block < 1:
        raise InputError(f"RISE curves change at least one pixel in a step, found step={step}.")
    changed = torch.tensor([*range(0, pixels, block), pixels], device=images.device)
    rank = removal_rank(saliency)
    zero, blurred = torch.zeros_like(images), rise_blur(images)
    scorer = Scorer(model, check_target(target, images), score="probability", batch_size=batch_size)
    deletion, insertion = images.new_empty((2, len(images), len(changed)))
    with frozen(model, channels_last=True):
        every = torch.cartesian_prod(torch.arange(len(images)), torch.arange(len(changed)))
        for rows in torch.split(every, batch_size):
            which, moment = rows.to(images.device).unbind(dim=1)
            taken = rank[which] < changed[moment, None, None, None]
            deletion[which, moment] = scorer.values(torch.where(taken, zero[which], images[which]), which)
            insertion[which, moment] = scorer.values(torch.where(taken, images[which], blurred[which]), which)
    areas = torch.trapezoid(torch.stack([deletion, insertion]), dx=1 / (len(changed) - 1), dim=2)
    return Curves(areas[0], areas[1], changed / pixels, deletion, insertion)


def rise_blur(images: Tensor) -> Tensor:
    """RISE's blurred substrate for network input (B, C, H, W), same shape.

    The kernel is an 11 x 11 impulse smoothed with sigma 5 and mirrored edges, so what a Gaussian has beyond
    the window is folded back into it: flatter than a cut Gaussian, and of sum one. Outside the image is 0.
    """
    impulse = np.zeros((BLUR_TAPS, BLUR_TAPS))
    impulse[BLUR_TAPS // 2, BLUR_TAPS // 2] = 1
    kernel = torch.as_tensor(gaussian_filter(impulse, BLUR_SIGMA), dtype=images.dtype, device=images.device)
    planes = images.detach().flatten(0, 1)[:, None]
    return functional.conv2d(planes, kernel[None, None], padding=BLUR_TAPS // 2).view(images.shape)
