"""Class probabilities for rows of a dataset version, a bounded batch at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.dataset import DatasetVersion
from pipeline.progress import Progress, silent

BATCH = 32


def predict(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    *,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Softmax probabilities of `rows`, float32 (n, classes) in class order of `spec`.

    Args:
        model: classifier returning logits; must be in evaluation mode.
        spec: its contract.
        dataset: where the pixels are.
        rows: row numbers of `dataset`.
        progress: told after every batch.
    """
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(rows), BATCH):
        parts.append(probabilities(model, spec.preprocess(dataset.tensor(rows[start : start + BATCH]))))
        progress("predict", min(start + BATCH, len(rows)), len(rows))
    return np.concatenate(parts) if parts else np.empty((0, len(spec.classes)), dtype=np.float32)


def probabilities(model: nn.Module, inputs: Tensor) -> NDArray[np.float32]:
    """Softmax probabilities (B, classes) of network input (B, C, H, W), on the device where `model` is; no gradient."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        logits = model(inputs.to(device)).float()
    return np.asarray(torch.softmax(logits, dim=1).cpu().numpy(), dtype=np.float32)
