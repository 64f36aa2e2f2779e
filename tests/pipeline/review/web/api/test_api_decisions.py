"""Decisions, regions, undo, two readers, over HTTP."""

from __future__ import annotations

import json

import pytest

from tests.pipeline.review.study import RUN

AUDIT = f"/api/audits/{RUN}"
BOX = {"x0": 30, "y0": 30, "x1": 50, "y1": 44}


def test_a_decision_is_made_once_however_often_it_is_sent(rosa, images):
    [region] = rosa.regions(images[0], "side")
    request = {"key": "decision-1", "target": {"regions": [region]}, "verdict": "accepted"}
    first = rosa.post(f"{AUDIT}/decisions", json=request)
    assert first.status_code == 200
    outcome = first.json()
    assert (outcome["regions"], outcome["images"], outcome["focus"], outcome["repeated"]) == (1, 1, images[0], False)
    assert rosa.post(f"{AUDIT}/decisions", json=request).json() == {**outcome, "repeated": True}
    [view] = [each for each in rosa.get(f"{AUDIT}/images/{images[0]}").json()["regions"] if each["region_id"] == region]
    assert (view["verdict"], view["status"], view["by_rule"], view["own"]) == ("accepted", "decided", False, "accepted")
    assert len(rosa.get(f"{AUDIT}/images/{images[0]}/history").json()) == 1


def test_reach_counts_and_changes_nothing(rosa, images):
    [region] = rosa.regions(images[0], "side")
    target = {"regions": [region], "scope": "same-text-and-place"}
    reach = rosa.post(f"{AUDIT}/decisions/reach", json=target).json()
    assert (reach["regions"], reach["images"], reach["by_kind"], reach["decided"]) == (24, 24, {"side": 24}, 0)
    assert rosa.get(AUDIT).json()["revision"] == reach["revision"]
    outcome = rosa.decide(target, verdict="accepted", revision=reach["revision"])
    assert outcome["regions"] == 24


def test_a_second_reviewer_is_told_what_changed(rosa, rudi, images):
    [region] = rosa.regions(images[0], "side")
    version = rudi.version(images[0])
    rosa.decide({"regions": [region]}, verdict="accepted")
    request = {
        "key": "decision-2",
        "target": {"regions": [region]},
        "verdict": "keep",
        "expected": {images[0]: version},
    }
    refused = rudi.post(f"{AUDIT}/decisions", json=request)
    assert refused.status_code == 409
    error = refused.json()["error"]
    [change] = error["changes"]
    assert (change["reviewer"], change["subject_id"], change["action"]) == ("rosa", region, "decide")
    assert "rosa" in error["message"]
    request["expected"] = {images[0]: rudi.version(images[0])}
    assert rudi.post(f"{AUDIT}/decisions", json=request).status_code == 200


def test_undo_and_redo(rosa, images):
    [region] = rosa.regions(images[0], "side")
    assert rosa.post(f"{AUDIT}/undo", json={"key": "undo-nothing"}).status_code == 400
    rosa.decide({"regions": [region]}, verdict="accepted")
    undone = rosa.post(f"{AUDIT}/undo", json={"key": "undo-one"}).json()
    assert (undone["action"], undone["focus"]) == ("undo", images[0])
    assert rosa.verdict(images[0], region) is None
    assert rosa.post(f"{AUDIT}/redo", json={"key": "redo-one"}).json()["action"] == "redo"
    assert rosa.verdict(images[0], region) == "accepted"
    assert rosa.post(f"{AUDIT}/redo", json={"key": "redo-nothing"}).status_code == 400


def test_regions_are_drawn_changed_and_deleted(rosa, images):
    drawn = {
        "key": "draw-one",
        "image_id": images[0],
        "kind": "device",
        "box": BOX,
        "expected": rosa.version(images[0]),
    }
    assert rosa.post(f"{AUDIT}/regions", json=drawn).json()["action"] == "draw"
    [region] = rosa.regions(images[0], "device")
    moved = {"key": "move-one", "box": {**BOX, "x1": 60}, "expected": rosa.version(images[0])}
    assert rosa.patch(f"{AUDIT}/regions/{region}", json=moved).json()["action"] == "change"
    view = rosa.region(images[0], region)
    assert (view["box"]["x1"], view["origin"]) == (60, "drawn")
    gone = {"key": "delete-one", "expected": rosa.version(images[0])}
    assert rosa.post(f"{AUDIT}/regions/{region}/delete", json=gone).json()["action"] == "delete"
    assert rosa.regions(images[0], "device") == []
    again = {"key": "delete-two", "expected": rosa.version(images[0])}
    assert rosa.post(f"{AUDIT}/regions/{region}/delete", json=again).status_code == 400
    assert rosa.post(f"{AUDIT}/regions/{'0' * 16}/delete", json=again).status_code == 404


