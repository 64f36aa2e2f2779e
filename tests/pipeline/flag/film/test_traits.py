"""Traits of one synthetic picture, changed in known ways: each trait follows its own change, and says so by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.film.traits import TRAITS, measure_picture, measure_traits
from pipeline.flag.film.traits_dataset import TRAIT_COLUMNS, traits_dataset
from pipeline.types import StoreTransform

SIZE = 320
Grey = NDArray[np.uint8]


def cloud(size: int = SIZE, seed: int = 0) -> NDArray[np.float64]:
    """Random detail with a 1/f spectrum like that of photographs, in about [40, 210]."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) + 1 / size
    white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((size, size)))
    plane = np.fft.irfft2(white / frequency**1.5, (size, size))
    return np.asarray(125 + 30 * (plane - plane.mean()) / plane.std())


def grey(plane: NDArray[np.float64]) -> Grey:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def follow(trait: str, change: Callable[[float], NDArray[np.float64]], amounts: Sequence[float]) -> list[float]:
    return [measure_traits(grey(change(amount)))[trait] for amount in amounts]


def falls(values: Sequence[float], by: float = 0.0) -> bool:
    return all(later < earlier - by for earlier, later in pairwise(values))


def test_tones_by_hand() -> None:
    image = np.full((100, 100), 51, np.uint8)
    image[20:80, 20:60] = 204
    image[40, 70:90] = 0
    image[50, 70:80] = 255
    found = measure_picture(image)
    expected = (51 * (10_000 - 2400 - 30) + 204 * 2400 + 255 * 10) / 10_000 / 255
    assert found["exposure"] == pytest.approx(expected)
    assert found["median"] == pytest.approx(0.2)
    assert found["contrast"] == pytest.approx(0.6)
    assert (found["black"], found["white"]) == pytest.approx((0.002, 0.001))
    share = np.array([7570, 2400, 20, 10]) / 10_000
    assert found["entropy"] == pytest.approx(-(share * np.log2(share)).sum())
    assert measure_traits(image)["aspect"] == 1


def test_a_brighter_gamma_raises_exposure() -> None:
    unit = np.clip(cloud() / 255, 0, 1)
    assert falls(follow("exposure", lambda g: 255 * unit**g, (0.5, 0.8, 1.0, 1.5, 2.0)), 0.02)


def test_contrast_follows_the_spread_and_exposure_does_not() -> None:
    plane = cloud()
    assert falls(follow("contrast", lambda k: 125 + k * (plane - 125), (1.2, 1.0, 0.7, 0.4)), 0.05)
    assert np.ptp(follow("exposure", lambda k: 125 + k * (plane - 125), (1.2, 1.0, 0.7, 0.4))) < 0.01


def test_blurring_lowers_sharpness_and_resolution() -> None:
    plane = cloud()
    for trait in ("sharpness", "resolution"):
        assert falls(follow(trait, lambda s: ndimage.gaussian_filter(plane, s), (0, 0.7, 1, 2, 4)), 0.01), trait


def test_sharpness_ignores_exposure_and_contrast() -> None:
    plane = cloud()
    assert np.ptp(follow("sharpness", lambda k: 125 + k * (plane - 125), (1.2, 1.0, 0.6))) < 0.02
    assert np.ptp(follow("sharpness", lambda b: plane + b, (-15, 0, 15))) < 0.02


@pytest.mark.parametrize("factor", [2, 4])
def test_resolution_is_that_of_the_smaller_image(factor: int) -> None:
    small = cv2.resize(cloud(), (SIZE // factor, SIZE // factor), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    assert 0.6 / factor <= measure_traits(grey(large))["resolution"] <= 1.2 / factor


def test_a_jpeg_shows_its_grid_wherever_it_starts() -> None:
    plane = ndimage.gaussian_filter(cloud(), 0.7)
    coded = cv2.imdecode(cv2.imencode(".jpg", grey(plane), [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_GRAYSCALE)
    assert measure_traits(grey(plane))["compression"] < 3
    assert measure_traits(coded)["compression"] > 10
    assert measure_traits(coded[3:, 5:])["compression"] > 10


def test_enlarging_by_two_is_not_a_grid_of_eight() -> None:
    plane = cv2.resize(cloud(SIZE // 2), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    assert measure_traits(grey(plane))["compression"] < 3


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_is_measured_in_its_own_units(sigma: float) -> None:
    smooth = ndimage.gaussian_filter(cloud(), 3)
    noisy = smooth + np.random.default_rng(1).normal(0, sigma, smooth.shape)
    assert measure_traits(grey(noisy))["noise"] * 255 == pytest.approx(sigma, rel=0.12)


def test_stretching_leaves_gaps_in_the_histogram() -> None:
    plane = cloud()
    narrow = np.rint(125 + 0.5 * (plane - 125))
    before, after = measure_traits(grey(narrow)), measure_traits(grey(2 * (narrow - 125) + 125))
    assert before["levels"] == 1
    assert after["levels"] == pytest.approx(0.5, abs=0.03)
    assert after["comb"] > 5 * before["comb"]


def test_a_dark_outermost_row_is_a_seam() -> None:
    plane = cloud()
    assert abs(measure_traits(grey(plane))["seam"]) < 0.1
    plane[-1] *= 0.6
    assert measure_traits(grey(plane))["seam"] == pytest.approx(np.log(0.6), abs=0.15)


def test_padding_changes_nothing() -> None:
    plain = measure_traits(grey(cloud()))
    padded = measure_traits(np.pad(grey(cloud()), ((0, 0), (60, 60))))
    changed = {name for name in TRAITS if padded[name] != pytest.approx(plain[name], rel=0.02, abs=0.01)}
    assert changed == {"aspect"}


def test_any_depth_gives_the_same_traits() -> None:
    image = grey(cloud())
    expected = measure_traits(image)
    assert measure_traits(image.astype(np.uint16) * 257) == expected
    assert measure_traits(image.astype(np.float32) / 255) == expected


@pytest.mark.parametrize("image", [np.zeros((20, 300), np.uint8), np.full((64, 64), 7, np.uint8)])
def test_what_cannot_be_measured_is_unknown(image: Grey) -> None:
    found = measure_traits(image)
    assert set(found) == set(TRAITS)
    assert np.isnan(found["sharpness"])


def test_the_table_has_one_row_an_image_and_sees_no_letterbox(tmp_path: Path) -> None:
    place = StoreTransform.fit(400, 200, SIZE)
    facts = {"width": 400, "height": 200, "scale": place.scale, "pad_x": place.pad_x, "pad_y": place.pad_y}
    table = pd.DataFrame([{**dict.fromkeys(IMAGE_COLUMNS), **facts, "image_id": f"id{n}"} for n in range(3)])
    table["label"], table["split"] = "rest", "train"
    pixels = np.zeros((3, SIZE, SIZE), np.uint8)
    for n in range(3):
        pixels[n, 80:240] = grey(cloud(seed=n))[:160]
    with write_version(tmp_path / "v", SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("t", "v", "T", ("rest", "covid"), "covid", SIZE, "uint8"), table, 1)
    found = traits_dataset(DatasetVersion(tmp_path / "v"), tmp_path / "traits.parquet")
    assert {name: str(kind) for name, kind in found.dtypes.items()} == TRAIT_COLUMNS
    assert found["image_id"].tolist() == ["id0", "id1", "id2"]
    assert found.iloc[1].drop("image_id").to_dict() == measure_traits(pixels[1, 80:240])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "traits.parquet"), found)
