"""A small network that trains in seconds on a CPU: for demos, tests and quick audits."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

STAGES = 4


class SmallNet(nn.Module):
    """Four stages of a 3x3 convolution and maximum pooling; then the mean over space and a linear layer.

    Args:
        in_channels: image channels.
        num_classes: logits returned.
        width: channels of the first stage; each later stage has twice as many (16-32-64-128, 0.1 M weights).
    """

    def __init__(self, in_channels: int, num_classes: int, width: int = 16) -> None:
        super().__init__()
        channels = [in_channels, *(width * 2**stage for stage in range(STAGES))]
        self.features = nn.Sequential(*(_stage(a, b) for a, b in pairwise(channels)))
        self.classifier = nn.Linear(channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, in_channels, H, W), H and W at least 16 -> logits (B, num_classes)."""
        return self.classifier(self.features(images).mean(dim=(2, 3)))  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        # The batch norm brings the bias. ReLU works on a copy: explainers hook it.
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        # Pooling by maximum, not by stride: thin strokes of print must survive to the next stage.
        nn.MaxPool2d(2),
    )
