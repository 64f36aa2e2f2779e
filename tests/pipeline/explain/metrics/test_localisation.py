from __future__ import annotations

import pytest
import torch

from pipeline.errors import InputError
from pipeline.explain.metrics import (
    border,
    enrichment,
    localisation_error,
    mass_inside,
    peak_inside,
    pointing_game,
    saliency_box,
)
from pipeline.types import Box


def one_pixel(row, column, size=224, value=1.0):
    saliency = torch.zeros(1, 1, size, size)
    saliency[0, 0, row, column] = value
    return saliency


def region(rows, columns, size=224):
    where = torch.zeros(1, 1, size, size, dtype=torch.bool)
    where[0, 0, rows, columns] = True
    return where


@pytest.mark.parametrize(
    ("row", "column", "hit"),
    [
        (100, 114, True),  # 14 pixels away
        (100, 115, False),  # 15: the disc is open
        (109, 112, False),  # 9-12-15
        (110, 111, True),  # sqrt(221)
        (86, 100, True),
        (85, 100, False),
    ],
)
def test_pointing_game_is_strict_at_15_pixels(row, column, hit):
    assert pointing_game(one_pixel(100, 100), region(row, column)).tolist() == [hit]


@pytest.mark.parametrize(("size", "away", "hit"), [(28, 1, True), (28, 2, False), (448, 29, True), (448, 30, False)])
def test_the_radius_scales_with_the_image(size, away, hit):
    assert pointing_game(one_pixel(10, 3, size), region(10, 3 + away, size)).tolist() == [hit]


def test_pointing_ties_flat_maps_and_negative_maps():
    two = one_pixel(10, 10) + one_pixel(200, 200)
    assert pointing_game(two, region(10, 10)).tolist() == [True]
    assert pointing_game(two, region(200, 200)).tolist() == [False]  # the first counts
    for value in (0.0, 0.1, -3.0):
        assert pointing_game(torch.full((1, 1, 224, 224), value), region(0, 0)).tolist() == [False]
    assert pointing_game(one_pixel(5, 6) - 4, region(5, 6)).tolist() == [True]


def test_images_of_a_batch_are_judged_apart():
    saliency = torch.cat([one_pixel(10, 20), one_pixel(10, 20)])
    where = torch.cat([region(10, 20), region(20, 10)])
    assert pointing_game(saliency, where, radius=10).tolist() == [True, False]
    assert peak_inside(saliency, where).tolist() == [True, False]
    assert mass_inside(saliency, where).tolist() == [1, 0]


def test_peak_inside_the_border():
    middle, edge, flat = one_pixel(112, 112), one_pixel(112, 10), torch.ones(1, 1, 224, 224)
    frame = border(middle)
    assert frame.sum() == 224**2 - 202**2  # 11 pixels are 5 %
    assert [peak_inside(each, frame).item() for each in (middle, edge, flat)] == [False, True, False]
    assert border(torch.zeros(1, 1, 8, 8)).sum() == 28  # at least a pixel


def test_mass_and_enrichment_by_hand():
    saliency = torch.zeros(1, 1, 10, 10)
    saliency[0, 0, 0, 0], saliency[0, 0, 9, 9], saliency[0, 0, 5, 5] = 3.0, 1.0, -7.0
    where = region(slice(0, 2), slice(0, 5), 10)
    assert mass_inside(saliency, where).item() == pytest.approx(0.75)
    assert enrichment(saliency, where).item() == pytest.approx(7.5)


@pytest.mark.parametrize("value", [0.0, 0.1, -2.0])
def test_a_map_without_preference_is_enriched_by_chance(value):
    saliency, where = torch.full((1, 1, 10, 10), value), region(slice(0, 2), slice(0, 5), 10)
    assert mass_inside(saliency, where).item() == pytest.approx(0.1)
    assert enrichment(saliency, where).item() == pytest.approx(1)


def blobs():
    """A 4 x 6 blob of 1 at rows 2..5, columns 3..8; a larger sum on two pixels; background 0."""
    saliency = torch.zeros(1, 1, 20, 20)
    saliency[0, 0, 2:6, 3:9] = 1.0
    saliency[0, 0, 15, 15:17] = 20.0
    return saliency


def test_the_component_rule_takes_the_largest_part_not_the_highest():
    saliency = blobs()
    saliency[0, 0, 2:6, 3:9] = 2.0  # mean 0.22
    assert saliency_box(saliency) == [Box(3, 2, 9, 6)]


