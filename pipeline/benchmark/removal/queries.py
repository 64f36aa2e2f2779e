"""A sample of the perturbed images that a method shows the classifier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


class Queries:
    """Keeps `count` of the network inputs that go by, each with the same chance (reservoir sampling).

    Inputs that are equal to one of `known`, the image itself and its baseline, are no perturbations and do not count.
    """

    def __init__(self, count: int, known: Tensor, generator: np.random.Generator) -> None:
        """Args: `count` to keep; `known` (n, C, H, W); `generator` decides which are kept."""
        self.kept: list[Tensor] = []
        self.seen = 0
        self._count = count
        self._known = known
        self._generator = generator

    def see(self, inputs: Tensor) -> None:
        """Network input (n, C, H, W)."""
        for each in inputs.detach():
            if any(torch.equal(each, known) for known in self._known):
                continue
            self.seen += 1
            place = len(self.kept) if len(self.kept) < self._count else int(self._generator.integers(self.seen))
            if place < self._count:
                self.kept[place : place + 1] = [each.cpu().clone()]


@contextmanager
def listening(model: nn.Module, queries: Queries) -> Iterator[None]:
    """Lets `queries` see all that `model` is given."""
    handle = model.register_forward_pre_hook(lambda _, inputs: queries.see(inputs[0]))
    try:
        yield
    finally:
        handle.remove()
