"""A small network that trains in seconds on a CPU: for demos, tests and quick audits."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

STAGES = 4


class SmallNet(nn.Module):
    """Four stages of two 3x3 convolutions, the first with stride 2; then the mean over space and a linear layer.

    Args:
        in_channels: image channels.
        num_classes: logits returned.
        width: channels of the first stage; each later stage has twice as many (16-32-64-128, 0.3 M weights).
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
    return nn.Sequential(*_block(inputs, outputs, stride=2), *_block(outputs, outputs, stride=1))


def _block(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    # The batch norm brings the bias. ReLU works on a copy: explainers hook it.
    return (
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
