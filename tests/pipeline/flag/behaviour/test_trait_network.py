"""A small network trained on phantoms whose class goes with a trait is caught; trained without, it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from models.small import SmallNet
from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour.summaries import erase_summary
from pipeline.flag.behaviour.trait_test import move_traits
from pipeline.flag.film.trait_association import Tie, tied_traits, trait_association
from pipeline.flag.film.traits_dataset import traits_dataset
from pipeline.ingest.synthetic.phantom import NEGATIVE, POSITIVE, PhantomSpec, render
from pipeline.randomness import numpy_generator

SIZE, COUNT, TRAIN = 160, 320, 240
CLASSES = (NEGATIVE, POSITIVE)
SPEC = ModelSpec("small", CLASSES, (96, 96))
CONFIG = FlagConfig(transplants=20)
Plane = NDArray[np.float32]
Plant = Callable[[Plane, np.random.Generator], Plane]


def brighter(image: Plane, generator: np.random.Generator) -> Plane:
    return image ** np.float32(generator.uniform(0.6, 0.7))


@pytest.fixture(scope="module")
def phantoms() -> tuple[list[Plane], list[str]]:
    spec = PhantomSpec(images=COUNT, size=SIZE, honest_signal=0.9)
    rendered = [render(spec, index, "phantom-a", with_marks=False) for index in range(COUNT)]
    return [each.image for each in rendered], [each.label for each in rendered]


def version(folder: Path, phantoms: tuple[list[Plane], list[str]], plant: Plant, strength: float) -> DatasetVersion:
    """`plant` on (1 + strength) / 2 of the positive and (1 − strength) / 2 of the negative images."""
    images, labels = phantoms
    facts = {"width": SIZE, "height": SIZE, "scale": 1.0, "pad_x": 0.0, "pad_y": 0.0}
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS) | facts] * COUNT)
    table["image_id"] = [f"id{n:03d}" for n in range(COUNT)]
    table["label"], table["split"] = labels, ["train" if n < TRAIN else "test" for n in range(COUNT)]
    pixels = np.empty((COUNT, SIZE, SIZE), np.uint8)
    for n, (image, label) in enumerate(zip(images, labels, strict=True)):
        generator = numpy_generator("plant", n)
        if generator.random() < (1 + strength * (1 if label == POSITIVE else -1)) / 2:
            image = plant(image, generator)
        pixels[n] = np.rint(np.clip(image, 0, 1) * 255)
    with write_version(folder, SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, POSITIVE, SIZE, "uint8"), table, 1)
    return DatasetVersion(folder)


def trained(dataset: DatasetVersion, epochs: int = 10) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SmallNet(1, 2)
    rows = dataset.rows("train")
    inputs, labels = SPEC.preprocess(dataset.tensor(rows)), torch.from_numpy(dataset.labels(rows))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(epochs):
        for part in torch.randperm(len(rows), generator=generator).split(24):
            optimiser.zero_grad()
            functional.cross_entropy(model(inputs[part]), labels[part]).backward()
            optimiser.step()
    return model.eval()


def confirmed(dataset: DatasetVersion, model: nn.Module, ties: list[Tie]) -> set[str]:
    effects = move_traits(model, SPEC, dataset, ties, CONFIG, seed=0, classes=CLASSES)
    found = set()
    for each in erase_summary(effects, CLASSES, 0):
        size = each["classes"][POSITIVE]["excess"]
        if each["q"] is not None and each["q"] <= CONFIG.fdr and size["mean"] >= CONFIG.min_effect and size["low"] > 0:
            found.add(each["kind"])
    return found


def ties(dataset: DatasetVersion, folder: Path) -> list[Tie]:
    traits = traits_dataset(dataset, folder / "traits.parquet")
    return tied_traits(trait_association(dataset, traits, seed=0), CONFIG.fdr, POSITIVE)


@pytest.mark.slow
def test_planted_exposure_is_confirmed(phantoms: tuple[list[Plane], list[str]], tmp_path: Path) -> None:
    dataset = version(tmp_path / "v", phantoms, brighter, 0.95)
    found = ties(dataset, tmp_path)
    assert "exposure" in {tie.trait for tie in found}
    assert confirmed(dataset, trained(dataset), found) == {"trait/exposure"}


@pytest.mark.slow
def test_exposure_at_random_is_not_even_suspected(phantoms: tuple[list[Plane], list[str]], tmp_path: Path) -> None:
    assert ties(version(tmp_path / "v", phantoms, brighter, 0.0), tmp_path) == []
