"""One image as the viewer gets it: what is told, and what is kept from whom."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.review.store import Store
from pipeline.review.store.conflict import Missing
from pipeline.review.store.decisions import decide
from pipeline.review.store.register import register
from pipeline.review.store.tables import Run
from pipeline.review.store.views import image_view
from pipeline.review.values import Actor, DecisionRequest, ImageView, Target
from tests.pipeline.review.study import RUN, Study, image_id

ANN, BEN, ADA = Actor(name="ann", role="reviewer"), Actor(name="ben", role="reviewer"), Actor(name="ada", role="admin")


@pytest.fixture
def view(store: Store, review_workspace: Study) -> Any:
    register(store, review_workspace.run, review_workspace.dataset)

    def of(row: int, actor: Actor = ANN, *, sees_identifiers: bool = False) -> ImageView:
        with store.reading() as session:
            image, data = image_id(RUN, row), review_workspace.dataset
            return image_view(session, RUN, image, actor, data, sees_identifiers=sees_identifiers)

    return of


def decide_all(store: Store, actor: Actor, verdict: str, row: int, *, readers: int = 1) -> None:
    with store.writing() as session:
        session.get_one(Run, RUN).readers = readers
        target = Target(images=(image_id(RUN, row),), scope="selected")
        decide(session, RUN, actor, DecisionRequest(key=f"request-{actor.name}", target=target, verdict=verdict))  # type: ignore[arg-type]


def test_what_belongs_to_the_image(view: Any) -> None:
    found = view(1)
    assert (found.name, found.row, found.size, found.dtype, found.bits) == ("image 1", 1, 64, "uint16", 12)
    assert found.transform == {"scale": 0.5, "pad_x": 0.0, "pad_y": 8.0, "width": 128.0, "height": 96.0}
    assert (found.methods, found.status, found.version) == (("grad-cam", "igos++-fast"), "open", 1)
    assert [(each.kind, each.text, each.place) for each in found.regions] == [
        ("side", "L", "top-left"),
        ("position", "PORTABLE", "top-right"),
    ]
    assert [each.look_alikes for each in found.regions] == [24, 15]


def test_similar_images_share_most_clusters_then_score_highest(view: Any) -> None:
    similar = view(1).similar
    assert len(similar) == 12
    assert similar[0] == image_id(RUN, 3)
    assert image_id(RUN, 1) not in similar
    assert set(similar) <= {image_id(RUN, row) for row in range(24) if row % 2 or row % 8 == 4}


def test_a_blind_image_keeps_its_answers_until_it_is_decided(store: Store, view: Any) -> None:
    answers = ("label", "predicted", "probabilities", "source", "split", "view", "explained_class", "saliency_cluster",
               "path")  # fmt: skip
    found = view(1, ADA, sees_identifiers=True)
    assert found.hidden
    assert {getattr(found, name) for name in answers} == {None}
    assert not {"opacity", "clear"} & set(str(found.regions).replace("'", " ").split())
    decide_all(store, ANN, "keep", 1)
    found = view(1, ADA, sees_identifiers=True)
    assert not found.hidden
    assert (found.label, found.predicted, found.source, found.split, found.explained_class) == (
        "opacity", "opacity", "hospital-a", "val", "opacity",
    )  # fmt: skip
    assert found.regions[1].effect["class"] == "opacity"


def test_identifiers_are_told_only_to_those_who_may_see_them(store: Store, view: Any) -> None:
    decide_all(store, ANN, "keep", 1)
    assert (view(1).path, view(1).patient_id) == (None, None)
    told = view(1, ADA, sees_identifiers=True)
    assert (told.path, told.patient_id) == ("images/001.png", "tiny:patient-0")


def test_a_rule_decides_regions_that_have_no_verdict_of_their_own(store: Store, view: Any) -> None:
    with store.writing() as session:
        target = Target(finding="F01")
        decide(session, RUN, ANN, DecisionRequest(key="request-1", target=target, verdict="accepted"))
        target = Target(regions=(view(3).regions[1].region_id,))
        decide(session, RUN, ANN, DecisionRequest(key="request-2", target=target, verdict="keep"))
    ruled, own = view(1).regions[1], view(3).regions[1]
    assert (ruled.verdict, ruled.by_rule, ruled.status, ruled.own) == ("accepted", True, "decided", None)
    assert (own.verdict, own.by_rule, own.status, own.own) == ("keep", False, "decided", "keep")


def test_another_reader_is_counted_and_not_quoted(store: Store, view: Any) -> None:
    decide_all(store, ANN, "rejected", 2, readers=2)
    (marker,) = view(2, BEN).regions
    assert (marker.status, marker.own, marker.others, marker.verdict) == ("second", None, 1, None)
    decide_all(store, BEN, "keep", 2, readers=2)
    (marker,) = view(2, BEN).regions
    assert (marker.status, marker.own, marker.others, marker.verdict) == ("conflict", "keep", 1, None)


def test_an_unknown_image_is_missing(store: Store, view: Any) -> None:
    with pytest.raises(Missing, match="no image"):
        view(99)
