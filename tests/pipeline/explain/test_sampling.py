"""How an audit spends its budget of maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.explain import choose_rows, explained_rows

TEST = 40
SURE = np.tile(np.array([[0.1, 0.9]], dtype=np.float32), (TEST, 1))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    """Ten training images, then forty test images of two labels in turn."""
    count = 10 + TEST
    table = pd.DataFrame({column: pd.Series([None] * count, dtype=kind) for column, kind in IMAGE_COLUMNS.items()})
    table["image_id"] = [f"id{number:02d}" for number in range(count)]
    table["label"] = ["with" if number % 2 else "without" for number in range(count)]
    table["split"] = ["train"] * 10 + ["test"] * TEST
    target: Path = tmp_path_factory.mktemp("data") / "v1"
    with write_version(target, 8, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((count, 8, 8), dtype=np.uint8))
        writer.finish(DatasetMeta("toy", "v1", "Toy", ("without", "with"), "with", 8, "uint8"), table, 1)
    return DatasetVersion(target)


def explained(dataset: DatasetVersion, undecided: list[int] | NDArray[np.int64], images: int = 9) -> set[int]:
    rows = explained_rows(dataset, SURE, np.array(undecided, dtype=np.int64), images=images, seed=3)
    assert rows.tolist() == sorted(set(rows.tolist()))
    return set(rows.tolist())


def test_nothing_undecided_saves_half_of_the_budget(dataset: DatasetVersion) -> None:
    assert explained(dataset, []) == set(choose_rows(dataset, SURE, images=5, seed=3).tolist())


def test_the_other_half_goes_to_undecided_rows_alone(dataset: DatasetVersion) -> None:
    even = explained(dataset, [])
    undecided = sorted(set(range(10, 50)) - even)[::5]
    extra = explained(dataset, undecided) - even
    assert len(extra) == 4
    assert extra <= set(undecided)
    assert explained(dataset, undecided[:2]) == even | set(undecided[:2])


def test_undecided_rows_of_the_even_sample_are_not_counted_twice(dataset: DatasetVersion) -> None:
    even = explained(dataset, [])
    assert explained(dataset, sorted(even)) == even
    assert len(explained(dataset, np.arange(10, 50))) == 9


def test_a_budget_of_one_is_one_map(dataset: DatasetVersion) -> None:
    assert len(explained(dataset, np.arange(10, 50), images=1)) == 1
