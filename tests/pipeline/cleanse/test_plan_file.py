"""A plan that a person edited: every mistake is named with its line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cleanse import Plan, PlanLine
from pipeline.errors import InputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lines = (
        PlanLine(finding="F1", kind="side", policy="normalise", decided_by="reviewer ann", in_lungs="allow"),
        PlanLine(finding="F2", kind="word", text="PORTABLE", decided_by="policy: confirmed", fill="blur", dilation=4),
    )
    plan = Plan(dataset="v0", fill="telea", dilation=2, keep_words=("AP",), lines=lines)
    plan.model_copy(update={"made_as": plan.identity()}).write(tmp_path / "plan.yaml")
    return tmp_path / "plan.yaml"


def line_of(path: Path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), start=1) if line.strip().startswith(text))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("policy: normalise", "policy: normalize", r"lines\[0\].policy: .*'keep', 'review', 'normalise' or 'remove'"),
        ("fill: telea", "fill: tela", "fill: There is no fill 'tela'. Did you mean 'telea'"),
        ("fill: blur", "fill: blurr", r"lines\[1\].fill: There is no fill 'blurr'"),
        ("dilation: 2.0", "dilation: -2", "dilation: .*greater than or equal to 0"),
        ("in_lungs: allow", "in_lung: allow", r"lines\[0\].in_lung: there is no such key"),
    ],
)
def test_mistakes_are_named_with_line_and_key(path: Path, before: str, after: str, message: str) -> None:
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(InputError, match=f"plan.yaml:{line_of(path, after)}: {message}"):
        Plan.read(path)


def test_all_mistakes_are_told_at_once(path: Path) -> None:
    path.write_text(path.read_text().replace("kind: word", "kind: wrod").replace("fill: telea", "fill: tela"))
    with pytest.raises(InputError) as error:
        Plan.read(path)
    assert str(error.value).count("plan.yaml:") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("lines: [", "is not YAML"), ("", "the file"), ("dataset: v0", "lines: this key is missing"), ("- a", "the file")],
)
def test_what_is_no_plan_is_refused(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Plan.read(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        Plan.read(path)


def test_normalising_what_is_no_side_marker_is_refused(path: Path) -> None:
    path.write_text(path.read_text().replace("policy: remove", "policy: normalise"))
    with pytest.raises(InputError, match=r"lines\[1\]: policy normalise is for kind side only, not word"):
        Plan.read(path)


def test_it_knows_whether_a_person_changed_what_it_does(path: Path) -> None:
    assert not Plan.read(path).edited
    path.write_text(path.read_text().replace("reviewer ann", "reviewer bob") + "# a note\n")
    assert not Plan.read(path).edited
    path.write_text(path.read_text().replace("in_lungs: allow", "in_lungs: refuse"))
    assert Plan.read(path).edited
