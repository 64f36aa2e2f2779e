"""What a classifier expects and means, beside its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelSpec:
    """The contract between pixels and a classifier.

    Attributes:
        name: architecture, a key of `models.available()`.
        classes: class names in output order. The network returns logits (B, len(classes));
            probabilities are their softmax, also with two classes.
        input_size: (height, width) in pixels.
        channels: 1, or 3 when the network wants the grey image three times.
        value_range: range of the image before normalisation, as the network was trained, e.g. (0, 1), (0, 255),
            (-1024, 1024).
        mean: subtracted after scaling to `value_range`.
        std: divided by after subtracting `mean`.
        options: architecture options needed to rebuild the network.
    """

    name: str
    classes: tuple[str, ...]
    input_size: tuple[int, int]
    channels: int = 1
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: float = 0.5
    std: float = 0.25
    options: tuple[tuple[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form; `ModelSpec.from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ModelSpec:
        """Rebuild from `as_dict`."""
        return cls(
            name=value["name"],
            classes=tuple(value["classes"]),
            input_size=(int(value["input_size"][0]), int(value["input_size"][1])),
            channels=int(value["channels"]),
            value_range=(float(value["value_range"][0]), float(value["value_range"][1])),
            mean=float(value["mean"]),
            std=float(value["std"]),
            options=tuple((str(key), option) for key, option in value.get("options", ())),
        )

    def resize(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) of any size -> (B, C, *input_size), antialiased bilinear; unchanged at that size."""
        if images.shape[-2:] == torch.Size(self.input_size):
            return images
        return functional.interpolate(images, self.input_size, mode="bilinear", antialias=True, align_corners=False)

    def preprocess(self, images: Tensor) -> Tensor:
        """Images float32 (B, 1, H, W) in [0, 1] of any size -> network input (B, channels, *input_size).

        Resized with antialiased bilinear interpolation, mapped to `value_range`, normalised.
        """
        scaled = self.normalise(self.resize(images))
        return scaled.expand(-1, self.channels, -1, -1).contiguous() if self.channels > 1 else scaled

    def normalise(self, images: Tensor) -> Tensor:
        """Intensities in [0, 1] -> those that the network sees; any shape."""
        low, high = self.value_range
        return (images * (high - low) + low - self.mean) / self.std

    def denormalise(self, inputs: Tensor) -> Tensor:
        """Network input -> intensities in [0, 1], the inverse of `normalise`; any shape."""
        low, high = self.value_range
        return (inputs * self.std + self.mean - low) / (high - low)

    def probabilities(self, model: nn.Module, images: Tensor) -> Tensor:
        """Softmax probabilities (B, classes) for images (B, 1, H, W) in [0, 1]; no gradient is kept."""
        with torch.no_grad():
            return torch.softmax(model(self.preprocess(images)).float(), dim=1)
