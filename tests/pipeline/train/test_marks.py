"""Random marks: as often as asked, on the image's own account, never elsewhere than in the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models import ModelSpec
from pipeline.train.examples import Examples, TrainBatches
from pipeline.train.marks import plant_marks

SIDE = 96


def _grey(count: int, value: float = 0.3) -> Tensor:
    return torch.full((count, 1, SIDE, SIDE), value)


def _ids(count: int) -> list[str]:
    return [f"image {number}" for number in range(count)]


def _marked(images: Tensor, value: float = 0.3) -> Tensor:
    return (images != value).flatten(1).any(dim=1)


@pytest.mark.parametrize(("chance", "low", "high"), [(1.0, 300, 300), (0.5, 120, 180)])
def test_as_many_images_as_asked_are_marked(chance: float, low: int, high: int) -> None:
    assert low <= int(_marked(plant_marks(_grey(300), _ids(300), 0, 1, chance)).sum()) <= high


def test_images_given_are_not_changed_and_values_stay_in_range() -> None:
    images = torch.rand(40, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    planted = plant_marks(images, _ids(40), 0, 1, 1.0)
    assert torch.equal(images, before)
    assert float(planted.min()) >= 0
    assert float(planted.max()) <= 1


def test_marks_depend_on_seed_epoch_and_image_not_on_the_batch() -> None:
    whole = plant_marks(_grey(8), _ids(8), 0, 1, 1.0)
    assert torch.equal(plant_marks(_grey(3), _ids(8)[5:], 0, 1, 1.0), whole[5:])
    assert not torch.equal(plant_marks(_grey(8), _ids(8), 0, 2, 1.0), whole)
    assert not torch.equal(plant_marks(_grey(8), _ids(8), 1, 1, 1.0), whole)


def test_ink_is_told_from_what_it_lies_on() -> None:
    for value in (0.1, 0.95):
        planted = plant_marks(_grey(60, value), _ids(60), 0, 1, 1.0)
        assert float((planted - value).abs().flatten(1).amax(dim=1).min()) > 0.15


def test_marks_cover_little_and_most_of_them_lie_near_an_edge() -> None:
    planted = (plant_marks(_grey(300), _ids(300), 0, 1, 1.0) != 0.3)[:, 0]
    assert float(planted.float().mean()) < 0.08
    edge = torch.ones(SIDE, SIDE, dtype=torch.bool)
    margin = round(0.3 * SIDE)
    edge[margin:-margin, margin:-margin] = False
    assert float(planted[:, edge].float().mean()) > 2 * float(planted[:, ~edge].float().mean())


def test_batches_with_marks_and_weights_are_the_same_every_time_and_copies_differ() -> None:
    examples = Examples(np.full((6, 32, 32), 80, dtype=np.uint8), torch.arange(6), tuple("abcdef"))
    spec = ModelSpec("small", ("clear", "disc"), (32, 32), mean=0, std=1)

    def epoch() -> tuple[Tensor, Tensor]:
        batches = TrainBatches(
            examples,
            spec,
            batch_size=3,
            seed=0,
            augmented=False,
            device=torch.device("cpu"),
            weights=np.array([4.5, 0.3, 0.3, 0.3, 0.3, 0.3]),
            marks=1.0,
        )
        seen = list(batches)
        return torch.cat([batch["image"] for batch in seen]), torch.cat([batch["label"] for batch in seen])

    images, labels = epoch()
    assert torch.equal(epoch()[0], images)
    copies = images[labels == 0]
    assert len(copies) >= 4
    assert not torch.equal(copies[0], copies[1])
