"""What is hidden: label, prediction and source before a decision; the other reader's verdict before one's own."""

from __future__ import annotations

import json
import re

import pytest

from tests.pipeline.review.study import RUN

AUDIT = f"/api/audits/{RUN}"
TELLING = (
    "label",
    "predicted",
    "probabilities",
    "source",
    "split",
    "view",
    "explained_class",
    "saliency_cluster",
    "path",
    "patient_id",
)


@pytest.fixture(autouse=True)
def blind(ada):
    assert ada.patch(AUDIT, json={"blind": True}).status_code == 200


def test_an_undecided_image_says_nothing_of_its_class(ada, images):
    # Image 1: an opacity of hospital-a, predicted as opacity, explained for opacity, in a cluster of opacities.
    answer = ada.get(f"{AUDIT}/images/{images[1]}")
    view = answer.json()
    assert view["hidden"] is True
    assert {name: view[name] for name in TELLING} == dict.fromkeys(TELLING)
    assert "hospital" not in answer.text
    for region in view["regions"]:
        assert "opacity" not in json.dumps(region["effect"])
        assert "clear" not in json.dumps(region["effect"])


def test_a_decided_image_says_all(ada, images):
    ada.decide({"images": [images[1]], "scope": "selected"})
    view = ada.get(f"{AUDIT}/images/{images[1]}").json()
    assert view["hidden"] is False
    assert (view["label"], view["predicted"], view["source"]) == ("opacity", "opacity", "hospital-a")
    assert (view["saliency_cluster"], view["path"]) == ("opacity/0", "images/001.png")
    assert view["probabilities"]["opacity"] == pytest.approx(0.9)


def test_cells_of_the_gallery_say_as_little(ada, images):
    ada.decide({"images": [images[1]], "scope": "selected"})
    page = ada.get(f"{AUDIT}/images", params={"sort": "row"})
    for cell in page.json()["items"]:
        shown = (cell["label"], cell["predicted"], cell["source"])
        assert shown == (("opacity", "opacity", "hospital-a") if cell["image_id"] == images[1] else (None, None, None))


def test_no_filter_tells_the_class_of_what_another_filter_leaves(ada, images):
    score = ada.image(images[1])["score"]
    whole, one = (
        ada.get(f"{AUDIT}/facets", params=query).json() for query in ({}, {"score_min": score, "finding": "F01"})
    )
    for name in ("label", "source", "split", "saliency_cluster"):
        assert one[name] == whole[name]
    assert one["kind"] != whole["kind"]
    ada.patch(AUDIT, json={"blind": False})
    assert ada.get(f"{AUDIT}/facets", params={"score_min": score, "finding": "F01"}).json()["label"] != whole["label"]


def test_headers_and_history_say_nothing(rosa, images):
    for rest in ("pixels", "thumbnail", "saliency/grad-cam", "history", "cleansed?rule=in-force"):
        answer = rosa.get(f"{AUDIT}/images/{images[1]}/{rest}")
        assert answer.status_code == 200
        told = " ".join([*answer.headers.values()])
        assert "opacity" not in told
        assert "hospital" not in told


def test_a_reader_does_not_see_the_others_verdict_before_the_own(ada, rosa, rudi, images):
    ada.patch(AUDIT, json={"readers": 2})
    [region] = rosa.regions(images[0], "side")
    rosa.decide({"regions": [region]}, verdict="unsure", comment="telling")
    for path in (
        f"images/{images[0]}",
        f"images/{images[0]}/history",
        "export/decisions.csv",
        "export/decisions.json",
        "export/regions.coco.json",
        "agreement",
        "conflicts",
        "images",
        "findings",
        "next",
    ):
        text = re.sub(r'"decidable":\[.*?\]', "", rudi.get(f"{AUDIT}/{path}").text)
        assert "unsure" not in text, path
        assert "telling" not in text, path
        assert "rosa" not in text, path
    assert "telling" in rosa.get(f"{AUDIT}/images/{images[0]}/history").text
    view = rudi.region(images[0], region)
    assert (view["status"], view["own"], view["verdict"], view["others"]) == ("second", None, None, 1)
    rudi.decide({"regions": [region]}, verdict="unsure")
    assert "telling" in rudi.get(f"{AUDIT}/images/{images[0]}/history").text
    assert rudi.verdict(images[0], region) == "unsure"
