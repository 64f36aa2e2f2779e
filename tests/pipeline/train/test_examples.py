"""Batches: each example once an epoch, whatever the numbers; pixels resized once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from models import ModelSpec
from pipeline.dataset import DatasetVersion
from pipeline.progress import silent
from pipeline.train.examples import Examples, PlainBatches, TrainBatches, load_examples

SPEC = ModelSpec("small", ("clear", "disc"), (32, 32), mean=0, std=1)
CPU = torch.device("cpu")


def _numbered(count: int) -> Examples:
    """Example i is an image of value i and label i."""
    pixels = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 32, 32), dtype=np.uint8)
    return Examples(pixels, torch.arange(count), tuple(map(str, range(count))))


def _order(batches: TrainBatches, epoch: int) -> list[int]:
    batches.set_epoch(epoch)
    return [int(label) for batch in batches for label in batch["label"]]


@pytest.mark.parametrize(("count", "batch_size"), [(2, 2), (3, 2), (7, 2), (33, 32), (10, 4), (5, 32)])
def test_every_example_once_an_epoch_in_batches_of_two_or_more(count: int, batch_size: int) -> None:
    batches = TrainBatches(_numbered(count), SPEC, batch_size=batch_size, seed=0, augmented=False, device=CPU)
    seen = list(batches)
    assert len(seen) == len(batches)
    assert Counter(int(label) for batch in seen for label in batch["label"]) == Counter(range(count))
    assert all(2 <= len(batch["label"]) <= max(batch_size, 3) for batch in seen)
    for batch in seen:
        assert torch.allclose(batch["image"][:, 0, 0, 0] * 255, batch["label"].float())


def test_order_depends_on_seed_and_epoch_only() -> None:
    first, again, other = (
        TrainBatches(_numbered(20), SPEC, batch_size=4, seed=seed, augmented=False, device=CPU) for seed in (0, 0, 1)
    )
    assert _order(first, 1) != _order(first, 2)
    assert _order(first, 1) == _order(again, 1)
    assert _order(first, 1) != _order(other, 1)


def test_plain_batches_keep_the_table_order() -> None:
    batches = PlainBatches(_numbered(7), SPEC, 3)
    assert [batch["label"].tolist() for batch in batches] == [[0, 1, 2], [3, 4], [5, 6]]
    assert len(batches) == 3


def test_examples_are_the_resized_images_of_their_split(discs: DatasetVersion, tmp_path: Path) -> None:
    examples = load_examples(discs, "val", SPEC, tmp_path, silent)
    rows = discs.rows("val")
    assert examples.labels.tolist() == discs.labels(rows).tolist()
    assert examples.image_ids[0] == discs.images["image_id"][rows[0]]
    wanted = SPEC.resize(discs.tensor(rows))
    assert torch.allclose(examples.images(np.arange(len(rows))), wanted, atol=0.5 / 255 + 1e-6)
    assert isinstance(examples.pixels, np.memmap)


def test_resizing_is_done_once_for_all_trainings(discs: DatasetVersion, tmp_path: Path) -> None:
    told: list[int] = []
    for _ in range(2):
        load_examples(discs, "train", SPEC, tmp_path, lambda stage, done, total: told.append(done))
    assert told == [32, 48]
    assert len(list(tmp_path.glob("resized-*.npy"))) == 1
