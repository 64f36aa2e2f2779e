"""The classifier as explainers use it: scores and gradients in bounded batches, counted per image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import psutil
import torch
from torch import Tensor, nn

Score = Literal["probability", "logit"]
"""What is explained: the target's softmax probability, or its logit before the softmax."""

CPU_BATCH = 20
"""Largest batch on a CPU: more images at a time no longer fit the caches and run slower."""
GPU_BATCH = 256
"""Largest batch on an accelerator."""
_SHARE = 0.5
"""Of the free memory, how much one batch may be expected to take."""


def target_score(model: nn.Module, inputs: Tensor, target: Tensor, score: Score) -> Tensor:
    """Score (n,) of class `target` (n,) int64 for network input `inputs` (n, C, H, W); differentiable."""
    logits = model(inputs)
    values = torch.softmax(logits, dim=1) if score == "probability" else logits
    return values.gather(1, target[:, None]).squeeze(1)


class Scorer:
    """Scores of many variants of B images. Batches that do not fit into memory are halved and tried again.

    Attributes:
        batch_size: most images in one call of the model; smaller after memory ran out.
        forward: image evaluations so far, per image, int64 (B,).
        backward: those followed by a backward pass, int64 (B,).
    """

    def __init__(self, model: nn.Module, target: Tensor, *, score: Score, batch_size: int) -> None:
        """`target` (B,) int64: the class that is scored for each image."""
        self.model = model
        self.target = target
        self.score: Score = score
        self.batch_size = batch_size
        self.forward = torch.zeros(len(target), dtype=torch.int64)
        self.backward = torch.zeros(len(target), dtype=torch.int64)

    def values(self, inputs: Tensor, which: Tensor | None = None) -> Tensor:
        """Scores (n,) of `inputs` (n, C, H, W), which are variants of the images numbered `which` (n,).

        `which` None means that input i belongs to image i. No gradient is kept.
        """

        def run(part: Tensor, target: Tensor) -> tuple[Tensor, ...]:
            with torch.no_grad():
                return (target_score(self.model, part, target, self.score),)

        return self.apply(run, inputs, which, backward=0)[0]

    def gradients(self, inputs: Tensor, which: Tensor | None = None, *, weight: float = 1.0) -> tuple[Tensor, Tensor]:
        """Scores (n,) as `values` gives them, and `weight` times the gradient of each by its input (n, C, H, W)."""

        def run(part: Tensor, target: Tensor) -> tuple[Tensor, ...]:
            leaf = part.detach().requires_grad_()
            with torch.enable_grad():
                scores = target_score(self.model, leaf, target, self.score)
                (gradient,) = torch.autograd.grad(scores, leaf, torch.full_like(scores, weight))
            return scores.detach(), gradient

        values, gradient = self.apply(run, inputs, which)
        return values, gradient

    def apply(
        self,
        run: Callable[[Tensor, Tensor], tuple[Tensor, ...]],
        inputs: Tensor,
        which: Tensor | None = None,
        *,
        forward: int = 1,
        backward: int = 1,
    ) -> tuple[Tensor, ...]:
        """What ``run(part of inputs, its targets)`` returns, for bounded parts, joined along the first dimension.

        `forward` and `backward` say how many evaluations `run` makes of each input.
        """
        target = self.target if which is None else self.target[which.to(self.target.device)]
        parts: list[tuple[Tensor, ...]] = []
        start = 0
        while start < len(inputs):
            stop = start + self.batch_size
            try:
                parts.append(run(inputs[start:stop], target[start:stop]))
            except RuntimeError as error:
                self.batch_size = smaller_batch(self.batch_size, error)
                continue
            start = stop
        self.count(forward=forward, backward=backward, which=which)
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))

    def count(self, *, forward: int = 0, backward: int = 0, which: Tensor | None = None) -> None:
        """Enter evaluations made past this object: so many for each image, or for every entry of `which`."""
        rows = torch.arange(len(self.target)) if which is None else which.cpu()
        self.forward.index_add_(0, rows, torch.full((len(rows),), forward))
        self.backward.index_add_(0, rows, torch.full((len(rows),), backward))


def smaller_batch(batch_size: int, error: RuntimeError) -> int:
    """Half of `batch_size` if `error` says that memory ran out; otherwise, and for single images, raises it again."""
    if batch_size == 1 or not _is_out_of_memory(error):
        raise error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return batch_size // 2


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def fitting_batch(model: nn.Module, image: Tensor) -> int:
    """How many images of the size of `image` (1, C, H, W) can go through `model` at once, with a backward pass.

    Measured: one image is run and the outputs of its layers, which a backward pass keeps, are added up, twice.
    """
    outputs = 4 * image.numel()

    def add(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal outputs
        outputs += output.numel() * output.element_size() if isinstance(output, Tensor) else 0

    leaves = [module for module in model.modules() if not any(module.children())]
    handles = [module.register_forward_hook(add) for module in leaves]
    try:
        with torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    if image.device.type == "cuda":
        free, most = torch.cuda.mem_get_info(image.device)[0], GPU_BATCH
    else:
        free, most = psutil.virtual_memory().available, CPU_BATCH
    return max(1, min(most, int(_SHARE * free / (2 * outputs))))
