"""Features of every network, and what they tell: a planted attribute is found, an absent one is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from models import available, build
from models.spec import ModelSpec
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.errors import InputError
from pipeline.flag.behaviour import embeddings
from pipeline.flag.behaviour.embeddings import embedding_leakage
from pipeline.flag.behaviour.features import penultimate

SIZE, COUNT = 64, 160
CLASSES = ("rest", "covid")


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "NULL", 39)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetVersion:
    """Two images a patient; covid from sources a and b, rest from c alone; sex alternates by patient."""
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS) for _ in range(COUNT)])
    number = np.arange(COUNT)
    table["image_id"] = [f"id{n:03d}" for n in number]
    table["patient_id"] = [f"p{n // 2}" for n in number]
    table["label"] = np.where(number < 120, "covid", "rest")
    table["source"] = np.where(number >= 120, "c", np.where(number < 60, "a", "b"))
    table["sex"] = np.where(number // 2 % 2, "F", "M")
    table["view"] = np.where(number < 5, "AP", None)
    table[["width", "height"]] = SIZE
    table["scale"], table["pad_x"], table["pad_y"] = 1.0, 0.0, 0.0
    path = tmp_path_factory.mktemp("embeddings") / "v"
    pixels = np.random.default_rng(0).integers(0, 255, (COUNT, SIZE, SIZE)).astype(np.uint8)
    with write_version(path, SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", SIZE, "uint8"), table, 1)
    return DatasetVersion(path)


@pytest.mark.parametrize("name", available())
def test_the_head_on_the_features_gives_the_answers(name: str, dataset: DatasetVersion) -> None:
    model, spec = build(name, classes=CLASSES, input_size=(SIZE, SIZE), seed=1)
    hooks = sum(len(module._forward_pre_hooks) for module in model.modules())
    features, probabilities = penultimate(model, spec, dataset, np.arange(3))
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    expected = torch.softmax(head(torch.from_numpy(features)), dim=1).detach().numpy()
    assert features.shape == (3, head.in_features)
    assert np.allclose(probabilities, expected, atol=1e-5)
    assert sum(len(module._forward_pre_hooks) for module in model.modules()) == hooks


def test_an_edit_sees_its_own_row(dataset: DatasetVersion) -> None:
    model, spec = build("small", classes=CLASSES, input_size=(SIZE, SIZE), seed=1)
    plain, _ = penultimate(model, spec, dataset, np.arange(40))
    edited, _ = penultimate(
        model, spec, dataset, np.arange(40), edit=lambda row, image: image * 0 if row == 33 else image
    )
    changed = np.flatnonzero(~np.isclose(plain, edited).all(axis=1))
    assert changed.tolist() == [33]
    assert penultimate(model, spec, dataset, np.array([], dtype=np.int64))[0].shape == (0, plain.shape[1])


class Tokens(nn.Module):
    """A linear layer applied to every place."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(SIZE, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images[:, 0]).mean(dim=1)


def test_networks_without_such_a_layer_are_refused(dataset: DatasetVersion) -> None:
    spec = ModelSpec("own", CLASSES, (SIZE, SIZE))
    for model in (nn.Conv2d(1, 2, 3), nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 5)), Tokens()):
        with pytest.raises(InputError, match=r"torch\.nn\.Linear"):
            penultimate(model.eval(), spec, dataset, np.arange(2))


def test_a_planted_source_is_found_and_sex_is_not(dataset: DatasetVersion) -> None:
    features = np.random.default_rng(1).standard_normal((COUNT, 24)).astype(np.float32)
    features[:60, 3] += 4  # source a
    records = embedding_leakage(features, dataset, np.arange(COUNT), 0)
    found = {(record["attribute"], record["class"]): record for record in records}
    source = found["source", "covid"]
    assert source["values"] == {"a": 60, "b": 60}
    assert source["value"]["low"] > 0.9
    assert source["p"] == pytest.approx(1 / 40)
    assert source["null95"] < 0.75
    sex = found["sex", "covid"]
    assert sex["value"]["mean"] < 0.65
    assert sex["p"] > 0.05
    assert found["source", "rest"]["value"] is None  # one source only: the label cannot stand in for it
    assert found["view", "covid"]["value"] is None  # five images are too few
    assert "fewer than two values" in found["view", "covid"]["meaning"]


def test_rows_choose_images(dataset: DatasetVersion) -> None:
    rows = np.arange(0, 120, 1)[::-1].copy()
    features = np.random.default_rng(1).standard_normal((len(rows), 4)).astype(np.float32)
    features[dataset.images["sex"].iloc[rows].to_numpy() == "F", 0] += 9
    found = {(r["attribute"], r["class"]): r for r in embedding_leakage(features, dataset, rows, 0)}
    assert found["sex", "covid"]["value"]["mean"] > 0.99
