"""How often images are drawn: exact shares, the same for the same epoch, honest about what cannot be balanced."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.artifacts import read_json
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.randomness import numpy_generator
from pipeline.train import fit
from pipeline.train.sampling import draw, epoch_order, occurrences


def _with_columns(dataset: DatasetVersion, **columns: list[str | None]) -> DatasetVersion:
    """`dataset` with columns of split train replaced."""
    rows = dataset.rows("train")
    for name, values in columns.items():
        dataset.images.loc[rows, name] = pd.array(values, dtype="string")
    return dataset


@pytest.fixture
def lopsided(make_dataset) -> DatasetVersion:
    """8 clear (A: 6, B: 2) and 4 discs (A: 1, C: 3): source B holds clear only, C discs only."""
    dataset = make_dataset({"train": (8, 4), "val": (1, 1)})
    return _with_columns(dataset, source=["A"] * 6 + ["B"] * 2 + ["A"] + ["C"] * 3)


def test_class_weights_draw_nothing(lopsided: DatasetVersion) -> None:
    drawn = draw(lopsided, "class-weights")
    assert drawn.weights is None
    assert drawn.record == {"sampling": "class-weights"}


def test_sources_weigh_alike_within_each_class_and_classes_alike(lopsided: DatasetVersion) -> None:
    weights = draw(lopsided, "sources").weights
    assert weights.tolist() == pytest.approx([0.5] * 6 + [1.5] * 2 + [3.0] + [1.0] * 3)


def test_sources_of_one_class_are_named(lopsided: DatasetVersion) -> None:
    record = draw(lopsided, "sources").record
    assert record["sources_of_one_class"] == ["B", "C"]
    assert record["images_by_source"]["A"] == {"clear": 6, "disc": 1}
    assert (record["most_often"], record["least_often"]) == pytest.approx((3.0, 0.5))


def test_an_unknown_source_is_a_source(lopsided: DatasetVersion) -> None:
    _with_columns(lopsided, source=["A"] * 4 + [None] * 4 + ["A"] * 4)
    assert draw(lopsided, "sources").record["sources_of_one_class"] == ["unknown"]


def test_a_group_of_duplicates_counts_once(make_dataset) -> None:
    dataset = make_dataset({"train": (4, 4), "val": (1, 1)})
    _with_columns(dataset, duplicate_group=["g", "g", "g", None, None, None, None, None])
    drawn = draw(dataset, "groups")
    assert drawn.weights.tolist() == pytest.approx([2 / 3] * 3 + [2.0] + [1.0] * 4)
    assert drawn.record["groups_of_several"] == 1


def test_without_weights_an_epoch_is_a_permutation() -> None:
    order = epoch_order(50, None, numpy_generator(0, "order", 1))
    assert sorted(order.tolist()) == list(range(50))


def test_systematic_drawing_never_misses_the_expected_number_by_one() -> None:
    weights = np.array([0.25, 0.25, 0.5, 1.0, 3.0, 1.0])
    total = np.zeros(6)
    for epoch in range(400):
        counts = np.bincount(epoch_order(6, weights, numpy_generator(0, "order", epoch)), minlength=6)
        assert counts.sum() == 6
        assert (np.abs(counts - weights) < 1).all()
        total += counts
    assert total / 400 == pytest.approx(weights, abs=0.08)


def test_order_depends_on_its_generator_only() -> None:
    weights = np.array([0.5, 1.5, 1.0, 1.0])
    first, again, other = (epoch_order(4, weights, numpy_generator(0, "order", epoch)) for epoch in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert Counter(first.tolist()) != Counter(other.tolist()) or first.tolist() != other.tolist()


def test_occurrences_number_the_copies() -> None:
    assert occurrences(np.array([3, 1, 3, 3, 1])).tolist() == [0, 0, 1, 2, 1]


def test_a_training_says_what_it_drew(lopsided: DatasetVersion, tmp_path: Path) -> None:
    config = TrainConfig(network="small", input_size=32, epochs=1, batch_size=4, sampling="sources", marks=0.5)
    bundle = fit(lopsided, config, 0, tmp_path / "model")
    drawn = read_json(bundle / "metrics.json")["drawn"]
    assert drawn["sampling"] == "sources"
    assert drawn["sources_of_one_class"] == ["B", "C"]
    card = (bundle / "docs" / "README.md").read_text()
    assert "in each class its sources, weigh alike" in card
    assert "random marks planted on 50% of the images of every class" in card
