"""A small study: 24 portrait images, two classes, a bright mark in the top left corner of most positive ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.types import StoreTransform

SIZE = 64
WIDTH, HEIGHT = 96, 128  # original pixels: scale 1/2, content 48 x 64, padded by 8 left and right


def _row(number: int) -> dict[str, object]:
    transform = StoreTransform.fit(WIDTH, HEIGHT, SIZE)
    return {
        **dict.fromkeys(IMAGE_COLUMNS),
        "image_id": f"id{number:02d}",
        "path": f"{number}.png",
        "label": "covid" if number % 2 else "rest",
        "patient_id": f"p{number // 2}",
        "split": ["train", "val", "test", "other_source"][number % 4 if number < 8 else 2],
        "width": WIDTH,
        "height": HEIGHT,
        "scale": transform.scale,
        "pad_x": transform.pad_x,
        "pad_y": transform.pad_y,
    }


def _pixels(number: int, marked: bool) -> np.ndarray:
    rng = np.random.default_rng(number)
    image = np.zeros((SIZE, SIZE))
    rows, columns = np.mgrid[0:SIZE, 0:48] / SIZE
    image[:, 8:56] = 0.25 + 0.2 * rows + 0.2 * columns + 0.02 * rng.standard_normal((SIZE, 48))
    if marked:
        image[4:10, 12:20] = 0.95
    return (image.clip(0, 1) * 255).round().astype(np.uint8)


def has_mark(number: int) -> bool:
    """Ten of twelve positive images and one of twelve others carry the mark."""
    return (number % 2 == 1 and number not in (5, 7)) or number == 8


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., DatasetVersion]:
    def make(count: int = 24, labels: list[str] | None = None, name: str = "study") -> DatasetVersion:
        table = pd.DataFrame([_row(number) for number in range(count)])
        if labels is not None:
            table["label"] = labels
        meta = DatasetMeta(name, "v0", "A study", ("rest", "covid"), "covid", SIZE, "uint8")
        with write_version(tmp_path / "datasets" / name / "v0", SIZE, "uint8") as writer:
            writer.write_shard(0, table, np.stack([_pixels(number, has_mark(number)) for number in range(count)]))
            writer.finish(meta, table, 1)
        return DatasetVersion(tmp_path / "datasets" / name / "v0")

    return make


@pytest.fixture
def dataset(make_dataset: Callable[..., DatasetVersion]) -> DatasetVersion:
    return make_dataset()


@pytest.fixture
def regions() -> pd.DataFrame:
    """The mark of each marked image in original pixels, and a date, never accepted, on three images."""
    rows = [
        {"image_id": f"id{n:02d}", "kind": "side", "text": "L", "x0": 8.0, "y0": 8.0, "x1": 24.0, "y1": 20.0}
        for n in range(24)
        if has_mark(n)
    ]
    rows += [
        {"image_id": f"id{n:02d}", "kind": "date", "text": None, "x0": 40.0, "y0": 100.0, "x1": 80.0, "y1": 120.0}
        for n in (0, 1, 9)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def findings() -> list[dict[str, object]]:
    return [
        {"id": "F1", "kind": "side", "text": "L", "status": "confirmed"},
        {"id": "F2", "kind": "date", "status": "suspected"},
        {"id": "F3", "kind": "arrow", "status": "not-confirmed"},
    ]
