"""Audits, findings, facets and settings, over HTTP."""

from __future__ import annotations

import pytest

from pipeline.review.backend import Job
from tests.pipeline.review.study import RUN


def test_me_says_who_is_signed_in(rosa, vera):
    assert rosa.get("/api/me").json() == {"name": "rosa", "role": "reviewer"}
    assert vera.get("/api/me").json() == {"name": "vera", "role": "viewer"}


def test_whoever_signed_in_again_learns_the_new_sessions_token(signed_in):
    first, second = signed_in("rosa"), signed_in("rosa")
    tokens = [each.get("/api/me").headers["X-CSRF-Token"] for each in (first, second)]
    assert tokens == [first.headers["X-CSRF-Token"], second.headers["X-CSRF-Token"]]
    assert tokens[0] != tokens[1]


def test_nobody_sees_anything_without_signing_in(anybody):
    for path in ("/api/me", "/api/audits", f"/api/audits/{RUN}", "/api/audits/none", f"/api/audits/{RUN}/images"):
        answer = anybody.get(path)
        assert answer.status_code == 401
        assert answer.json()["error"]["message"]


def test_audits_are_listed_with_counts(vera):
    [audit] = vera.get("/api/audits").json()
    assert audit == vera.get(f"/api/audits/{RUN}").json()
    assert (audit["run"], audit["dataset"], audit["images"], audit["classes"]) == (
        RUN,
        "tiny/v1",
        24,
        ["clear", "opacity"],
    )
    assert audit["findings"] == {"confirmed": 1, "suspected": 2, "not-confirmed": 1}
    assert (audit["state"], audit["report"]) == ("awaiting review", False)


def test_an_audit_whose_run_was_removed_is_not_listed(vera, review_workspace):
    review_workspace.run.rename(review_workspace.run.parents[1] / "removed")
    assert vera.get("/api/audits").json() == []
    assert vera.get("/").status_code == 200


@pytest.mark.parametrize(
    ("job", "state"),
    [
        ("waiting", "repairing"),
        ("running", "repairing"),
        ("failed", "failed"),
        ("complete", "complete"),
        ("none", "awaiting review"),
        ("cancelled", "awaiting review"),
    ],
)
def test_the_state_is_that_of_the_repair(vera, backend, job, state):
    backend.current = Job(state=job)
    assert vera.get(f"/api/audits/{RUN}").json()["state"] == state


def test_a_comparison_makes_an_audit_complete_and_a_report_alone_does_not(vera, review_workspace):
    (review_workspace.run / "report.html").write_text("<p>")
    audit = vera.get(f"/api/audits/{RUN}").json()
    assert (audit["state"], audit["report"]) == ("awaiting review", True)
    (review_workspace.run / "comparison.json").write_text("{}")
    assert vera.get(f"/api/audits/{RUN}").json()["state"] == "complete"


def test_an_audit_with_nothing_left_is_reviewed(rosa, images):
    for number, finding in enumerate(rosa.get(f"/api/audits/{RUN}/findings").json()):
        request = {"key": f"finding-{number}", "target": {"finding": finding["id"]}, "verdict": "rejected"}
        assert rosa.post(f"/api/audits/{RUN}/decisions", json=request).status_code == 200
    everything = {"images": images, "scope": "selected"}
    rosa.post(f"/api/audits/{RUN}/decisions", json={"key": "all-regions", "target": everything, "verdict": "keep"})
    audit = rosa.get(f"/api/audits/{RUN}").json()
    assert (audit["open"], audit["findings_open"], audit["state"]) == (0, 0, "reviewed")


@pytest.mark.parametrize("run", ["nothing", "%2e%2e", "0123"])
def test_an_unknown_audit_is_not_found(vera, run):
    for rest in ("", "/findings", "/facets", "/images", "/next", "/agreement", "/conflicts", "/plan", "/repair"):
        answer = vera.get(f"/api/audits/{run}{rest}")
        assert answer.status_code == 404, rest
        assert answer.headers["content-type"] == "application/json"


def test_findings_are_ranked_and_one_can_be_asked_for(vera):
    findings = vera.get(f"/api/audits/{RUN}/findings").json()
    assert [each["id"] for each in findings] == ["F01", "F02", "F03", "F04"]
    assert vera.get(f"/api/audits/{RUN}/findings/F02").json() == findings[1]
    assert "accepted" in findings[0]["decidable"]
    assert "accepted" not in findings[2]["decidable"]
    assert vera.get(f"/api/audits/{RUN}/findings/F99").status_code == 404
    assert vera.get(f"/api/audits/{RUN}/findings/F%2099").status_code == 422


def test_facets_count_images(vera):
    facets = vera.get(f"/api/audits/{RUN}/facets", params={"label": "opacity"}).json()
    assert {"value": "side", "images": 12} in facets["kind"]
    assert {each["value"]: each["images"] for each in facets["label"]} == {"clear": 12, "opacity": 12}
    assert vera.get(f"/api/audits/{RUN}/facets", params={"color": "red"}).status_code == 422


def test_an_admin_changes_how_an_audit_is_read(ada, rosa, vera):
    audit = ada.patch(f"/api/audits/{RUN}", json={"readers": 2, "blind": False}).json()
    assert (audit["readers"], audit["blind"]) == (2, False)
    assert vera.get(f"/api/audits/{RUN}").json() == audit
    for other in (rosa, vera):
        assert other.patch(f"/api/audits/{RUN}", json={"readers": 1}).status_code == 403
    assert vera.get(f"/api/audits/{RUN}").json()["readers"] == 2
    assert ada.patch(f"/api/audits/{RUN}", json={"readers": 3}).status_code == 422
    assert ada.patch("/api/audits/nothing", json={"readers": 1}).status_code == 404


def test_a_change_without_the_csrf_token_is_refused(ada):
    assert ada.patch(f"/api/audits/{RUN}", json={"readers": 2}, headers={"X-CSRF-Token": "other"}).status_code == 403
    assert ada.get(f"/api/audits/{RUN}").json()["readers"] == 1
