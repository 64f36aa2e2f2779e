"""What a plan selects, what it never looks at, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.cleanse import Plan, PlanLine, make_plan, regions_to_clean
from pipeline.cleanse.plan import policies
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError, InputError

CONFIG = CleanseConfig(fill="median", dilation=1.0)
Findings = list[dict[str, Any]]


def test_confirmed_findings_select_every_matching_region_of_every_class_and_split(
    dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings
) -> None:
    plan = make_plan(findings, regions, dataset, CONFIG)
    assert [(line.finding, line.kind, line.text, line.decided_by) for line in plan.lines] == [
        ("F1", "side", "L", "policy: confirmed")
    ]
    chosen = regions_to_clean(plan, regions)
    assert chosen.equals(regions[regions["kind"] == "side"])
    assert set(dataset.images.set_index("image_id").loc[chosen["image_id"], "split"]) == {"val", "test", "other_source"}
    assert set(dataset.images.set_index("image_id").loc[chosen["image_id"], "label"]) == {"covid", "rest"}


def test_permuting_labels_changes_no_selection(
    make_dataset: Callable[..., DatasetVersion], regions: pd.DataFrame, findings: Findings
) -> None:
    plain = make_plan(findings, regions, make_dataset(), CONFIG)
    labels = ["covid", "covid", "rest", "rest"] * 6
    permuted = make_plan(findings, regions, make_dataset(labels=labels, name="permuted"), CONFIG)
    assert regions_to_clean(plain, regions).equals(regions_to_clean(permuted, regions))
    assert plain.identity() == permuted.identity()
    assert plain.impact != permuted.impact


def test_counts_by_hand(dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings) -> None:
    plan = make_plan(findings, regions, dataset, CONFIG)
    # 16 x 12 original pixels at scale 1/2 are 8 x 6, dilated by 1: 10 x 8 = 80 stored pixels.
    covid, rest = plan.impact["covid"], plan.impact["rest"]
    assert (covid.images, covid.of, covid.regions, covid.pixels) == (10, 12, 10, 800)
    assert (rest.images, rest.of, rest.regions, rest.pixels) == (1, 12, 1, 80)
    assert plan.lines[0].regions == {"covid": 10, "rest": 1}


def test_a_reviewers_choice_overrides_the_status(
    dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings
) -> None:
    plan = make_plan(findings, regions, dataset, CONFIG, accept={"F2": "Dr. A"})
    assert [(line.finding, line.decided_by) for line in plan.lines] == [("F2", "Dr. A")]
    assert set(regions_to_clean(plan, regions)["kind"]) == {"date"}


def test_kind_mark_selects_all_kinds(dataset: DatasetVersion, regions: pd.DataFrame) -> None:
    plan = make_plan([{"id": "F", "kind": "mark", "status": "accepted"}], regions, dataset, CONFIG)
    assert regions_to_clean(plan, regions).equals(regions)


def test_text_narrows_and_unread_text_does_not_match(dataset: DatasetVersion, regions: pd.DataFrame) -> None:
    regions.loc[0, "text"], regions.loc[1, "text"] = "R", None
    plan = make_plan([{"id": "F", "kind": "side", "text": "L", "status": "confirmed"}], regions, dataset, CONFIG)
    assert regions_to_clean(plan, regions).index.tolist() == list(range(2, 11))


def test_yaml_round_trip_and_editing(
    tmp_path: Path, dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings
) -> None:
    plan = make_plan(findings, regions, dataset, CONFIG)
    path = tmp_path / "plan.yaml"
    plan.write(path)
    assert Plan.read(path) == plan
    path.write_text(path.read_text().replace("fill: median", "fill: blur"))
    assert Plan.read(path).fill == "blur"
    assert Plan.read(path).identity() != plan.identity()
    path.write_text(path.read_text().replace("dilation", "dilatation"))
    with pytest.raises(InputError, match="dilatation"):
        Plan.read(path)


def test_nothing_accepted_is_an_error(dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings) -> None:
    with pytest.raises(EmptyResultError, match="None of the 2 findings is confirmed or accepted"):
        make_plan(findings[1:], regions, dataset, CONFIG)
    with pytest.raises(EmptyResultError, match="selects none of the 14 regions"):
        make_plan(findings, regions, dataset, CONFIG, accept={"F3": "Dr. A"})


def test_unknown_finding_fill_and_image_are_named(
    dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings
) -> None:
    with pytest.raises(InputError, match=r"no finding 'F9'.*Allowed: F1, F2, F3"):
        make_plan(findings, regions, dataset, CONFIG, accept={"F9": "Dr. A"})
    with pytest.raises(InputError, match="no fill 'bluur'"):
        make_plan(findings, regions, dataset, CleanseConfig(fill="bluur"))
    with pytest.raises(InputError, match="1 images with regions are not in data set v0"):
        make_plan(findings, regions.replace({"image_id": {"id08": "stranger"}}), dataset, CONFIG)


def line(policy: str, kind: str = "side", text: str | None = None, by: str = "reviewer ann") -> PlanLine:
    return PlanLine.model_validate({"finding": "F", "kind": kind, "text": text, "policy": policy, "decided_by": by})


@pytest.mark.parametrize(
    ("lines", "policy"),
    [
        ([line("remove"), line("keep")], "keep"),  # the more cautious
        ([line("keep"), line("remove", text="L")], "remove"),  # a text before any text
        ([line("keep", "mark"), line("remove")], "remove"),  # a kind before every printed kind
        ([line("remove", text="L", by="policy: confirmed"), line("keep", "mark")], "keep"),  # a person before a policy
        ([line("normalise"), line("review"), line("remove")], "review"),
    ],
)
def test_which_of_several_lines_decides(regions: pd.DataFrame, lines: list[PlanLine], policy: str) -> None:
    for order in (lines, lines[::-1]):
        decided = policies(Plan(dataset="v0", fill="telea", dilation=1, lines=tuple(order)), regions)
        assert set(decided.loc[regions["kind"] == "side", "policy"]) == {policy}


def test_kept_words_are_never_touched(dataset: DatasetVersion, regions: pd.DataFrame, findings: Findings) -> None:
    regions.loc[0, "text"] = "R"
    config = CleanseConfig(fill="median", keep_words=("r",))
    plan = make_plan(findings, regions, dataset, config, {"F1": "reviewer ann"})
    anything = plan.model_copy(update={"lines": (plan.lines[0].model_copy(update={"text": None}),)})
    assert regions_to_clean(anything, regions).index.tolist() == list(range(1, 11))
    assert policies(anything, regions)["policy"].iloc[0] == "keep"


def test_kept_findings_are_shown_and_protect_their_regions(dataset: DatasetVersion, regions: pd.DataFrame) -> None:
    everything = [{"id": "F1", "kind": "mark", "status": "confirmed"}, {"id": "F2", "kind": "date", "status": "keep"}]
    plan = make_plan(everything, regions, dataset, CONFIG, left={"F2": ("keep", "reviewer ann: keep")})
    assert [(entry.finding, entry.policy) for entry in plan.lines] == [("F1", "remove"), ("F2", "keep")]
    assert [entry.regions for entry in plan.lines] == [{"rest": 1, "covid": 10}, {"rest": 1, "covid": 2}]
    assert set(regions_to_clean(plan, regions)["kind"]) == {"side"}
