"""Electrodes, generators and leads drawn on a chest-like ground: found and placed; ribs, arms and frames are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.flag.devices import find_devices, two_sided_step
from pipeline.flag.found import Found
from pipeline.types import Box

SIZE = 600
Grey = NDArray[np.uint8]


def ground() -> Grey:
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    ribs = 0.04 * np.cos(40 * (y + (x - 0.5) ** 2))
    return np.asarray(255 * (0.3 + 0.3 * np.exp(-((x - 0.5) ** 2 + (y - 0.6) ** 2) / 0.15) + ribs), dtype=np.uint8)


def lead(thickness: int = 3, add: int = 50) -> tuple[Grey, Box]:
    """The ground with a gently curved bright line from the upper left to the lower right."""
    x = np.arange(120, 480)
    y = 150 + 0.4 * (x - 120) + 40 * np.sin((x - 120) / 120)
    cover = np.zeros((SIZE, SIZE), np.uint8)
    cv2.polylines(cover, [np.stack([x, y], axis=1).round().astype(np.int32)], False, 255, thickness, cv2.LINE_AA)
    image = np.clip(ground() + add * (cover / 255.0), 0, 255).astype(np.uint8)
    return image, Box(120, float(y.min()), 480, float(y.max()))


@pytest.mark.parametrize("radius", [8, 12, 15])
def test_finds_an_electrode(radius: int) -> None:
    image = ground()
    cv2.circle(image, (200, 180), radius, 230, -1, cv2.LINE_AA)
    (found,) = find_devices(image, [])
    assert (found.kind, found.method) == ("device", "device/blob")
    assert found.box.iou(Box(200 - radius, 180 - radius, 200 + radius, 180 + radius)) >= 0.6


def test_finds_a_generator() -> None:
    image = ground()
    cv2.ellipse(image, (430, 150), (42, 34), 20, 0, 360, 245, -1, cv2.LINE_AA)
    (found,) = find_devices(image, [])
    assert found.method == "device/blob"
    assert found.box.iou(Box(388, 114, 472, 186)) >= 0.6


@pytest.mark.parametrize("thickness", [2, 3, 4])
def test_finds_a_lead(thickness: int) -> None:
    image, truth = lead(thickness)
    found = find_devices(image, [])
    assert {each.method for each in found} == {"device/wire"}
    assert max(each.box.iou(truth) for each in found) >= 0.5
    assert all(0 < each.confidence <= 0.95 for each in found)


def test_the_step_of_a_line_is_two_sided_and_that_of_an_edge_is_none() -> None:
    line, edge = np.full((40, 40), 100, np.uint8), np.full((40, 40), 100, np.uint8)
    line[:, 19:22] = 160
    edge[:, 20:] = 160
    assert two_sided_step(line)[0][20, 20] > 40
    assert two_sided_step(edge)[0].max() == 0


def test_finds_nothing_where_there_is_no_device() -> None:
    frame, bone = ground(), ground()
    cv2.rectangle(frame, (10, 10), (590, 590), 255, 2)
    bone[:, 300:] = np.clip(bone[:, 300:].astype(int) + 60, 0, 255)
    noise = np.clip(ground() + np.random.default_rng(0).normal(0, 6, (SIZE, SIZE)), 0, 255).astype(np.uint8)
    for image in (ground(), noise, bone, np.zeros((SIZE, SIZE), np.uint8), np.full((32, 40), 255, np.uint8)):
        assert find_devices(image, []) == []


def test_what_was_found_before_is_no_device() -> None:
    image = ground()
    cv2.circle(image, (200, 180), 12, 230, -1, cv2.LINE_AA)
    assert find_devices(image, [Found("side", Box(180, 160, 220, 200), 0.9, "text", "D")]) == []


def test_boxes_follow_the_pixels_of_the_given_array() -> None:
    image, truth = lead()
    large = np.asarray(cv2.resize(image, (1800, 1800), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    found = find_devices(large, [])
    assert max(each.box.iou(Box(*(3 * value for value in truth.as_tuple()))) for each in found) >= 0.5
