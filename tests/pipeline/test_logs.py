"""Lines of the log are whole, hold what they may hold and nothing else, and workers write them too."""

from __future__ import annotations

import json
import logging
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from pipeline import logs
from pipeline.logs import SharedFile, bound, carried, logging_to, note, timed

OURS = logging.getLogger("cxr_audit.test")
NAME = "Mustermann"


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def test_a_line_holds_context_and_known_fields(tmp_path: Path) -> None:
    before = dict(logs.context())
    with logging_to(tmp_path, logging.INFO), bound(flow="audit", dataset="d"):
        note(run="r1")
        with bound(stage="train"):
            OURS.info("looked", extra={"image_id": "abc", "path": f"/data/{NAME}.dcm", "count": 3})
        OURS.debug("unheard")
        OURS.info("after")
    first, second = lines(tmp_path)
    wanted = {"flow": "audit", "dataset": "d", "run": "r1", "stage": "train", "image_id": "abc", "count": 3}
    assert {name: first.get(name) for name in wanted} == wanted
    assert (first["level"], first["message"], "path" in first) == ("INFO", "looked", False)
    assert (second["message"], second["run"], "stage" in second) == ("after", "r1", False)
    assert logs.context() == before
    OURS.warning("outside")
    assert len(lines(tmp_path)) == 2


def test_words_that_may_quote_are_left_out(tmp_path: Path) -> None:
    with logging_to(tmp_path, logging.INFO):
        logging.getLogger("pydicom").warning("invalid value %s", NAME)
        logging.getLogger("pydicom").info("not even this")
        logging.getLogger("other").error(f"cannot read {NAME}")
        warnings.warn(f"PatientName {NAME}", UserWarning, stacklevel=1)
        OURS.warning("waiting for %s", NAME)
        OURS.info("seen", extra={"reason": Path(NAME), "status": {"a": [1, object()]}})
        with pytest.raises(ValueError, match=NAME), timed(OURS, "stage ended"):
            raise ValueError(NAME)
    told = lines(tmp_path)
    assert NAME not in json.dumps(told)
    assert [line["logger"] for line in told[:3]] == ["pydicom", "other", "cxr_audit.warnings"]
    assert all(line["message"] == "" and "test_logs.py:" in line["at"] for line in told[:2])
    assert (told[2]["error"], told[3]["message"]) == ("UserWarning", "waiting for %s")
    assert (told[4]["reason"], told[4]["status"]) == ("PosixPath", {"a": [1, "object"]})
    assert (told[5]["message"], told[5]["error"], told[5]["seconds"] >= 0) == ("stage ended failed", "ValueError", True)
    assert "test_logs.py:" in told[5]["at"][-1]


def test_logging_is_put_back(tmp_path: Path) -> None:
    before = (list(logging.getLogger().handlers), logging.getLogger("cxr_audit").level, warnings.showwarning)
    with logging_to(tmp_path, logging.DEBUG), logging_to(tmp_path / "inner", logging.ERROR):
        OURS.debug("once")
    assert (list(logging.getLogger().handlers), logging.getLogger("cxr_audit").level, warnings.showwarning) == before
    assert len(lines(tmp_path)) == 1
    assert not (tmp_path / "inner").exists()


def shout(numbers: range) -> None:
    for number in numbers:
        OURS.info("x" * 300, extra={"count": number})


def test_many_processes_tear_nothing_and_rotate(tmp_path: Path) -> None:
    with logging_to(tmp_path, logging.INFO), bound(run="r1"):
        with ProcessPoolExecutor(3, get_context("spawn"), carried()) as pool:
            list(pool.map(shout, [range(start, start + 200) for start in range(0, 600, 200)]))
        told = lines(tmp_path)
    assert sorted(line["count"] for line in told) == list(range(600))
    assert {line["run"] for line in told} == {"r1"}
    assert multiprocessing.current_process().pid not in {line["pid"] for line in told}


def test_files_are_put_away_and_the_oldest_goes(tmp_path: Path) -> None:
    handler = SharedFile(tmp_path, most_bytes=2000, kept=2)
    for number in range(40):
        handler.handle(logging.makeLogRecord({"name": "cxr_audit", "msg": "x" * 200, "count": number}))
    files = sorted(tmp_path.glob("*.jsonl"))
    assert len(files) == 3
    assert all(file.stat().st_size <= 2000 for file in files)
    counts = sorted(line["count"] for line in lines(tmp_path))
    assert counts == list(range(counts[0], 40))


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with logging_to(tmp_path / "file" / "logs", logging.INFO):
        OURS.info("lost")


def test_a_worker_of_several_runs_keeps_them_apart(tmp_path: Path) -> None:
    sent = []
    for run in ("r1", "r2"):
        with logging_to(tmp_path / run, logging.INFO), bound(run=run):
            sent.append(carried())
    for each in sent:
        with each.within():
            OURS.info("part")
    assert [lines(tmp_path / run)[0]["run"] for run in ("r1", "r2")] == ["r1", "r2"]
    with logs.Carried(None, logging.INFO).within():
        OURS.info("nowhere")
