"""iGOS++ the plain way: the published per-image loop, written from the papers, for timing only.

One image at a time; each of the four terms is one batch of S noisy images, forward and backward; the line search
evaluates the same path averages again for every trial. The authors' own loop has the same evaluations.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


def explain_one_by_one(
    model: nn.Module, images: Tensor, baselines: Tensor, target: Tensor, *, size: int = 28, steps: int = 20,
    iterations: int = 15, l1: float = 1.0, l2: float = 20.0, start: float = 1000.0, noise: float = 0.2,
) -> Tensor:  # fmt: skip
    """Masks (B, 1, size, size), 1 = kept."""
    masks = []
    for image, baseline, label in zip(images.split(1), baselines.split(1), target.tolist(), strict=True):
        masks.append(_explain(model, image, baseline, label, size, steps, iterations, l1, l2, start, noise))
    return torch.cat(masks)


def _explain(
    model: nn.Module, image: Tensor, baseline: Tensor, label: int, size: int, steps: int, iterations: int,
    l1: float, l2: float, start: float, noise: float,
) -> Tensor:  # fmt: skip
    def average(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
        large = functional.interpolate(mask, image.shape[-2:], mode="bilinear", align_corners=True)
        fractions = torch.arange(1, steps + 1).view(-1, 1, 1, 1) / steps
        inputs = a * (large * fractions) + b * (1 - large * fractions)
        inputs = inputs + noise * torch.randn_like(inputs)
        return torch.softmax(model(inputs), dim=1)[:, label].mean()

    def terms(deleting: Tensor, inserting: Tensor) -> Tensor:
        both = deleting * inserting
        return (
            average(image, baseline, deleting)
            - average(baseline, image, inserting)
            + average(image, baseline, both)
            - average(baseline, image, both)
        )

    def regulariser(deleting: Tensor, inserting: Tensor) -> Tensor:
        mask = deleting * inserting
        large = functional.interpolate(mask, image.shape[-2:], mode="bilinear", align_corners=True)
        rows = torch.exp(-(image.diff(dim=2).mean(dim=1, keepdim=True) ** 2) / 0.01) * large.diff(dim=2) ** 2
        columns = torch.exp(-(image.diff(dim=3) ** 2) / 0.01).mean(dim=1, keepdim=True) * large.diff(dim=3) ** 2
        smooth = (mask.diff(dim=2) ** 2).mean() + (mask.diff(dim=3) ** 2).mean() + rows.mean() + columns.mean()
        return l1 * (1 - mask).abs().mean() + l2 * 0.5 * smooth

    deleting, inserting = torch.ones(1, 1, size, size), torch.ones(1, 1, size, size)
    for _ in range(iterations):
        deleting.requires_grad_()
        inserting.requires_grad_()
        both = (deleting, inserting)
        score = torch.autograd.grad(terms(*both), both)
        smooth = torch.autograd.grad(regulariser(*both), both)
        slopes = [a / 2 + b for a, b in zip(score, smooth, strict=True)]
        deleting, inserting = deleting.detach(), inserting.detach()
        with torch.no_grad():
            before = terms(deleting, inserting) + regulariser(deleting, inserting)
            decrease = 1e-4 * sum((slope**2).sum() for slope in slopes)
            step = start
            while step >= 1e-5:
                trial = [(m - step * g).clamp(0, 1) for m, g in zip((deleting, inserting), slopes, strict=True)]
                if terms(*trial) + regulariser(*trial) <= before - step * decrease:
                    break
                step *= 0.2
            deleting, inserting = (
                (m - step * g).clamp(0, 1) for m, g in zip((deleting, inserting), slopes, strict=True)
            )
    return deleting * inserting
