"""The gallery, the next image, one image, its history and its tag, over HTTP."""

from __future__ import annotations

import pytest

from tests.pipeline.review.study import RUN

AUDIT = f"/api/audits/{RUN}"
NOBODY = "f" * 64


def test_the_gallery_is_a_window(vera, images):
    first = vera.get(f"{AUDIT}/images", params={"sort": "row", "limit": 10}).json()
    second = vera.get(f"{AUDIT}/images", params={"sort": "row", "limit": 500, "offset": 10}).json()
    assert (first["total"], first["offset"], second["offset"]) == (24, 0, 10)
    assert [each["image_id"] for each in first["items"] + second["items"]] == images
    by_score = vera.get(f"{AUDIT}/images").json()["items"]
    scores = [each["score"] for each in by_score]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


def test_filters_narrow_the_gallery(vera, images):
    found = vera.get(f"{AUDIT}/images", params={"sort": "row", "source": "hospital-b"}).json()
    assert [each["image_id"] for each in found["items"]] == images[7::8]
    found = vera.get(f"{AUDIT}/images", params={"kind": "arrow", "label": "clear", "sort": "row"}).json()
    assert [each["image_id"] for each in found["items"]] == images[0::6]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "offset=-1", "sort=name", "kind=cat", "score_min=2", "x=1"])
def test_a_query_that_is_none_is_refused(vera, query):
    answer = vera.get(f"{AUDIT}/images?{query}")
    assert answer.status_code == 422
    assert set(answer.json()["error"]) >= {"code", "message"}


def test_next_goes_through_the_images_that_fit(vera, images):
    query = {"sort": "row", "kind": "arrow"}
    found = vera.get(f"{AUDIT}/next", params=query).json()
    assert (found["image_id"], found["total"], found["left"]) == (images[0], 8, 8)
    found = vera.get(f"{AUDIT}/next", params={**query, "image": images[0]}).json()
    assert (found["image_id"], found["position"]) == (images[3], 1)
    found = vera.get(f"{AUDIT}/next", params={**query, "image": images[3], "direction": "previous"}).json()
    assert (found["image_id"], found["position"]) == (images[0], 2)


def test_next_skips_what_is_decided(rosa, images):
    rosa.decide({"images": images[1:3], "scope": "selected"})
    query = {"sort": "row", "image": images[0], "skip_decided": True}
    assert rosa.get(f"{AUDIT}/next", params=query).json()["image_id"] == images[3]
    assert rosa.get(f"{AUDIT}/next", params={**query, "skip_decided": False}).json()["image_id"] == images[1]


def test_an_image_says_what_is_known_of_it(ada, images):
    ada.patch(AUDIT, json={"blind": False})
    view = ada.get(f"{AUDIT}/images/{images[1]}").json()
    assert (view["row"], view["size"], view["dtype"], view["bits"]) == (1, 64, "uint16", 12)
    assert view["transform"] == {"scale": 0.5, "pad_x": 0.0, "pad_y": 8.0, "width": 128, "height": 96}
    assert (view["label"], view["predicted"], view["path"]) == ("opacity", "opacity", "images/001.png")
    assert {each["kind"] for each in view["regions"]} == {"side", "position"}
    assert sorted(view["methods"]) == ["grad-cam", "igos++-fast"]
    assert view["lungs"] is False


def test_what_was_computed_later_is_told(ada, images):
    image = images[20]
    assert ada.get(f"{AUDIT}/images/{image}").json()["methods"] == []
    assert ada.get(f"{AUDIT}/images/{image}/saliency/dance:lrp?compute=true").status_code == 200
    assert ada.get(f"{AUDIT}/images/{image}").json()["methods"] == ["dance:lrp"]


def test_identifiers_are_for_roles_that_may_see_them(ada, rosa, vera, images):
    ada.patch(AUDIT, json={"blind": False})
    shown = ada.get(f"{AUDIT}/images/{images[2]}").json()
    assert (shown["path"], shown["patient_id"]) == ("images/002.png", "tiny:patient-1")
    for masked in (rosa, vera):
        answer = masked.get(f"{AUDIT}/images/{images[2]}")
        assert (answer.json()["path"], answer.json()["patient_id"]) == (None, None)
        assert "patient-1" not in answer.text
        assert "002.png" not in answer.text


def test_what_is_not_in_the_audit_is_not_found(ada):
    for rest in ("", "/pixels", "/thumbnail", "/saliency/grad-cam", "/lungs", "/cleansed?rule=in-force", "/history"):
        assert ada.get(f"{AUDIT}/images/{NOBODY}{rest}").status_code == 404, rest
        assert ada.get(f"{AUDIT}/images/..%2f..%2frun.json{rest}").status_code in (404, 422), rest
        assert ada.get(f"{AUDIT}/images/0{rest}").status_code == 422, rest


def test_an_image_is_tagged_for_a_second_reader(rosa, vera, images):
    version = rosa.version(images[0])
    request = {"key": "tag-image-0", "tagged": True, "expected": version}
    outcome = rosa.post(f"{AUDIT}/images/{images[0]}/tag", json=request).json()
    assert outcome["action"] == "tag"
    assert rosa.get(f"{AUDIT}/images/{images[0]}").json()["tagged"] is True
    assert rosa.post(f"{AUDIT}/images/{images[0]}/tag", json=request).json() == {**outcome, "repeated": True}
    assert vera.post(f"{AUDIT}/images/{images[0]}/tag", json=request).status_code == 403
    assert rosa.post(f"{AUDIT}/images/{NOBODY}/tag", json=request).status_code == 404
    found = rosa.get(f"{AUDIT}/images", params={"tagged": True}).json()
    assert [each["image_id"] for each in found["items"]] == images[:1]


def test_history_tells_who_decided_what(rosa, rudi, images):
    regions = rosa.regions(images[0])
    rosa.decide({"regions": [regions[0]]}, verdict="keep", comment="a scar")
    rudi.decide({"regions": [regions[0]]}, verdict="rejected", expected={})
    records = rosa.get(f"{AUDIT}/images/{images[0]}/history").json()
    assert [(each["reviewer"], each["verdict"], each["comment"]) for each in records] == [
        ("rudi", "rejected", ""),
        ("rosa", "keep", "a scar"),
    ]
    assert records[0]["software"].startswith("cxr-audit ")
    older = rosa.get(f"{AUDIT}/images/{images[0]}/history", params={"before": records[0]["id"], "limit": 1}).json()
    assert older == records[1:]
    assert rosa.get(f"{AUDIT}/images/{images[1]}/history").json() == []
