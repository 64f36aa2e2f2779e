"""A small network that names printed letters on stroke candidates, at any angle and mirrored.

Trained on generated films by `pipeline.benchmark.letters`, never on patients' images; 70,000 weights ship beside it.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.flag.marks.strokes import CROP, Stroke

NONE, OTHER = "none", "other"
CLASSES = (NONE, OTHER, *"LRDIE", *"ABCFGH", *"abdfgh")
"""No letter; a letter or digit that means nothing alone; side letters; panel letters. A small c looks like a C."""
WEIGHTS = Path(__file__).with_name("letters.npz")


class LetterNet(nn.Module):
    """Three convolutions and two linear layers: (n, 2, `CROP`, `CROP`) -> (n, len(`CLASSES`)) logits."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 16, 32, 48)
        blocks = [
            layer
            for ins, outs in pairwise(widths)
            for layer in (nn.Conv2d(ins, outs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        ]
        flat = widths[-1] * (CROP // 8) ** 2
        self.layers = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(flat, 64), nn.ReLU(), nn.Linear(64, len(CLASSES)))

    def forward(self, crops: Tensor) -> Tensor:
        """Logits of a batch of crops."""
        logits: Tensor = self.layers(crops)
        return logits


def letter_odds(strokes: list[Stroke]) -> NDArray[np.float32]:
    """Probability of each of `CLASSES` for each stroke, (n, len(`CLASSES`))."""
    if not strokes:
        return np.zeros((0, len(CLASSES)), dtype=np.float32)
    with torch.inference_mode():
        logits = _network()(torch.from_numpy(np.stack([stroke.crop for stroke in strokes])))
        return np.asarray(torch.softmax(logits, dim=1).numpy(), dtype=np.float32)


@cache
def _network() -> LetterNet:
    """The trained network, loaded once a process."""
    with np.load(WEIGHTS, allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    network = LetterNet()
    network.load_state_dict(state)
    return network.eval()
