"""Every planter: where the image changed is where it says, and what it planted is what was asked for."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.benchmark.planting import PLANTERS, Planted, planter
from pipeline.benchmark.planting.film import FILM
from pipeline.benchmark.planting.ink import FONTS, written
from pipeline.benchmark.planting.marks import MARK_KINDS
from pipeline.benchmark.planting.planted import Image, Polarity
from pipeline.benchmark.planting.press import grain_of
from pipeline.benchmark.planting.traits import SIZED_TRAITS, TRAITS
from pipeline.errors import InputError
from pipeline.types import REGION_KINDS

POLARITIES: tuple[Polarity, ...] = get_args(Polarity)
PLACED = tuple(name for name in PLANTERS if name not in TRAITS)
LETTERED = tuple(name for name, made in MARK_KINDS.items() if made.write)


@cache
def film(height: int = 300, width: int = 260, *, grain: float = 0.01) -> Image:
    """A grey ground on which bright and dark ink can be read."""
    down, across = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(5).normal(0, grain, (height, width))
    return np.asarray(0.5 + 0.1 * np.sin(down / 40 + across / 60) + noise, dtype=np.float32)


def planted(name: str, image: Image | None = None, *, seed: int = 0, **options: Any) -> tuple[Image, Planted]:
    return planter(name, **options)(film() if image is None else image, np.random.default_rng(seed))


def corners(name: str, **options: Any) -> NDArray[np.float64]:
    """x0, y0, x1, y1 of 20 marks as shares of the image, (20, 4)."""
    boxes = [planted(name, seed=seed, **options)[1].box for seed in range(20)]
    return np.array([box.as_tuple() for box in boxes if box]) / (260, 300, 260, 300)


def centres(name: str, **options: Any) -> NDArray[np.float64]:
    boxes = corners(name, **options)
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2)


@pytest.mark.parametrize("shape", [(300, 260), (70, 96)])
@pytest.mark.parametrize("polarity", POLARITIES)
@pytest.mark.parametrize("name", PLACED)
def test_the_box_holds_all_that_changed_and_touches_it_on_all_sides(
    name: str, polarity: Polarity, shape: tuple[int, int]
) -> None:
    image = film(*shape)
    before = image.copy()
    result, mark = planted(name, image, polarity=polarity, place="random", seed=3)
    assert np.array_equal(image, before)
    assert result.dtype == np.float32
    assert 0 <= result.min() <= result.max() <= 1
    assert mark.kind in REGION_KINDS
    assert mark.box is not None
    assert mark.box.clipped(shape[1], shape[0]) == mark.box
    x0, y0, x1, y1 = (int(value) for value in mark.box.as_tuple())
    change = result - before
    outside = np.abs(change)
    outside[y0:y1, x0:x1] = 0
    assert outside.max() <= 0.1  # the faint rim of a shutter's shadow
    inside = np.abs(change[y0:y1, x0:x1]) > 0.004
    assert inside[[0, -1]].any(axis=1).all()
    assert inside[:, [0, -1]].any(axis=0).all()


@pytest.mark.parametrize("name", [*PLACED, "exposure"])
def test_polarity_is_the_way_the_grey_values_go(name: str) -> None:
    image = film()
    bright, dark = (planted(name, image, polarity=polarity)[0] - image for polarity in POLARITIES)
    assert bright.max() > 0.1
    assert dark.min() < -0.1
    assert bright.sum() > 0 > dark.sum()


@pytest.mark.parametrize("name", PLANTERS)
def test_the_same_generator_gives_the_same_picture(name: str) -> None:
    (first, truth), (again, same), (other, _) = (planted(name, seed=seed, place="random") for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert truth == same
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", MARK_KINDS)
def test_a_fixed_place_is_one_place_and_a_random_one_is_not(name: str) -> None:
    assert centres(name, place="fixed").std(axis=0).max() < 0.08
    assert centres(name, place="random", size=0.05).std(axis=0).min() > 0.12


@pytest.mark.parametrize("name", LETTERED)
def test_places_are_where_they_say(name: str) -> None:
    corner, margin, anatomy = (
        np.minimum(boxes[:, :2], 1 - boxes[:, 2:])  # to the nearer sides
        for boxes in (corners(name, place=place, size=0.03) for place in ("corner", "margin", "anatomy"))
    )
    assert (corner.max(axis=1) < 0.2).all()
    assert (margin.min(axis=1) < 0.1).all()
    assert (margin.max(axis=1) > 0.01).all()
    assert np.median(anatomy.min(axis=1)) > 0.1


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("height", [8, 16, 40])
def test_capitals_are_as_high_as_asked_in_every_font(font: str, height: int) -> None:
    assert written("H", font, height).opacity.shape[0] == pytest.approx(height, abs=1 + 0.25 * height)


def test_size_angle_and_text_are_those_asked_for() -> None:
    upright, turned = (planted("position", size=0.05, text="SUPINE", angle=angle)[1] for angle in (0, 90))
    assert upright.text == turned.text == "SUPINE"
    assert upright.box is not None
    assert turned.box is not None
    assert upright.box.height == pytest.approx(0.05 * 300, abs=6)
    assert (upright.box.width, upright.box.height) == pytest.approx((turned.box.height, turned.box.width), abs=2)
    assert upright.box.width > 3 * upright.box.height


def test_what_could_not_be_read_lies_on_a_plate() -> None:
    white = np.full((300, 260), 0.95, dtype=np.float32)
    _, dark = planted("word", white, polarity="dark")
    result, bright = planted("word", white, polarity="bright")
    assert (dark.frame, bright.frame) == ("plain", "plate")
    assert result.min() < 0.3


def test_side_letters_come_plain_circled_boxed_and_on_plates() -> None:
    marks = [planted("side", seed=seed)[1] for seed in range(60)]
    assert {mark.frame for mark in marks} == {"plain", "circle", "box", "plate"}
    assert {mark.text for mark in marks} == {"L", "R", "D"}


def test_ink_bears_the_grain_of_the_film() -> None:
    assert grain_of(film(grain=0.03)) == pytest.approx(0.03, rel=0.15)
    clean, noisy = (planted("side", film(grain=grain), polarity="dark", size=0.4)[0] for grain in (0.0, 0.03))
    ink = cv2.erode((clean < clean.min() + 0.01).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert ink.sum() > 100
    assert clean[ink].std() < 0.005
    assert noisy[ink].std() > 0.007


def test_traits_have_no_place_and_change_the_whole_image() -> None:
    for name in TRAITS:
        result, mark = planted(name)
        assert (mark.kind, mark.box, mark.text) == (name, None, None)
        assert (np.abs(result - film()) > 0.002).mean() > 0.5


def test_exposure_moves_the_mean_sharpness_and_resolution_take_detail_compression_leaves_a_grid() -> None:
    noisy = film(320, 320, grain=0.05)
    mean = noisy.mean()
    assert planted("exposure", noisy, polarity="dark")[0].mean() < mean - 0.1
    assert planted("exposure", noisy)[0].mean() > mean + 0.1
    for name in SIZED_TRAITS:
        assert grain_of(planted(name, noisy)[0]) < 0.3 * grain_of(noisy)
    step = np.abs(
        np.diff(planted("compression", np.asarray(cv2.GaussianBlur(noisy, (0, 0), 2), dtype=np.float32))[0], axis=1)
    ).mean(axis=0)
    assert step[7::8].mean() > 1.5 * np.delete(step, np.s_[7::8]).mean()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wrod", {}, "word"),
        ("arrow", {"text": "X"}, "takes no text"),
        ("border", {"angle": 5.0}, "takes no angle"),
        ("exposure", {"size": 0.1}, "takes no size"),
        ("word", {"size": 2.0}, "share of the longer side"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planter(name, **options)  # type: ignore[arg-type]


def test_all_kinds_of_the_issue_have_a_planter() -> None:
    assert set(PLANTERS) == {*MARK_KINDS, *FILM, *TRAITS}
    assert {"word", "position", "side", "panel", "number", "date", "identifier", "arrow", "ruler"} <= set(PLANTERS)
