"""What other stages and people outside get of a review: what is in force, and the log as files."""

from __future__ import annotations

import csv
import io
import json

from sqlalchemy import select

from pipeline.review.store import Store
from pipeline.review.store.edits import change, delete, draw
from pipeline.review.store.exports import decisions_csv, decisions_json
from pipeline.review.store.history import undo
from pipeline.review.store.in_force import COLUMNS, in_force
from pipeline.review.store.tables import Region
from pipeline.review.values import BoxValue, ChangeRequest, DeleteRequest, DrawRequest, StepRequest
from tests.pipeline.review.acting import ANN, BEN, CLEO, act, new_key, say
from tests.pipeline.review.study import image_id, large_run, region_id

BOX = BoxValue(x0=10, y0=10, x1=30, y1=20)


def test_nothing_is_in_force_before_anybody_decides(store: Store) -> None:
    run = large_run(store, 2)
    with store.reading() as session:
        found = in_force(session, run)
    assert (found.findings, len(found.regions), found.revision) == ({}, 0, 0)
    assert tuple(found.regions.columns) == COLUMNS


def test_verdicts_in_force_say_whose_they_are_and_why(any_store: Store) -> None:
    run = large_run(any_store, 3, readers=2)
    say(any_store, run, ANN, "accepted", finding="F01", comment="printed later")
    say(any_store, run, BEN, "accepted", finding="F01", comment="seen on all")
    say(any_store, run, ANN, "keep", finding="F02")
    for actor, verdict in ((ANN, "keep"), (BEN, "rejected"), (CLEO, "accepted")):
        say(any_store, run, actor, verdict, regions=[region_id(run, 0, 0)], comment=f"{actor.name}'s")
    with any_store.reading() as session:
        found = in_force(session, run)
    [(finding, ruling)] = found.findings.items()
    assert (finding, ruling.verdict, ruling.reviewers) == ("F01", "accepted", ("ann", "ben"))
    assert ruling.comment == "printed later\nseen on all"
    [row] = found.regions.to_dict("records")
    assert (row["region_id"], row["verdict"], row["decided_by"]) == (region_id(run, 0, 0), "accepted", "cleo")
    assert (found.readers, found.revision) == (2, 6)


def test_regions_are_those_that_people_judged_or_changed(store: Store) -> None:
    run = large_run(store, 4)
    asked = DrawRequest(key=new_key(), image_id=image_id(run, 0), kind="word", box=BOX, expected=9)
    act(store, draw, run, ANN, asked)
    act(store, draw, run, BEN, asked)
    act(store, undo, run, BEN, StepRequest(key=new_key()))
    act(store, change, run, ANN, region_id(run, 1, 0), ChangeRequest(key=new_key(), box=BOX, expected=9))
    act(store, delete, run, ANN, region_id(run, 2, 0), DeleteRequest(key=new_key(), expected=9))
    say(store, run, ANN, "keep", regions=[region_id(run, 3, 0)])
    say(store, run, ANN, "accepted", finding="F02")
    with store.reading() as session:
        table = in_force(session, run).regions.set_index("region_id")
        [drawn] = session.scalars(select(Region.region).where(Region.origin == "drawn", ~Region.deleted)).all()
    assert set(table.index) == {drawn, *(region_id(run, row, 0) for row in (1, 2, 3))}
    assert table.loc[drawn, ["origin", "edited", "deleted", "kind"]].to_list() == ["drawn", True, False, "word"]
    assert table.loc[region_id(run, 1, 0), ["x0", "y0", "x1", "y1", "edited"]].to_list() == [10, 10, 30, 20, True]
    assert table.loc[region_id(run, 2, 0), ["deleted", "edited"]].to_list() == [True, False]
    assert table.loc[region_id(run, 3, 0), ["verdict", "decided_by", "edited"]].to_list() == ["keep", "ann", False]
    assert table.loc[[drawn, region_id(run, 1, 0)], "verdict"].isna().all()


def test_exports_hold_the_whole_log_and_no_formula(any_store: Store) -> None:
    run = large_run(any_store, 2)
    comments = ["=HYPERLINK(1)", "+1", "-1", "@sum", "\tcmd", 'plain, "quoted"\nand long']
    for comment in comments:
        say(any_store, run, ANN, "keep", regions=[region_id(run, 0, 0)], comment=comment)
    say(any_store, run, ANN, None, regions=[region_id(run, 0, 0)])
    with any_store.reading() as session:
        text, values = decisions_csv(session, run), decisions_json(session, run)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["comment"] for row in rows] == [*(f"'{comment}" for comment in comments[:5]), comments[5], ""]
    assert [row["verdict"] for row in rows] == ["keep"] * 6 + [""]
    assert rows[0]["reviewer"] == "ann"
    assert rows[0]["at"].endswith("Z")
    assert [entry["comment"] for entry in json.loads(json.dumps(values))["decisions"]] == [*comments, ""]
    assert (values["run"], values["readers"]) == (run, 1)


def test_exports_do_not_tell_a_reader_what_the_other_decided_before(store: Store) -> None:
    run = large_run(store, 2, readers=2)
    say(store, run, ANN, "keep", regions=[region_id(run, 0, 0)])
    with store.reading() as session:
        assert decisions_json(session, run, BEN)["decisions"] == []
        assert len(decisions_csv(session, run, BEN).splitlines()) == 1
        assert len(decisions_csv(session, run, ANN).splitlines()) == 2
