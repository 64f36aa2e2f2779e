"""The pieces around the loop: learning rate, the record of epochs, the class-balanced loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from torch import nn

from models import load_bundle
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.progress import silent
from pipeline.train import fit
from pipeline.train.examples import TrainBatches, load_examples
from pipeline.train.record import Record
from pipeline.train.session import rate
from pipeline.train.training import class_weights

MakeDataset: TypeAlias = Any


def _entry(epoch: int, auroc: float, loss: float) -> dict[str, float]:
    return {"epoch": epoch, "val_auroc": auroc, "val_loss": loss}


def test_the_record_keeps_the_weights_of_the_best_epoch() -> None:
    record, network = Record(), nn.Linear(1, 1)
    for epoch, auroc, loss in [(1, 0.8, 0.5), (2, 0.9, 0.9), (3, 0.9, 0.4), (4, 0.9, 0.4), (5, 0.7, 0.1)]:
        nn.init.constant_(network.weight, epoch)
        record.add(_entry(epoch, auroc, loss), network)
    assert record.best["epoch"] == 3
    assert record.weights["weight"].item() == 3
    assert len(record.history) == 5


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [rate(step, 60) for step in range(61)]
    assert rates[:7] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1])
    assert rates[33] == pytest.approx(0.5)
    assert rates[60] == pytest.approx(0)
    assert rate(0, 1) == 1


def test_classes_weigh_in_inverse_proportion_to_their_frequency(make_dataset: MakeDataset) -> None:
    dataset = make_dataset({"train": (30, 10), "val": (2, 2)})
    assert class_weights(dataset).tolist() == pytest.approx([40 / 60, 40 / 20])


def test_running_statistics_begin_as_the_mean_over_the_batches(
    discs: DatasetVersion, config: TrainConfig, tmp_path: Path
) -> None:
    update = {"epochs": 1, "learning_rate": 1e-12, "augment": False, "mixed_precision": False}
    still = config.model_copy(update=update)  # the weights do not move
    network, spec = load_bundle(fit(discs, still, 4, tmp_path / "model", cache=tmp_path / "cache"))
    convolution, norm = network.features[0][:2]
    examples = load_examples(discs, "train", spec, tmp_path / "cache", silent)
    batches = TrainBatches(examples, spec, batch_size=8, seed=4, augmented=False, device=torch.device("cpu"))
    outputs = [convolution(batch["image"]) for batch in batches]
    assert len(outputs) == 6
    assert torch.allclose(norm.running_mean, torch.stack([out.mean((0, 2, 3)) for out in outputs]).mean(0), atol=1e-4)
    assert torch.allclose(norm.running_var, torch.stack([out.var((0, 2, 3)) for out in outputs]).mean(0), rtol=1e-3)
