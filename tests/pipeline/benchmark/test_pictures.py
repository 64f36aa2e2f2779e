"""Maps side by side."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pipeline.benchmark.pictures import ACROSS, MapExample, maps_picture

IMAGE = np.full((28, 28), 0.5, dtype=np.float32)
NOWHERE = np.zeros((28, 28), dtype=bool)


def example(methods: int, saliency=None, truth=NOWHERE) -> MapExample:
    return MapExample("title", IMAGE, truth, {f"m{number}": saliency for number in range(methods)})


def pixels(*examples: MapExample) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(maps_picture(examples))).convert("RGB")).astype(int)


def test_same_maps_same_bytes_and_lines_wrap():
    saliency = np.eye(28, dtype=np.float32)
    assert maps_picture([example(3, saliency)]) == maps_picture([example(3, saliency)])
    one, two = pixels(example(ACROSS - 1, saliency)), pixels(example(ACROSS, saliency))
    assert one.shape[1] == two.shape[1]
    assert abs(two.shape[0] - 2 * one.shape[0]) <= 2
    assert pixels(example(1, saliency)).shape[1] < one.shape[1] / 3


def test_a_map_colours_its_image_and_the_bare_image_stays_grey():
    picture = pixels(example(1, np.eye(28, dtype=np.float32)))
    half = picture.shape[1] // 2
    colour = picture.max(axis=2) - picture.min(axis=2)
    assert colour[:, :half].max() < 30  # the title is a dark blue
    assert colour[:, half:].max() > 60


def test_known_evidence_is_outlined_and_failures_are_said():
    truth = NOWHERE.copy()
    truth[8:14, 8:14] = True
    bare, marked = pixels(example(1)), pixels(example(1, truth=truth))
    cyan = (marked[..., 2] > 200) & (marked[..., 0] < 80)
    assert cyan.any()
    assert not ((bare[..., 2] > 200) & (bare[..., 0] < 80)).any()
    half = bare.shape[1] // 2
    body = bare[30:, :]
    assert (body[:, half:] > 240).any(axis=2).sum() > (body[:, :half] > 240).any(axis=2).sum()  # the word "failed"