def test_what_is_not_there_cannot_be_decided(rosa):
    for target in ({"regions": ["0" * 16]}, {"finding": "F99"}, {"images": ["0" * 64], "scope": "selected"}):
        request = {"key": "nothing-there", "target": target, "verdict": "keep"}
        assert rosa.post(f"{AUDIT}/decisions", json=request).status_code == 404
        assert rosa.post(f"{AUDIT}/decisions/reach", json=target).status_code == 404
    request = {"key": "no-region", "target": {"finding": "F03"}, "verdict": "accepted"}
    assert rosa.post(f"{AUDIT}/decisions", json=request).status_code == 400, "a trait cannot be removed"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"key": "short"},
        {"key": "long-enough", "target": {}, "verdict": "keep"},
        {"key": "long-enough", "target": {"finding": "F01", "regions": ["0" * 16]}, "verdict": "keep"},
        {"key": "long-enough", "target": {"finding": "F01"}, "verdict": "perhaps"},
        {"key": "long-enough", "target": {"finding": "F01"}},
        {"key": "long-enough", "target": {"finding": "F01"}, "verdict": "keep", "comment": "x" * 2001},
        {"key": "long-enough", "target": {"finding": "F01"}, "verdict": "keep", "reviewer": "rudi"},
    ],
)
def test_a_request_of_another_form_is_refused(rosa, broken):
    answer = rosa.post(f"{AUDIT}/decisions", json=broken)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("expected", [-(10**30), -1, 10**30])
def test_versions_and_revisions_of_any_size_are_no_error_of_the_server(rosa, images, expected):
    [region] = rosa.regions(images[0], "side")
    request = {"key": "large-number", "target": {"regions": [region]}, "verdict": "keep"}
    seen = {**request, "expected": {images[0]: expected}}
    assert rosa.post(f"{AUDIT}/decisions", json=seen).status_code in (200, 409, 422)
    assert rosa.post(f"{AUDIT}/decisions", json={**request, "revision": expected}).status_code in (200, 400, 409, 422)
    tag = {"key": "large-tag", "tagged": True, "expected": expected}
    assert rosa.post(f"{AUDIT}/images/{images[0]}/tag", json=tag).status_code in (200, 409, 422)


def test_a_comment_that_no_database_can_hold_is_refused(rosa, images):
    [region] = rosa.regions(images[0], "side")
    for comment in ("\x00", "\ud800"):
        request = {"key": "odd-comment", "target": {"regions": [region]}, "verdict": "keep", "comment": comment}
        answer = rosa.post(
            f"{AUDIT}/decisions", content=json.dumps(request), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422


def test_viewers_decide_nothing(vera, rosa, images):
    [region] = rosa.regions(images[0], "side")
    before = vera.get(AUDIT).json()
    decision = {"key": "viewer-one", "target": {"regions": [region]}, "verdict": "keep"}
    draw = {"key": "viewer-two", "image_id": images[0], "kind": "device", "box": BOX, "expected": 0}
    for method, path, body in (
        ("POST", "decisions", decision),
        ("POST", "decisions/reach", decision["target"]),
        ("POST", "undo", {"key": "viewer-undo"}),
        ("POST", "redo", {"key": "viewer-redo"}),
        ("POST", "regions", draw),
        ("PATCH", f"regions/{region}", {"key": "viewer-move", "box": BOX, "expected": 0}),
        ("POST", f"regions/{region}/delete", {"key": "viewer-delete", "expected": 0}),
    ):
        assert vera.request(method, f"{AUDIT}/{path}", json=body).status_code == 403, path
    assert vera.get(AUDIT).json() == before


def test_two_readers_agree_or_a_third_decides(ada, rosa, rudi, images):
    ada.patch(AUDIT, json={"readers": 2})
    first, second = (rosa.regions(image, "side")[0] for image in images[:2])
    rosa.decide({"regions": [first, second]}, verdict="accepted")
    rudi.decide({"regions": [first]}, verdict="accepted")
    rudi.decide({"regions": [second]}, verdict="keep")
    [kappa] = rosa.get(f"{AUDIT}/agreement").json()
    assert (kappa["readers"], kappa["both"], kappa["agree"]) == (["rosa", "rudi"], 2, 1)
    page = rosa.get(f"{AUDIT}/conflicts").json()
    assert (page["total"], [each["subject_id"] for each in page["items"]]) == (1, [second])
    ada.decide({"regions": [second]}, verdict="accepted")
    assert rosa.get(f"{AUDIT}/conflicts").json()["total"] == 0
    assert rosa.verdict(images[1], second) == "accepted"
