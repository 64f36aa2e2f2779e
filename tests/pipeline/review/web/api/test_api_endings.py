"""Others are told when the last open thing of an audit was decided, and nobody who decides waits for them."""

from __future__ import annotations

import threading

import pytest

from tests.pipeline.review.study import RUN

AUDIT = f"/api/audits/{RUN}"


@pytest.fixture
def told(backend, ended):
    """What the backend was told, once the threads that tell it have ended."""

    def read():
        ended()
        return backend.told

    return read


@pytest.fixture
def ended():
    def wait():
        for thread in threading.enumerate():
            if thread.name == "reviewed":
                thread.join(10)

    return wait


def decide_findings(person):
    for finding in person.get(f"{AUDIT}/findings").json():
        person.decide({"finding": finding["id"]}, verdict="rejected")


def test_the_last_decision_is_told_once(rosa, images, told):
    decide_findings(rosa)
    assert told() == []  # regions of no finding are left
    everything = {"images": images, "scope": "selected"}
    rosa.decide(everything)
    assert told() == [(RUN, "rosa")]
    rosa.decide(everything, verdict="unsure")
    assert told() == [(RUN, "rosa")]  # nothing was open before


def test_what_was_opened_again_is_told_again(rosa, images, told):
    rosa.decide({"images": images, "scope": "selected"})
    decide_findings(rosa)
    assert told() == [(RUN, "rosa")]
    assert rosa.post(f"{AUDIT}/undo", json={"key": "undo-last"}).status_code == 200
    assert told() == [(RUN, "rosa")]
    assert rosa.post(f"{AUDIT}/redo", json={"key": "redo-last"}).status_code == 200
    assert told() == [(RUN, "rosa")] * 2


def test_the_last_region_may_be_deleted_instead(rosa, images, told):
    decide_findings(rosa)
    rosa.decide({"images": images, "scope": "selected"})
    box = {"x0": 2, "y0": 70, "x1": 20, "y1": 90}
    drawn = {"key": "draw-one", "image_id": images[0], "kind": "date", "box": box}
    assert rosa.post(f"{AUDIT}/regions", json={**drawn, "expected": rosa.version(images[0])}).status_code == 200
    [region] = [each for each in rosa.image(images[0])["regions"] if each["status"] == "open"]
    request = {"key": "delete-one", "expected": rosa.version(images[0])}
    assert rosa.post(f"{AUDIT}/regions/{region['region_id']}/delete", json=request).status_code == 200
    assert told() == [(RUN, "rosa")] * 2


def test_who_cannot_be_told_neither_delays_nor_fails_a_decision(rosa, images, backend, ended, caplog):
    go_on = threading.Event()

    def fail():
        go_on.wait(10)
        raise OSError("nobody is there")

    backend.telling = fail
    decide_findings(rosa)
    rosa.decide({"images": images, "scope": "selected"})  # answered while `fail` waits
    assert not go_on.is_set()
    go_on.set()
    ended()
    assert "nobody could be told: nobody is there" in caplog.text
    assert rosa.get(AUDIT).json()["state"] == "reviewed"
