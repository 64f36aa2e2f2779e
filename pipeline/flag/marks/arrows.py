"""Arrows and arrow heads drawn on the picture: solid, outlined or thin, of any grey and direction.

Candidates are evenly inked shapes with sharp rims; a small network tells pointers from letters, ribs and wires. It was
trained by `pipeline.benchmark.arrows` on drawn pointers over public x-rays, never on boxed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.flag.found import Found, Grey8
from pipeline.flag.marks.shapes import CROP, SIDE, Shape, find_shapes
from pipeline.types import PRINTED_KINDS, Box

SURE, SURE_AT_EDGE = 0.965, 0.995
"""Probability from which a shape counts as an arrow, inside the image and where its edge cuts the shape."""
ALIKE = 0.3
"""Share of the smaller box from which two boxes are one mark."""
WEIGHTS = "arrows.npz"


class ArrowNet(nn.Module):
    """Three convolutions and two linear layers: (n, 2, `CROP`, `CROP`) -> (n,) logits."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 8, 16, 32)
        blocks = [
            layer
            for ins, outs in pairwise(widths)
            for layer in (nn.Conv2d(ins, outs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        ]
        flat = widths[-1] * (CROP // 8) ** 2
        self.layers = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(flat, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, crops: Tensor) -> Tensor:
        """Logits (n,) of the crops."""
        logits: Tensor = self.layers(crops)
        return logits.squeeze(1)


def find_arrows(image: Grey8, taken: Sequence[Found]) -> list[Found]:
    """Pointers that no earlier detector has found."""
    scale = min(1.0, SIDE / max(image.shape))
    small = image if scale == 1.0 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    shapes = find_shapes(np.asarray(small, dtype=np.uint8))
    printed = [each.box for each in taken if each.kind in PRINTED_KINDS]
    found: list[Found] = []
    for odds, shape in sorted(zip(arrow_odds(shapes), shapes, strict=True), key=lambda pair: (-pair[0], pair[1].box)):
        if odds < (SURE_AT_EDGE if _cut_off(shape, small.shape) else SURE):
            continue
        x0, y0, x1, y1 = (value / scale for value in shape.box)
        box = Box(x0, y0, x1, y1)
        if not any(_same(box, other) for other in (*printed, *(each.box for each in found))):
            found.append(Found("arrow", box, float(odds), "arrow"))
    return found


def _cut_off(shape: Shape, size: tuple[int, ...]) -> bool:
    x0, y0, x1, y1 = shape.box
    return x0 <= 1 or y0 <= 1 or x1 >= size[1] - 1 or y1 >= size[0] - 1


def _same(one: Box, other: Box) -> bool:
    return one.intersection(other) > ALIKE * min(one.area, other.area)


def arrow_odds(shapes: list[Shape]) -> NDArray[np.float32]:
    """Probability (n,) that each shape is a pointer."""
    if not shapes:
        return np.zeros(0, dtype=np.float32)
    with torch.inference_mode():
        logits = _network()(torch.from_numpy(np.stack([shape.crop for shape in shapes])))
        return np.asarray(torch.sigmoid(logits).numpy(), dtype=np.float32)


@cache
def _network() -> ArrowNet:
    """The trained network, loaded once a process."""
    with np.load(BytesIO(files(__package__).joinpath(WEIGHTS).read_bytes()), allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    network = ArrowNet()
    network.load_state_dict(state)
    return network.eval()
