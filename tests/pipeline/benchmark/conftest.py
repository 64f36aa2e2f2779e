"""A data set whose truth is known: a bright square decides the class, a second one is ignored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from pipeline.artifacts import write_json
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.explain.contract import Explainer, Maps, Query
from pipeline.explain.registry import METHODS, Method
from pipeline.types import Box
from tests.toys import DECOY, QUARRY, SIZE

COUNT = 12
QUARRY_BOX = Box(QUARRY[1].start, QUARRY[0].start, QUARRY[1].stop, QUARRY[0].stop)
DECOY_BOX = Box(DECOY[1].start, DECOY[0].start, DECOY[1].stop, DECOY[0].stop)


@dataclass(frozen=True)
class Study:
    dataset: DatasetVersion
    marks: dict[str, tuple[Box, ...]]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Twelve images, ten of them test, every second with the deciding square; the decoy is on all of them."""
    target = tmp_path_factory.mktemp("data") / "toy" / "v1"
    pixels = np.random.default_rng(0).integers(20, 60, (COUNT, SIZE, SIZE), dtype=np.uint8)
    pixels[::2, QUARRY[0], QUARRY[1]] = 255
    pixels[:, DECOY[0], DECOY[1]] = 255
    table = pd.DataFrame({column: pd.Series([None] * COUNT, dtype=kind) for column, kind in IMAGE_COLUMNS.items()})
    table["image_id"] = [f"id{number:02d}" for number in range(COUNT)]
    table["patient_id"] = [f"p{number // 2}" for number in range(COUNT)]
    table["path"] = [f"{number}.png" for number in range(COUNT)]
    table["label"] = ["with" if number % 2 == 0 else "without" for number in range(COUNT)]
    table["source"] = "here"
    table["split"] = ["test"] * 10 + ["train"] * 2
    table["scale"], table["pad_x"], table["pad_y"] = 1.0, 0.0, 0.0
    table["width"] = table["height"] = SIZE
    with write_version(target, SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("toy", "v1", "Toy <squares>", ("without", "with"), "with", SIZE, "uint8"), table, 1)
        write_json(writer.folder / "lineage.json", {})
    marks = {f"{n}.png": (DECOY_BOX, QUARRY_BOX) if n % 2 == 0 else (DECOY_BOX,) for n in range(COUNT)}
    return Study(DatasetVersion(target), marks)


class Oracle(Explainer):
    """Knows the answer: 1 on the deciding square, a gentle slope elsewhere so that no pixels tie."""

    calls = 0

    def _maps(self, query: Query) -> Maps:
        type(self).calls += 1
        return Maps(oracle_map().expand(len(query.images), 1, -1, -1))


class Broken(Explainer):
    """Fails for the second batch it sees, and for every later one."""

    def _maps(self, query: Query) -> Maps:
        if query.image_ids[0] != "id00":
            raise ValueError("no idea\nof these images")
        return Maps(query.images[:, :1])


def oracle_map() -> Tensor:
    saliency = torch.linspace(0, 0.001, SIZE * SIZE).view(1, 1, SIZE, SIZE).clone()
    saliency[..., QUARRY[0], QUARRY[1]] += 1.0
    return saliency


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> type[Oracle]:
    """The explainers "oracle" and "broken", registered for one test."""
    for name, kind in (("oracle", Oracle), ("broken", Broken)):
        monkeypatch.setattr(f"pipeline.explain.trivial.{kind.__name__}", kind, raising=False)
        monkeypatch.setitem(METHODS, name, Method(f"trivial:{kind.__name__}", "outputs", f"{name} of the tests"))
    monkeypatch.setattr(Oracle, "calls", 0)
    return Oracle


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "result"
