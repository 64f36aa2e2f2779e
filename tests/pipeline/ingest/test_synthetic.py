"""Phantoms: what they claim about themselves is true of their pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.ingest.synthetic import NEGATIVE, POSITIVE, Phantom, PhantomSpec, Source, render
from pipeline.ingest.synthetic.marks import kind_of
from pipeline.types import REGION_KINDS

SPEC = PhantomSpec(images=40, other_source_images=10, size=160, strength=0.9, seed=7)
SMALL = replace(SPEC, images=160, other_source_images=160, size=64, strength=0.8)


@pytest.fixture(scope="module")
def cohorts() -> dict[Source, list[Phantom]]:
    return {source: [render(SMALL, i, source) for i in range(160)] for source in ("phantom-a", "phantom-b")}


def carries(phantom: Phantom, text: str) -> bool:
    return any(mark.text == text for mark in phantom.marks)


def test_an_image_depends_on_its_arguments_alone() -> None:
    assert np.array_equal(render(SPEC, 3, "phantom-a").image, render(SPEC, 3, "phantom-a").image)
    assert not np.array_equal(render(SPEC, 3, "phantom-a").image, render(replace(SPEC, seed=8), 3, "phantom-a").image)


@pytest.mark.parametrize("size", [64, 150, 384])
def test_images_are_finite_and_use_the_grey_scale(size: int) -> None:
    image = render(replace(SPEC, size=size), 0, "phantom-b").image
    assert image.shape == (size, size)
    assert image.dtype == np.float32
    assert 0 <= image.min() < 0.1
    assert 0.85 < image.max() <= 1


@pytest.mark.parametrize("source", ["phantom-a", "phantom-b"])
def test_boxes_hold_all_ink_and_are_tight(source: Source) -> None:
    for index in range(10):
        printed, plain = render(SPEC, index, source), render(SPEC, index, source, with_marks=False)
        changed = printed.image != plain.image
        inside = np.zeros_like(changed)
        for mark in printed.marks:
            x0, y0, x1, y1 = (int(value) for value in mark.box.as_tuple())
            assert 0 <= x0 < x1 <= SPEC.size
            assert 0 <= y0 < y1 <= SPEC.size
            assert not inside[y0:y1, x0:x1].any(), "marks do not overlap"
            inside[y0:y1, x0:x1] = True
            ink = changed[y0:y1, x0:x1]
            assert ink.any(axis=0)[[0, -1]].all()
            assert ink.any(axis=1)[[0, -1]].all()
            assert np.abs(printed.image - plain.image)[y0:y1, x0:x1].max() > 0.2, "a mark can be seen"
        assert not (changed & ~inside).any()
        assert plain.marks == ()


@pytest.mark.slow
def test_mark_and_class_are_tied_as_asked(cohorts: dict[Source, list[Phantom]]) -> None:
    expected = {("phantom-a", POSITIVE): 0.9, ("phantom-a", NEGATIVE): 0.1}
    for source, phantoms in cohorts.items():
        for label in (POSITIVE, NEGATIVE):
            rate = np.mean([carries(p, SMALL.mark) for p in phantoms if p.label == label])
            share = expected.get((source, label), 0.5)
            assert rate == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / 80))


def test_other_marks_and_metadata_say_nothing_of_the_class(cohorts: dict[Source, list[Phantom]]) -> None:
    phantoms = cohorts["phantom-a"] + cohorts["phantom-b"]
    positive = np.array([p.label == POSITIVE for p in phantoms])
    facts = {
        kind: [any(m.kind == kind and m.text != SMALL.mark for m in p.marks) for p in phantoms] for kind in REGION_KINDS
    }
    facts |= {"view": [p.view == "AP" for p in phantoms], "sex": [p.sex == "F" for p in phantoms]}
    for name, fact in facts.items():
        # Three standard errors of a difference between two halves of 320; patients with two images widen it by 1.15.
        spread = 3 * 1.15 * np.sqrt(np.var(fact) * 4 / len(phantoms)) + 1e-9
        assert abs(np.mean(np.array(fact)[positive]) - np.mean(np.array(fact)[~positive])) <= spread, name


def test_the_tied_mark_changes_no_other_mark() -> None:
    for index in range(20):
        always, never = (
            render(replace(SPEC, strength=strength, size=256), index, "phantom-a") for strength in (1.0, 0.0)
        )
        others = [[m for m in p.marks if m.text != SPEC.mark] for p in (always, never)]
        assert others[0] == others[1]


def test_strength_zero_ties_nothing() -> None:
    phantoms = [render(replace(SMALL, strength=0.0), index, "phantom-a") for index in range(120)]
    rates = [np.mean([carries(p, SMALL.mark) for p in phantoms if p.label == label]) for label in (POSITIVE, NEGATIVE)]
    assert abs(rates[0] - rates[1]) < 3 * np.sqrt(0.25 * 2 / 60)


def test_classes_are_balanced_and_follow_no_order(cohorts: dict[Source, list[Phantom]]) -> None:
    for phantoms in cohorts.values():
        positive = np.array([p.label == POSITIVE for p in phantoms])
        assert positive.sum() == 80
        assert 0.3 < positive[::2].mean() < 0.7


def test_patients_keep_label_sex_and_age(cohorts: dict[Source, list[Phantom]]) -> None:
    table = pd.DataFrame([(p.patient, p.label, p.sex, p.age) for p in cohorts["phantom-a"]], columns=list("plsa"))
    assert 1.15 < len(table) / table["p"].nunique() < 1.45
    assert len(table.drop_duplicates()) == table["p"].nunique()
    assert not {p.patient for p in cohorts["phantom-a"]} & {p.patient for p in cohorts["phantom-b"]}


def test_opacities_brighten_both_lungs_and_scale_with_visibility() -> None:
    positives = [index for index in range(20) if render(SPEC, index, "phantom-a").label == POSITIVE]
    for index in positives:
        gains = []
        plain = render(replace(SPEC, honest_signal=0.0), index, "phantom-a", with_marks=False)
        assert not plain.opacities.any()
        for visibility in (0.3, 0.9):
            ill = render(replace(SPEC, honest_signal=visibility), index, "phantom-a", with_marks=False)
            assert ill.opacities[:, : SPEC.size // 2].any()
            gains.append(float((ill.image - plain.image)[ill.opacities].mean()))
        assert 0 < gains[0] < gains[1]


def test_opacities_lie_low_and_healthy_lungs_have_none() -> None:
    phantoms = [render(SPEC, index, "phantom-a", with_marks=False) for index in range(30)]
    assert not any(p.opacities.any() for p in phantoms if p.label == NEGATIVE)
    heights = [float(np.nonzero(p.opacities)[0].mean()) / SPEC.size for p in phantoms if p.label == POSITIVE]
    assert np.mean(heights) > 0.52


def test_lungs_are_dark_and_the_heart_lies_on_the_right_of_the_picture() -> None:
    mean = np.mean([render(SPEC, i, "phantom-a", with_marks=False).image for i in range(40)], axis=0)
    right_lung, left_lung = mean[60:100, 45:60].mean(), mean[60:80, 105:120].mean()
    spine, belly = mean[90:110, 76:84].mean(), mean[145:158, 40:120].mean()
    assert max(right_lung, left_lung) + 0.3 < min(spine, belly)
    heart, mirrored = mean[88:105, 96:106].mean(), mean[88:105, 54:64].mean()
    assert heart > mirrored + 0.1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("L", "side"),
        ("D", "side"),
        ("PORTABLE", "position"),
        ("SEMI-ERECT", "position"),
        ("CHEST", "word"),
        ("B", "panel"),
        ("03/02/2020", "date"),
        ("2020-02-03", "date"),
        ("08:15", "date"),
        ("DAY 5", "number"),
        ("24 h", "number"),
    ],
)
def test_kind_of_a_printed_text(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@pytest.mark.parametrize("mark", ["L", "A", "AP", "A VERY LONG PRINTED TEXT", "03:27"])
def test_any_text_can_be_tied_and_is_then_printed_once(mark: str) -> None:
    spec = replace(SPEC, size=64, mark=mark, strength=1.0)
    for index in range(20):
        phantom = render(spec, index, "phantom-a")
        expected = phantom.label == POSITIVE
        assert sum(m.text == mark for m in phantom.marks) == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strength": 1.2}, "strength must lie in 0..1, found 1.2"),
        ({"honest_signal": -0.1}, "honest_signal"),
        ({"size": 16}, "size must lie in 64..4096"),
        ({"mark": " "}, "printable ASCII"),
        ({"format": "gif"}, "dicom or png"),
    ],
)
def test_a_wrong_specification_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PhantomSpec(**wrong)  # type: ignore[arg-type]