def test_parts_that_touch_at_a_corner_are_two():
    saliency = torch.zeros(1, 1, 20, 20)
    saliency[0, 0, 2:5, 2:5] = 1
    saliency[0, 0, 5:7, 5:7] = 1
    assert saliency_box(saliency) == [Box(2, 2, 5, 5)]


@pytest.mark.parametrize(
    ("rule", "level", "box"),
    [
        ("threshold", 0.05, Box(3, 2, 17, 16)),  # 1 is 5 % of 20
        ("threshold", 0.1, Box(15, 15, 17, 16)),
        ("energy", 0.6, Box(15, 15, 17, 16)),  # 40 of 64
        ("energy", 0.7, Box(3, 2, 17, 16)),
        ("mean", 6.0, Box(3, 2, 17, 16)),  # mean 0.16
        ("mean", 7.0, Box(15, 15, 17, 16)),
    ],
)
def test_rules_with_levels(rule, level, box):
    assert saliency_box(blobs(), rule, level=level) == [box]


@pytest.mark.parametrize("rule", ["component", "threshold", "energy", "mean"])
def test_every_rule_on_special_maps(rule):
    whole = Box(0, 0, 224, 224)
    for value in (0.0, 0.1, -1.0):
        assert saliency_box(torch.full((1, 1, 224, 224), value), rule) == [whole]
    assert saliency_box(one_pixel(7, 11), rule) == [Box(11, 7, 12, 8)]


def test_localisation_error_is_strict_at_half():
    saliency = torch.zeros(1, 1, 20, 20)
    saliency[0, 0, 0:4, 0:4] = 1
    assert localisation_error(saliency, [[Box(0, 0, 4, 8)]]).tolist() == [1]  # exactly 0.5
    assert localisation_error(saliency, [[Box(0, 0, 4, 7)]]).tolist() == [0]
    assert localisation_error(saliency, [[Box(10, 10, 12, 12), Box(0, 0, 4, 7)]]).tolist() == [0]  # the best counts


def test_a_region_is_taken_as_a_whole():
    saliency = torch.zeros(1, 1, 20, 20)
    saliency[0, 0, 0:4, 0:4] = 1
    both = region(slice(0, 4), slice(0, 4), 20) | region(slice(10, 14), slice(10, 14), 20)
    assert localisation_error(saliency, both).tolist() == [1]  # 16 of 32
    both[0, 0, 13] = False
    assert localisation_error(saliency, both).tolist() == [0]  # 16 of 28


def test_the_centre_box_baseline():
    """33..191 of 224, methods.md 6.4: right for a central truth, wrong for a corner."""
    saliency = torch.zeros(2, 1, 224, 224)
    saliency[:, :, 33:191, 33:191] = 1
    truth = [[Box(40, 40, 180, 180)], [Box(0, 0, 40, 40)]]
    assert saliency_box(saliency)[0] == Box(33, 33, 191, 191)
    assert localisation_error(saliency, truth).tolist() == [0, 1]


MAP = torch.zeros(2, 1, 20, 20)


@pytest.mark.parametrize("metric", [pointing_game, peak_inside, mass_inside, enrichment, localisation_error])
@pytest.mark.parametrize(
    ("saliency", "where", "message"),
    [
        (MAP, torch.zeros(2, 1, 20, 20, dtype=torch.bool), r"images \[0, 1\] of the batch"),
        (MAP, torch.ones(2, 1, 20, 20), "torch.float32"),
        (MAP, torch.ones(1, 1, 20, 20, dtype=torch.bool), r"\(1, 1, 20, 20\)"),
        (MAP / 0, torch.ones(2, 1, 20, 20, dtype=torch.bool), "NaN or infinity"),
        (MAP[:, 0], torch.ones(2, 1, 20, 20, dtype=torch.bool), r"Saliency is \(B, 1, H, W\)"),
    ],
)
def test_bad_input_is_named(metric, saliency, where, message):
    with pytest.raises(InputError, match=message):
        metric(saliency, where)


@pytest.mark.parametrize(
    ("truth", "options", "message"),
    [
        ([[], [Box(0, 0, 1, 1)]], {}, r"images \[0\] of the batch"),
        ([[Box(0, 0, 1, 1)]], {}, "2 maps, 1 lists"),
        ([[Box(0, 0, 1, 1)]] * 2, {"rule": "treshold"}, "Did you mean 'threshold'"),
        ([[Box(0, 0, 1, 1)]] * 2, {"level": 0.3}, "takes no level"),
    ],
)
def test_bad_boxes_and_rules_are_named(truth, options, message):
    with pytest.raises(InputError, match=message):
        localisation_error(MAP, truth, **options)
