"""The learned inpainter: a gated network (`models.inpainters`) that paints windows around the holes.

The network has learned holes a few dozen pixels deep. A deeper one, as marks leave on x-rays of 2000 to 4000 pixels, is
painted on a coarser grid (`windows`), brought back, and given the grain of a known place beside it: a coarse painting
has no detail finer than its grid, and that would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.fills.contract import Fill, Plane, check, draw_seed, with_holes
from pipeline.fills.reduction import enlarged, grain, reduced
from pipeline.fills.windows import Part, parts
from pipeline.randomness import numpy_generator, torch_generator

if TYPE_CHECKING:
    from models.inpainters import Inpainter

TOGETHER = 16
"""Windows of one batch on an accelerator. Repeats fill every batch up, because its shape decides how sums are taken and
no image's result may depend on its neighbours. A CPU, which gains nothing by batches, paints one window at a time."""


@dataclass(frozen=True)
class _Task:
    """A window of one channel to be painted, and what of it the network is shown.

    Attributes:
        image: number in the batch.
        channel: number in the image; None: all channels are alike.
        part: which holes.
        known: (h, w), 0 where unknown.
        hole: bool (h, w), all that is unknown.
    """

    image: int
    channel: int | None
    part: Part
    known: Plane
    hole: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def learned(folder: Path | None = None) -> Fill:
    """The inpainter of the bundle in `folder`, or the one that is shipped, run on the device of the images.

    Raises:
        ModelError: it cannot be loaded.
    """
    _network(folder, _written(folder), "cpu")

    def apply(images: Tensor, where: Tensor, generator: torch.Generator | None = None) -> Tensor:
        check(images, where)
        network, seed = _network(folder, _written(folder), str(images.device)), draw_seed(generator)
        filled = images.clone()
        tasks = [task for index in with_holes(where) for task in _tasks(index, images[index], where[index, 0])]
        for task, painted in _painted(network, tasks, seed, images.device):
            values = torch.from_numpy(painted[task.part.own]).to(images)
            channels = slice(None) if task.channel is None else slice(task.channel, task.channel + 1)
            own = torch.from_numpy(task.part.own).to(images.device)
            filled[task.image, channels][(slice(None), *task.part.place)][:, own] = values
        return filled

    return apply


def _written(folder: Path | None) -> int:
    """Changes when a bundle is written anew in its place."""
    weights = folder / "models" / "model.pt" if folder else None
    return weights.stat().st_mtime_ns if weights and weights.exists() else 0


@cache
def _network(folder: Path | None, _: int, device: str) -> Inpainter:
    import models
    from models.inpainters import load_inpainter  # the package loads slowly

    try:
        return load_inpainter(folder).to(device)
    except models.ModelError as error:
        raise ModelError(str(error)) from error


def _tasks(index: int, image: Tensor, where: Tensor) -> Iterator[_Task]:
    mask = where.cpu().numpy()
    planes = image.detach().cpu().numpy()
    grey = bool((planes == planes[:1]).all())
    for part in parts(mask):
        hole = mask[part.place]
        for channel in [None] if grey else range(len(planes)):
            known = np.where(hole, np.float32(0), planes[channel or 0][part.place])
            yield _Task(index, channel, part, known, hole)


def _painted(
    network: Inpainter, tasks: Sequence[_Task], seed: int, device: torch.device
) -> Iterator[tuple[_Task, Plane]]:
    """Every task with its window as painted (h, w), full resolution; windows of one shape share batches."""
    shown = [(task, *reduced(task.known, task.hole, task.part.factor)) for task in tasks]
    size = together(device)
    for _, alike in groupby(sorted(shown, key=lambda each: each[1].shape), key=lambda each: each[1].shape):
        same = list(alike)
        for start in range(0, len(same), size):
            batch = same[start : start + size]
            padded = batch + batch[:1] * (size - len(batch))
            inputs = (
                np.stack([known for _, known, _ in padded]),
                np.stack([hole for _, _, hole in padded]),
                np.stack([_noise(task, known.shape, seed) for task, known, _ in padded]),
            )
            images, holes, noise = (torch.from_numpy(values)[:, None].to(device) for values in inputs)
            outputs = network.inpaint(images, holes, noise)[:, 0].cpu().numpy()
            for (task, known, _), output in zip(batch, outputs, strict=False):
                yield task, _full_size(task, known, output, seed)


def together(device: torch.device) -> int:
    """How many windows make a batch on `device`."""
    return 1 if device.type == "cpu" else TOGETHER


def _noise(task: _Task, shape: tuple[int, ...], seed: int) -> Plane:
    """Standard normal noise that follows from the window's place alone."""
    rows, columns = task.part.place
    generator = torch_generator(seed, "learned fill", rows.start, columns.start)
    return np.asarray(torch.randn(shape, generator=generator).numpy(), dtype=np.float32)


def _full_size(task: _Task, coarse: Plane, painted: Plane, seed: int) -> Plane:
    """The window at full resolution: `painted` enlarged, with the grain that `coarse` lost of the known pixels."""
    part, shape = task.part, task.known.shape
    if part.factor == 1:
        return painted
    large = enlarged(painted, part.factor, shape)
    generator = numpy_generator(seed, "learned grain", *(side.start for side in part.place))
    residual = task.known - enlarged(coarse, part.factor, shape)
    return np.asarray((large + grain(residual, part.own, task.hole, generator)).clip(0, 1), dtype=np.float32)
