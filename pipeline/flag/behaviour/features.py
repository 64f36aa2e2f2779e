"""The last hidden layer of a classifier, whatever its architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.inference import BATCH
from pipeline.progress import Progress, silent

Edit = Callable[[int, Tensor], Tensor]
"""(row, image float32 (1, 1, S, S) in [0, 1]) -> image of the same shape."""


def penultimate(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    *,
    edit: Edit | None = None,
    progress: Progress = silent,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the last linear layer is given, float32 (n, D), and the probabilities (n, classes), for `rows`.

    Args:
        model: classifier in evaluation mode whose last `nn.Linear` gives the logits; left as it was found.
        spec: its contract.
        dataset: where the pixels are.
        rows: row numbers of `dataset`.
        edit: changes each image before it is classified.
        progress: told after every batch.

    Raises:
        InputError: the network has no such layer.
    """
    features: list[NDArray[np.float32]] = []
    answers: list[NDArray[np.float32]] = []
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with _captured(model, spec) as captured, torch.no_grad():
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            images = dataset.tensor(part)
            if edit is not None:
                images = torch.cat([edit(int(row), images[n : n + 1]) for n, row in enumerate(part)])
            logits = model(spec.preprocess(images.to(device))).float()
            answers.append(torch.softmax(logits, dim=1).cpu().numpy())
            features.append(_only(captured, len(part)).float().cpu().numpy())
            captured.clear()
            progress("embed", start + len(part), len(rows))
    if not features:
        return np.empty((0, _head(model, spec).in_features), np.float32), np.empty((0, len(spec.classes)), np.float32)
    return np.concatenate(features), np.concatenate(answers)


def _head(model: nn.Module, spec: ModelSpec) -> nn.Linear:
    """The last linear layer, which gives the logits."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers or layers[-1].out_features != len(spec.classes):
        found = f"its last one has {layers[-1].out_features} outputs" if layers else "it has none"
        raise InputError(
            f"The features of {spec.name} cannot be read: its last linear layer should give {len(spec.classes)} "
            f"logits, but {found}. Checks on features need a network that ends in torch.nn.Linear."
        )
    return layers[-1]


@contextmanager
def _captured(model: nn.Module, spec: ModelSpec) -> Iterator[list[Tensor]]:
    """Collects the input of the last linear layer whenever the model runs."""
    captured: list[Tensor] = []
    handle = _head(model, spec).register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0].detach()))
    try:
        yield captured
    finally:
        handle.remove()


def _only(captured: list[Tensor], count: int) -> Tensor:
    if len(captured) != 1 or captured[0].ndim != 2 or len(captured[0]) != count:
        shapes = [tuple(each.shape) for each in captured]
        raise InputError(
            f"The features of the network cannot be read: for {count} images its last linear layer was given {shapes}, "
            f"not one ({count}, D). Checks on features need a network that ends in one torch.nn.Linear per image."
        )
    return captured[0]
