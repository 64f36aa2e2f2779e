"""From a run folder to rows: what they say, and what stays when artifacts change."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from sqlalchemy import func, select

from pipeline.artifacts import read_json, write_json, write_parquet
from pipeline.errors import IntegrityError
from pipeline.review.store import Store, gallery
from pipeline.review.store.decisions import decide
from pipeline.review.store.edits import change, delete, draw, tag
from pipeline.review.store.register import register
from pipeline.review.store.rows import naming
from pipeline.review.store.score import region_scores
from pipeline.review.store.tables import Finding, Item, Region, Run
from pipeline.review.values import (
    Actor,
    BoxValue,
    ChangeRequest,
    DecisionRequest,
    DeleteRequest,
    DrawRequest,
    Filters,
    TagRequest,
    Target,
)
from tests.pipeline.review.study import IMAGES, RUN, Study, image_id

ANN = Actor(name="ann", role="reviewer")


def rows(store: Store, table: Any, *where: Any) -> list[Any]:
    with store.reading() as session:
        return list(session.scalars(select(table).where(table.run == RUN, *where)))


def image(store: Store, row: int) -> Item:
    (found,) = rows(store, Item, Item.row == row)
    return found


@pytest.fixture
def registered(any_store: Store, review_workspace: Study) -> Store:
    assert register(any_store, review_workspace.run, review_workspace.dataset)
    return any_store


def test_every_image_and_region_gets_its_row(registered: Store, review_workspace: Study) -> None:
    (run,) = rows(registered, Run)
    regions = rows(registered, Region)
    assert (run.dataset, run.classes, run.positive, run.revision) == ("tiny/v1", ["clear", "opacity"], "opacity", 1)
    assert len(rows(registered, Item)) == IMAGES
    assert {each.region for each in regions if each.origin == "detected"} == set(review_workspace.regions["region_id"])
    assert [each.kind for each in regions if each.origin == "residual"] == ["number", "position"]
    assert {each.finding: each.regions for each in rows(registered, Finding)} == {
        "F01": 16,
        "F02": 24,
        "F03": 0,
        "F04": 8,
    }


def test_an_image_tells_what_the_audit_knows_of_it(registered: Store) -> None:
    one, six, eight = (image(registered, row) for row in (1, 6, 8))
    assert (one.label, one.predicted, one.split, one.saliency_cluster) == ("opacity", "opacity", "val", "opacity/0")
    assert one.probabilities == {"clear": pytest.approx(0.1), "opacity": pytest.approx(0.9)}
    assert (six.label, six.predicted, six.probability) == ("clear", "opacity", pytest.approx(0.8))
    assert (one.methods, six.methods, eight.methods) == (["grad-cam", "igos++-fast"], ["grad-cam"], [])
    assert (one.explained, six.explained, eight.explained) == (True, True, False)
    assert (one.explained_class, one.regions, one.open, one.conflicts) == ("opacity", 2, 2, 0)


def test_a_region_tells_its_evidence(registered: Store) -> None:
    (printed,) = rows(registered, Region, Region.image == image_id(RUN, 1), Region.kind == "position")
    (marker,) = rows(registered, Region, Region.image == image_id(RUN, 1), Region.kind == "side")
    assert (printed.text, printed.place, printed.finding, printed.cluster) == (
        "PORTABLE", "top-right", "F01", "position-PORTABLE-000",
    )  # fmt: skip
    assert (printed.share, printed.enrichment, printed.held_back) == (0.3, 30.0, None)
    assert printed.effect == {
        "class": "opacity", "effect": 0.4, "control_mean": 0.01, "control_sd": 0.02, "p_value": 0.11, "q": 0.2,
        "controls": 8, "regions": 1, "predicted": "opacity", "predicted_removed": "clear", "flip": True,
    }  # fmt: skip
    assert (marker.place, marker.held_back) == ("top-left", "in-lungs")


def test_scores_put_confirmed_before_suspected_before_the_rest() -> None:
    status = pd.Series(["confirmed", "suspected", "not-confirmed", None, "suspected", "confirmed"])
    effect = pd.Series([None, 1.0, -0.5, 0.5, -0.4, 0.39])
    share = pd.Series([None, None, 0.2, 0.5, 0.5, 0.3])
    enrichment = pd.Series([None, None, 2.0, 2.0, 0.9, 30.0])
    scores = region_scores(status, effect, share, enrichment)
    assert scores == pytest.approx([2 / 3, 2 / 3, 0.6 / 3, 0.75 / 3, 1.4 / 3, (2 + 1 - 0.61 * 0.7) / 3])


def test_an_image_scores_as_its_best_region(registered: Store) -> None:
    assert image(registered, 1).score == pytest.approx((3 - (1 - 0.39) * (1 - 0.3)) / 3)
    assert image(registered, 8).score == pytest.approx(1 / 3)
    with registered.reading() as session:
        best = gallery.image_ids(session, RUN, Filters(), 2)
    assert best == [image_id(RUN, 1), image_id(RUN, 3)]


def test_the_first_finding_that_names_a_region_has_it() -> None:
    findings = pd.DataFrame(
        {
            "finding": ["F02", "F01", "F03"],
            "rank": [2, 1, 3],
            "kind": ["mark", "side", "side"],
            "text": [None, "L", None],
        }
    )
    regions = pd.DataFrame(
        {"kind": ["side", "side", "word", "border"], "text": ["L", "R", None, None]}, index=[3, 5, 7, 9]
    )
    assert naming(findings, regions).replace({float("nan"): None}).to_dict() == {3: "F01", 5: "F02", 7: "F02", 9: None}


def test_the_same_artifacts_are_not_read_twice(registered: Store, review_workspace: Study) -> None:
    assert not register(registered, review_workspace.run, review_workspace.dataset)
    assert rows(registered, Run)[0].revision == 1


def test_only_findings_and_regions_are_needed(any_store: Store, review_workspace: Study) -> None:
    for path in [*review_workspace.run.glob("*.parquet"), *review_workspace.run.glob("saliency/*.parquet")]:
        if path.name != "regions.parquet":
            path.unlink()
    (review_workspace.run / "clusters.json").unlink()
    assert register(any_store, review_workspace.run, review_workspace.dataset)
    found = image(any_store, 1)
    assert (found.predicted, found.probabilities, found.methods, found.saliency_cluster) == (None, None, [], None)
    assert {(each.cluster, each.effect, each.share) for each in rows(any_store, Region)} == {(None, None, None)}


def test_what_people_did_stays_when_artifacts_change(registered: Store, review_workspace: Study) -> None:
    first, third = image_id(RUN, 0), image_id(RUN, 2)
    marker = {
        row: rows(registered, Region, Region.image == image_id(RUN, row), Region.kind == "side")[0].region
        for row in (0, 1, 2)
    }
    with registered.writing() as session:
        target = Target(regions=(marker[0],))
        decide(session, RUN, ANN, DecisionRequest(key="request-1", target=target, verdict="keep"))
        decide(session, RUN, ANN, DecisionRequest(key="request-2", target=Target(finding="F01"), verdict="accepted"))
        box = BoxValue(x0=2, y0=70, x1=20, y1=90)
        draw(session, RUN, ANN, DrawRequest(key="request-3", image_id=third, kind="date", box=box, expected=1))
        delete(session, RUN, ANN, marker[1], DeleteRequest(key="request-4", expected=2))
        change(session, RUN, ANN, marker[2], ChangeRequest(key="request-5", kind="position", expected=3))
        tag(session, RUN, ANN, first, TagRequest(key="request-6", tagged=True, expected=1))
    before = _state(registered)
    evidence = pd.read_parquet(review_workspace.run / "evidence.parquet")
    write_parquet(review_workspace.run / "evidence.parquet", evidence.assign(share=evidence["share"] / 2))

    assert register(registered, review_workspace.run, review_workspace.dataset)
    assert _state(registered) == before
    changed = {each.region: each for each in rows(registered, Region)}
    assert (changed[marker[2]].kind, changed[marker[2]].edited, changed[marker[2]].share) == ("position", True, 0.01)
    assert changed[marker[1]].deleted
    with registered.reading() as session:
        assert session.scalar(select(func.count()).select_from(Item).where(Item.tagged)) == 1
        assert gallery.audit(session, RUN).revision == 8


def test_a_moved_region_gets_no_evidence_of_where_it_was(registered: Store, review_workspace: Study) -> None:
    moved, other = rows(registered, Region, Region.kind == "side")[:2]
    box = BoxValue(x0=2, y0=70, x1=20, y1=90)
    with registered.writing() as session:
        change(session, RUN, ANN, moved.region, ChangeRequest(key="request-1", box=box, expected=1))
        change(session, RUN, ANN, other.region, ChangeRequest(key="request-2", kind="position", expected=1))
    evidence = pd.read_parquet(review_workspace.run / "evidence.parquet")
    write_parquet(review_workspace.run / "evidence.parquet", evidence.assign(share=evidence["share"] / 2))
    assert register(registered, review_workspace.run, review_workspace.dataset)
    now = {each.region: each for each in rows(registered, Region)}
    assert (moved.cluster, other.cluster) != (None, None)
    assert (now[moved.region].share, now[moved.region].enrichment, now[moved.region].cluster) == (None, None, None)
    assert (now[other.region].kind, now[other.region].cluster) == ("position", other.cluster)


def test_decided_regions_without_evidence_do_not_stop_a_second_look(registered: Store, review_workspace: Study) -> None:
    unseen = rows(registered, Region, Region.image == image_id(RUN, 20), Region.kind == "side")[0]
    box = BoxValue(x0=2, y0=70, x1=20, y1=90)
    with registered.writing() as session:
        target = Target(regions=(unseen.region,))
        decide(session, RUN, ANN, DecisionRequest(key="request-1", target=target, verdict="rejected"))
        draw(
            session, RUN, ANN, DrawRequest(key="request-2", image_id=image_id(RUN, 2), kind="date", box=box, expected=1)
        )
    evidence = pd.read_parquet(review_workspace.run / "evidence.parquet")
    nullable = evidence.astype({"share": "Float64", "enrichment": "Float64"})  # as audits write it
    write_parquet(review_workspace.run / "evidence.parquet", nullable)
    assert register(registered, review_workspace.run, review_workspace.dataset)
    assert [each.verdict for each in rows(registered, Region, Region.region == unseen.region)] == ["rejected"]


def _state(store: Store) -> Any:
    regions = sorted(
        (
            each.region,
            each.kind,
            each.x0,
            each.finding,
            each.place,
            each.verdict,
            each.status,
            each.deleted,
            each.origin,
        )
        for each in rows(store, Region)
    )
    items = sorted((each.row, each.regions, each.open, each.conflicts, each.tagged) for each in rows(store, Item))
    findings = sorted((each.finding, each.verdict, each.status, each.regions) for each in rows(store, Finding))
    return str(regions), items, str(findings)


def test_decisions_are_never_moved_to_another_finding(registered: Store, review_workspace: Study) -> None:
    with registered.writing() as session:
        decide(session, RUN, ANN, DecisionRequest(key="request-1", target=Target(finding="F01"), verdict="accepted"))
    path = review_workspace.run / "findings.json"
    findings = read_json(path)["findings"]
    write_json(path, {"findings": [{**findings[0], "kind": "device"}, *findings[1:]]})
    with pytest.raises(IntegrityError, match="never move"):
        register(registered, review_workspace.run, review_workspace.dataset)
    assert rows(registered, Finding, Finding.finding == "F01")[0].verdict == "accepted"
