"""Class probabilities for rows of a dataset version, a bounded batch at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
    device: torch.device | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Softmax probabilities of `rows`, float32 (n, classes) in class order of `spec`.

    Args:
        model: classifier returning logits; must be in evaluation mode.
        spec: its contract.
        dataset: where the pixels are.
        rows: row numbers of `dataset`.
        device: where `model` is; the model's own device when None.
        progress: told after every batch.
    """
    where = device or next((p.device for p in model.parameters()), torch.device("cpu"))
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(rows), BATCH):
        images = dataset.tensor(rows[start : start + BATCH]).to(where)
        parts.append(spec.probabilities(model, images).cpu().numpy())
        progress("predict", min(start + BATCH, len(rows)), len(rows))
    return np.concatenate(parts) if parts else np.empty((0, len(spec.classes)), dtype=np.float32)
