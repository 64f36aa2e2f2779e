"""Starting a repair, and the review as files, over HTTP."""

from __future__ import annotations

import csv
import io

import pytest

from tests.pipeline.review.study import RUN

AUDIT = f"/api/audits/{RUN}"


def test_the_plan_and_the_job_are_the_backends(vera):
    assert vera.get(f"{AUDIT}/plan").json()["words"] == [f"Nothing of {RUN} changes."]
    assert vera.get(f"{AUDIT}/repair").json()["state"] == "none"


def test_an_admin_starts_and_stops_a_repair(ada, vera, backend):
    job = ada.post(f"{AUDIT}/repair", json={"key": "repair-one", "device": "cpu"})
    assert (job.status_code, job.json()["state"]) == (200, "running")
    assert backend.asked == [("start", RUN, "ada", "cpu")]
    assert vera.get(f"{AUDIT}/repair").json()["state"] == "running"
    second = ada.post(f"{AUDIT}/repair", json={"key": "repair-two"})
    assert (second.status_code, second.json()["error"]["message"]) == (400, "A repair is at work already.")
    assert ada.post(f"{AUDIT}/repair/cancel").json()["state"] == "cancelled"
    assert ada.post(f"{AUDIT}/repair/cancel").status_code == 400


def test_a_repair_that_is_asked_for_again_is_answered_again(ada, backend):
    first = ada.post(f"{AUDIT}/repair", json={"key": "repair-one"}).json()
    assert ada.post(f"{AUDIT}/repair", json={"key": "repair-one"}).json() == first
    assert len(backend.asked) == 1


def test_a_repair_does_what_its_plan_showed_or_nothing(ada, rosa, images, backend):
    revision = ada.get(AUDIT).json()["revision"]
    rosa.decide({"images": images[:1], "scope": "selected"}, verdict="accepted")
    request = {"key": "repair-one", "revision": revision}
    refused = ada.post(f"{AUDIT}/repair", json=request)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert backend.asked == []
    assert ada.post(f"{AUDIT}/repair", json={**request, "revision": revision + 1}).json()["state"] == "running"


def test_only_admins_repair(rosa, vera, backend):
    for other in (rosa, vera):
        assert other.post(f"{AUDIT}/repair", json={"key": "repair-one"}).status_code == 403
        assert other.post(f"{AUDIT}/repair/cancel").status_code == 403
    assert backend.asked == []


@pytest.mark.parametrize("name", ["decisions.csv", "decisions.json", "regions.coco.json"])
def test_exports_are_files_and_are_logged(vera, name, entries):
    answer = vera.get(f"{AUDIT}/export/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{RUN}-{name}"'
    [entry] = [each for each in entries() if each.action == "export"]
    assert (entry.user, entry.run, entry.detail) == ("vera", RUN, {"file": name})
    assert vera.get(f"/api/audits/nothing/export/{name}").status_code == 404


def test_decisions_are_exported_as_csv_and_json(rosa, images):
    [region] = rosa.regions(images[0], "side")
    rosa.decide({"regions": [region]}, verdict="keep", comment="=1+1")
    answer = rosa.get(f"{AUDIT}/export/decisions.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    [line] = csv.DictReader(io.StringIO(answer.text))
    assert (line["subject_id"], line["verdict"], line["comment"]) == (region, "keep", "'=1+1")
    [entry] = rosa.get(f"{AUDIT}/export/decisions.json").json()["decisions"]
    assert (entry["subject_id"], entry["comment"]) == (region, "=1+1")


def test_coco_has_the_verdicts_in_force(ada, images, review_workspace):
    ada.decide({"finding": "F02"}, verdict="accepted")
    ada.decide({"regions": ada.regions(images[0], "side")}, verdict="keep")
    verdicts = [each["verdict"] for each in ada.get(f"{AUDIT}/export/regions.coco.json").json()["annotations"]]
    kinds = review_workspace.regions["kind"].value_counts()
    assert verdicts.count("keep") == 1
    assert verdicts.count("accepted") == kinds["side"] - 1
    assert verdicts.count("") == kinds.sum() - kinds["side"] + 2, "two residual regions are open too"


def test_coco_names_pictures_by_what_the_role_may_see(ada, rosa, images):
    names = [each["file_name"] for each in ada.get(f"{AUDIT}/export/regions.coco.json").json()["images"]]
    assert names[:2] == ["images/000.png", "images/001.png"]
    names = [each["file_name"] for each in rosa.get(f"{AUDIT}/export/regions.coco.json").json()["images"]]
    assert names == images
