"""Tiny dataset versions with a signal that a small network learns in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.artifacts import write_json
from pipeline.config import TrainConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version

SIZE = 40
Counts = Mapping[str, tuple[int, ...]]
MakeDataset = Callable[..., DatasetVersion]


def _image(label: int, generator: np.random.Generator) -> np.ndarray:
    """Noise, and for class k > 0 a bright disc in the k-th quadrant at a random place."""
    image = generator.normal(110, 25, (SIZE, SIZE))
    if label:
        centre = np.array([(10, 10), (10, 30), (30, 10)][label - 1]) + generator.integers(-3, 4, 2)
        rows, columns = np.mgrid[:SIZE, :SIZE]
        image[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < 25] += 90
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are too small to share among threads, and the bytes depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    def make(counts: Counts, classes: tuple[str, ...] = ("clear", "disc"), name: str = "discs") -> DatasetVersion:
        """A version with `counts[split][k]` images of class k."""
        generator = np.random.default_rng(7)
        rows, pixels = [], []
        for split, numbers in counts.items():
            for label, count in enumerate(numbers):
                for index in range(count):
                    identity = f"{split}-{label}-{index}"
                    row = {
                        "image_id": identity,
                        "label": classes[label],
                        "split": split,
                        "source": "made",
                        "scale": 1.0,
                        "pad_x": 0,
                        "pad_y": 0,
                        "width": SIZE,
                        "height": SIZE,
                    }
                    rows.append(dict.fromkeys(IMAGE_COLUMNS) | row)
                    pixels.append(_image(label, generator))
        table = pd.DataFrame(rows)
        with write_version(tmp_path / name, SIZE, "uint8") as writer:
            writer.write_shard(0, table, np.stack(pixels))
            meta = DatasetMeta(name, "v1", "Discs on noise", classes, classes[-1], SIZE, "uint8")
            writer.finish(meta, writer.shard_table(0), 1)
            write_json(writer.folder / "lineage.json", {})
        return DatasetVersion(tmp_path / name)

    return make


@pytest.fixture
def discs(make_dataset: MakeDataset) -> DatasetVersion:
    """48 training and 24 validation images of two equally frequent classes."""
    return make_dataset({"train": (24, 24), "val": (12, 12), "test": (2, 2)})


@pytest.fixture
def config() -> TrainConfig:
    """Learns `discs` in a few seconds."""
    return TrainConfig(network="small", input_size=32, epochs=6, patience=6, batch_size=8, learning_rate=3e-3)


@pytest.fixture
def wide(tmp_path: Path) -> DatasetVersion:
    """Six grainy pictures of 200 x 160 pixels, letterboxed, with a white mark at (4, 4) to (40, 20)."""
    generator = np.random.default_rng(3)
    side, height, width = 200, 160, 200
    rows, pixels = [], []
    for number in range(6):
        row = {"image_id": f"wide-{number}", "label": "clear", "split": "train", "source": "made", "scale": 1.0}
        rows.append(dict.fromkeys(IMAGE_COLUMNS) | row | {"width": width, "height": height, "pad_x": 0, "pad_y": 20})
        picture = np.clip(generator.normal(110, 25, (height, width)), 0, 230)
        picture[4:20, 4:40] = 255
        pixels.append(np.pad(picture, ((20, 20), (0, 0))).astype(np.uint8))
    with write_version(tmp_path / "wide", side, "uint8") as writer:
        writer.write_shard(0, pd.DataFrame(rows), np.stack(pixels))
        meta = DatasetMeta("wide", "v1", "Grain with a mark", ("clear", "other"), "other", side, "uint8")
        writer.finish(meta, writer.shard_table(0), 1)
        write_json(writer.folder / "lineage.json", {})
    return DatasetVersion(tmp_path / "wide")
