"""Classifiers that are not torch modules: an ONNX session, a remote model, any function of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.errors import ModelError


class CallableClassifier(nn.Module):
    """A function of images behind the interface of a module that returns logits.

    Only black-box explainers can use it: it has no layers and passes no gradient.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], *, returns: Literal["logits", "probabilities"] = "logits"
    ) -> None:
        """Wrap `function`.

        Args:
            function: float32 images (B, C, H, W) as the model's `ModelSpec` describes -> (B, classes).
            returns: what these numbers are. Probabilities become their logarithms, which are logits of the same
                softmax; rows must be non-negative and sum to one.
        """
        super().__init__()
        self._function = function
        self._returns = returns

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes).

        Raises:
            ModelError: probabilities were promised and something else came.
        """
        with torch.no_grad():
            values = torch.as_tensor(self._function(images.detach())).to(images)
        if values.dim() != 2 or len(values) != len(images):
            raise ModelError(f"The function returned {tuple(values.shape)} for {len(images)} images, not (B, classes).")
        if self._returns == "logits":
            return values
        if bool((values < 0).any()) or bool(((values.sum(dim=1) - 1).abs() > 1e-3).any()):
            raise ModelError("The function's rows are no probabilities: negative, or not summing to one. Logits?")
        return values.clamp_min(torch.finfo(values.dtype).tiny).log()
