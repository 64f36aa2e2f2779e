"""Which images expected gradients compare with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.artifacts import write_json
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.explain import create
from pipeline.explain.references import reference_images


def dataset(folder, labels, splits):
    count = len(labels)
    table = pd.DataFrame({column: pd.Series([None] * count, dtype=kind) for column, kind in IMAGE_COLUMNS.items()})
    table["image_id"] = [f"id{number:02d}" for number in range(count)]
    table["label"], table["split"], table["source"] = labels, splits, "here"
    pixels = np.stack([np.full((28, 28), 10 * number, dtype=np.uint8) for number in range(count)])
    with write_version(folder, 28, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("toy", "v1", "Toy", ("without", "with"), "with", 28, "uint8"), table, 1)
        write_json(writer.folder / "lineage.json", {})
    return DatasetVersion(folder)


def test_references_are_training_images_without_the_disease(tmp_path, toy_spec):
    labels = ["with", "without", "without", "without", "with", "without"]
    data = dataset(tmp_path / "v1", labels, ["train", "train", "train", "test", "train", "val"])
    found = reference_images(data, toy_spec, seed=0)
    assert sorted((found[:, 0, 0, 0] * 25.5).round().int().tolist()) == [1, 2]
    assert len(reference_images(data, toy_spec, seed=0, count=1)) == 1
    assert reference_images(dataset(tmp_path / "v2", ["with"] * 2, ["train"] * 2), toy_spec, seed=0) is None


def test_explanation_with_references_sums_to_the_distance_from_them(tmp_path, toy_spec, toy, conv_square):
    data = dataset(tmp_path / "v1", ["without"] * 3, ["train"] * 3)
    references = reference_images(data, toy_spec, seed=0)
    explainer = create("expected-gradients", conv_square, toy_spec, references=references, samples=400)
    with torch.no_grad():
        distance = conv_square(toy.image)[:, 1] - conv_square(references)[:, 1].mean()
    assert explainer.attribute(toy.image, 1).sum(dim=(1, 2, 3)).tolist() == pytest.approx(distance.tolist(), rel=0.05)
