"""What reviewers decided, copied into the run; and what the page says of the plan that follows from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows.review.cleansed_preview import cleansed_preview
from flows.review.coco import coco
from flows.review.frozen import DECISIONS, REVIEWED, freeze, frozen
from flows.review.plan_preview import plan_preview
from flows.tasks import repair
from flows.workspace import DATABASE_ENVIRONMENT, review_database
from pipeline.artifacts import read_json, read_parquet, write_json, write_parquet
from pipeline.cleanse import Plan, apply_plan
from pipeline.config import AuditConfig
from pipeline.review.store import Store, open_store
from pipeline.review.store.decisions import decide
from pipeline.review.store.edits import change, delete, draw
from pipeline.review.store.register import register
from pipeline.review.store.ruled_regions import ruled_regions
from pipeline.review.values import Actor, BoxValue, ChangeRequest, DecisionRequest, DeleteRequest, DrawRequest, Target
from tests.pipeline.review.study import IMAGES, Study, phantom_workspace

ANN = Actor(name="ann", role="reviewer")
CONFIG = AuditConfig.model_validate({"cleanse": {"fill": "median", "dilation": 1.0}})


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.delenv(DATABASE_ENVIRONMENT, raising=False)
    study = phantom_workspace(tmp_path / "workspace")
    ledger = read_json(study.run / "run.json")
    ledger["request"] |= {"bundle": "m/1", "config": CONFIG.model_dump(mode="json")}
    write_json(study.run / "run.json", ledger)
    return study


@pytest.fixture
def store(study: Study) -> Iterator[Store]:
    store = open_store(review_database(study.workspace))
    register(store, study.run, study.dataset)
    yield store
    store.dispose()


@pytest.fixture
def actor(study: Study, store: Store) -> Acting:
    return Acting(store, study)


class Acting:
    """A reviewer at work."""

    def __init__(self, store: Store, study: Study) -> None:
        self.store, self.study, self.count = store, study, 0

    def key(self) -> str:
        self.count += 1
        return f"request-{self.count:04d}"

    def decides(self, verdict: Any, *regions: str, finding: str | None = None) -> None:
        target = Target(finding=finding) if finding else Target(regions=regions)
        with self.store.writing() as session:
            decide(session, self.study.run.name, ANN, DecisionRequest(key=self.key(), target=target, verdict=verdict))

    def region(self, row: int, kind: str) -> str:
        regions = self.study.regions
        own = regions[(regions["image_id"] == self.image(row)) & (regions["kind"] == kind)]
        return str(own["region_id"].iloc[0])

    def image(self, row: int) -> str:
        return str(self.study.dataset.images["image_id"].iloc[row])

    def version(self, row: int) -> int:
        from pipeline.review.store.tables import Item

        with self.store.reading() as session:
            return session.get_one(Item, (self.study.run.name, self.image(row))).version


def plan_of(study: Study, accepted: dict[str, str]) -> tuple[Plan, pd.DataFrame]:
    review = frozen(study.run)
    regions = review.over(read_parquet(study.run / repair.ALL_REGIONS))
    return repair.chosen_plan(study.run, study.dataset, CONFIG, accepted, review, regions, None)


def test_without_a_database_nothing_was_decided_and_none_is_made(study: Study) -> None:
    freeze(study.run)
    assert not Path(review_database(study.workspace)).exists()
    assert read_json(study.run / DECISIONS) == {}
    assert len(read_parquet(study.run / REVIEWED)) == 0
    assert not frozen(study.run).removes


def test_a_copy_stays_where_there_is_no_database(study: Study, actor: Acting, tmp_path: Path) -> None:
    actor.decides("accepted", finding="F01")
    freeze(study.run)
    freeze(study.run, str(tmp_path / "elsewhere.sqlite"))
    assert frozen(study.run).findings["F01"].decision == "accepted"


def test_the_same_review_gives_the_same_bytes_whatever_its_order(study: Study, actor: Acting) -> None:
    actor.decides("accepted", finding="F01")
    actor.decides("keep", actor.region(3, "side"))
    actor.decides("unsure", actor.region(1, "side"))
    freeze(study.run)
    first = [(study.run / name).read_bytes() for name in (DECISIONS, REVIEWED)]
    freeze(study.run)
    assert [(study.run / name).read_bytes() for name in (DECISIONS, REVIEWED)] == first
    ruling = frozen(study.run).findings["F01"]
    assert (ruling.decision, ruling.reviewers, ruling.who) == ("accepted", ("ann",), "reviewer ann")
    actor.decides("unsure", actor.region(1, "side"))  # said again: another time, nothing else
    freeze(study.run)
    assert (study.run / REVIEWED).read_bytes() == first[1]


def test_what_people_drew_moved_and_deleted_is_what_a_plan_sees(study: Study, store: Store, actor: Acting) -> None:
    run, box = study.run.name, BoxValue(x0=30, y0=30, x1=40, y1=44)
    with store.writing() as session:
        request = DrawRequest(key=actor.key(), image_id=actor.image(2), kind="word", box=box, expected=actor.version(2))
        draw(session, run, ANN, request)
    with store.writing() as session:
        moved = ChangeRequest(key=actor.key(), box=BoxValue(x0=92, y0=6, x1=120, y1=18), expected=actor.version(1))
        change(session, run, ANN, actor.region(1, "position"), moved)
    with store.writing() as session:
        delete(
            session, run, ANN, actor.region(3, "position"), DeleteRequest(key=actor.key(), expected=actor.version(3))
        )
    actor.decides("accepted", finding="F01")
    freeze(study.run)
    plan, judged = plan_of(study, {"F01": "reviewer ann"})
    regions = study.regions
    assert len(judged) == len(regions)  # one came, one went
    assert actor.region(3, "position") not in set(judged["region_id"])
    drawn = judged[judged["detector"] == "reviewer"].iloc[0]
    assert (drawn["kind"], drawn["image_id"], drawn["x1"]) == ("word", actor.image(2), 40)
    corners = judged.set_index("region_id").loc[actor.region(1, "position"), ["x0", "y0", "x1", "y1"]]
    assert corners.tolist() == [92, 6, 120, 18]
    positions = (regions["kind"] == "position").sum()
    assert sum(plan.lines[0].regions.values()) == positions - 1


def test_residual_regions_join_once_they_are_decided(study: Study, store: Store, actor: Acting) -> None:
    freeze(study.run)
    assert len(plan_of(study, {"F01": "reviewer ann"})[1]) == len(study.regions)
    with store.reading() as session:
        every = ruled_regions(session, study.run.name)
    residual = every[every["origin"] == "residual"].iloc[0]
    actor.decides("accepted", residual["region_id"])
    freeze(study.run)
    judged = plan_of(study, {})[1]
    joined = judged[judged["detector"] == "residual"]
    assert joined["region_id"].tolist() == [residual["region_id"]]
    assert joined["exception"].tolist() == ["removed"]


def test_nothing_decided_is_no_plan(study: Study, store: Store) -> None:
    preview = plan_preview(study.run)
    assert (preview.possible, preview.impact, preview.samples) == (False, {}, ())
    assert "1 confirmed and 2 suspected findings are not decided" in preview.warnings[0]


@pytest.mark.slow
def test_the_preview_says_what_the_plan_will_be(study: Study, store: Store, actor: Acting) -> None:
    before = sorted(path.name for path in study.run.iterdir())
    actor.decides("accepted", finding="F01")
    actor.decides("keep", actor.region(1, "position"))
    preview = plan_preview(study.run)
    assert sorted(path.name for path in study.run.iterdir()) == before
    freeze(study.run)
    plan, _ = plan_of(study, {"F01": "reviewer ann"})
    assert {name: count.model_dump() for name, count in preview.impact.items()} == {
        name: count.model_dump() for name, count in plan.impact.items()
    }
    assert preview.possible
    assert preview.exceptions == {"kept": {"clear": 0, "opacity": 1}}
    assert preview.lines[0]["regions"] == {"clear": 3, "opacity": 11}
    assert preview.impact["opacity"].images == 11
    labels = study.dataset.images.set_index("image_id")["label"]
    assert set(labels.loc[list(preview.samples)]) == {"clear", "opacity"}
    assert actor.image(1) not in preview.samples
    assert plan_preview(study.run) is preview
    actor.decides(None, actor.region(1, "position"))
    assert plan_preview(study.run).exceptions == {}


def test_the_cleansed_preview_is_what_a_cleanse_gives(
    study: Study, store: Store, actor: Acting, tmp_path: Path
) -> None:
    actor.decides("accepted", finding="F01")
    actor.decides("accepted", actor.region(0, "side"))
    freeze(study.run)
    plan, judged = plan_of(study, {"F01": "reviewer ann"})
    cleansed = apply_plan(study.dataset, plan, judged, tmp_path / "out", seed=CONFIG.seed)
    chosen = judged[judged["by_rule"] | (judged["exception"] == "removed").fillna(False)]
    for row in range(IMAGES):
        own = chosen[chosen["image_id"] == actor.image(row)]
        shown = cleansed_preview(study.run, actor.image(row), own)
        assert shown.dtype == np.uint16
        np.testing.assert_array_equal(shown, cleansed.pixels([row])[0])
    changed = cleansed_preview(study.run, actor.image(0), chosen[chosen["image_id"] == actor.image(0)])
    assert (changed != study.dataset.pixels([0])[0]).any()


def test_coco_holds_verdicts_and_where_they_come_from(study: Study, store: Store, actor: Acting) -> None:
    actor.decides("accepted", finding="F01")
    actor.decides("keep", actor.region(1, "position"))
    with store.reading() as session:
        regions = ruled_regions(session, study.run.name)
    made = coco(study.run, regions)
    json.dumps(made, allow_nan=False)
    assert (len(made["images"]), len(made["annotations"])) == (IMAGES, len(study.regions) + 2)
    ids = regions["region_id"].tolist()
    told = {name: each["attributes"] for name, each in zip(ids, made["annotations"], strict=True)}
    ruled, kept = told[actor.region(3, "position")], told[actor.region(1, "position")]
    assert (ruled["verdict"], ruled["removed"], ruled["decided_by"], ruled["origin"]) == (
        *("accepted", True, "ann", "detected"),
    )
    assert (kept["verdict"], kept["removed"]) == ("keep", False)
    assert "verdict" not in told[actor.region(1, "side")]


def test_a_repair_does_not_change_what_is_in_force(study: Study, store: Store, actor: Acting) -> None:
    """A region that was found again and then removed is found no more; the next repair must still remove it."""
    with store.reading() as session:
        every = ruled_regions(session, study.run.name)
    actor.decides("accepted", str(every.loc[every["origin"] == "residual", "region_id"].iloc[0]))
    freeze(study.run)
    before = (study.run / REVIEWED).read_bytes()
    assert frozen(study.run).removes
    write_parquet(study.run / "residual.parquet", read_parquet(study.run / "residual.parquet").iloc[1:])
    freeze(study.run)
    assert (study.run / REVIEWED).read_bytes() == before
