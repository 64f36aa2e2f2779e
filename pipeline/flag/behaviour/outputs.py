"""What a classifier answers, as probabilities and as log-odds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.inference import BATCH

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outputs:
    """Answers for n images, columns in class order of the spec.

    Attributes:
        probabilities: (n, classes), rows sum to 1.
        log_odds: (n, classes), log p − log(1 − p), from the logits: exact where p rounds to 1.
    """

    probabilities: Floats
    log_odds: Floats

    def __len__(self) -> int:
        return len(self.probabilities)


def classify(model: nn.Module, spec: ModelSpec, images: Tensor) -> Outputs:
    """Answers for `images` float32 (n, 1, S, S) in [0, 1], `BATCH` at a time, where `model` is; no gradient."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        parts = [model(spec.preprocess(part.to(device))).double().cpu() for part in torch.split(images, BATCH)]
    logits = torch.cat(parts)
    others = logits.unsqueeze(1).repeat(1, logits.shape[1], 1)
    others.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    log_odds = logits - torch.logsumexp(others, dim=2)
    return Outputs(torch.softmax(logits, dim=1).numpy(), log_odds.numpy())
