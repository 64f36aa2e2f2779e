"""Class probabilities for rows of a dataset version, a bounded batch at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import read_parquet, write_parquet
from pipeline.dataset import SHARD, DatasetVersion, open_version
from pipeline.prefetch import prefetched
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here, parts_of, spread_blocks

BATCH = 32

Classifier = tuple[nn.Module, ModelSpec]
"""A classifier returning logits, in evaluation mode, and its contract."""


class ClassifierSource(Protocol):
    """Where a classifier comes from: small, so that it can be sent to workers, which open it once a process."""

    @property
    def needs(self) -> tuple[Path, ...]:
        """Files and folders that it is read from."""

    @property
    def identity(self) -> str:
        """A hash of its weights."""

    def __call__(self) -> Classifier:
        """The classifier, on the device where it is to run."""


@dataclass(frozen=True)
class Held:
    """A classifier that is in memory; sent along whole where a part leaves this process."""

    model: nn.Module
    spec: ModelSpec
    needs: ClassVar[tuple[Path, ...]] = ()

    @property
    def identity(self) -> str:
        """A hash of its weights."""
        return weights_sha256(self.model)

    def __call__(self) -> Classifier:
        """The classifier itself."""
        return self.model, self.spec


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
    starts = range(0, len(rows), BATCH)
    inputs = (spec.preprocess(dataset.tensor(rows[start : start + BATCH])) for start in starts)
    parts: list[NDArray[np.float32]] = []
    for start, batch in zip(starts, prefetched(inputs), strict=True):
        parts.append(probabilities(model, batch))
        progress("predict", min(start + BATCH, len(rows)), len(rows))
    return np.concatenate(parts) if parts else np.empty((0, len(spec.classes)), dtype=np.float32)


def predict_dataset(
    source: ClassifierSource,
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    out: Path,
    *,
    spread: Spread = here,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Softmax probabilities of `rows` as the table `out` (Parquet): image_id, split, label, p_<class>.

    Finished parts of `SHARD` images are kept and not done again after an interruption.

    Args:
        source: of the classifier.
        dataset: where the pixels are.
        rows: row numbers of `dataset`.
        out: the table's path.
        spread: who does the parts.
        progress: told about stage "predict".
    """
    with parts_of(out, [dataset.meta.version, rows.tolist(), source.identity]) as folder:
        parts = spread_blocks(
            rows,
            SHARD,
            lambda block, target: _Asked(source, dataset.path, tuple(block.tolist()), target),
            folder,
            spread,
            lambda done: progress("predict", done, len(rows)),
        )
        table = pd.concat([read_parquet(part.target) for part in parts], ignore_index=True)
        write_parquet(out, table)
    return table


def probabilities(model: nn.Module, inputs: Tensor) -> NDArray[np.float32]:
    """Softmax probabilities (B, classes) of network input (B, C, H, W), on the device where `model` is; no gradient."""
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    with torch.no_grad():
        logits = model(inputs.to(device)).float()
    return np.asarray(torch.softmax(logits, dim=1).cpu().numpy(), dtype=np.float32)


def weights_sha256(model: nn.Module) -> str:
    """Hex sha256 over names and values of a model's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Asked:
    """Probabilities of some images."""

    source: ClassifierSource
    dataset: Path
    rows: tuple[int, ...]
    target: Path
    network: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[Path, ...]:
        return (self.dataset, *self.source.needs)

    def do(self) -> None:
        model, spec = self.source()
        dataset, rows = open_version(self.dataset), np.array(self.rows, dtype=np.int64)
        found = predict(model, spec, dataset, rows)
        table = dataset.images.iloc[rows][["image_id", "split", "label"]].reset_index(drop=True)
        write_parquet(self.target, table.assign(**{f"p_{name}": found[:, n] for n, name in enumerate(spec.classes)}))
