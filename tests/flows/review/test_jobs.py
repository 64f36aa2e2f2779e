"""Repairs started from the page: alone, alive without the server, stopped, and honest about their end."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.progress_file import ProgressFile, read_progress
from flows.results import RunResult
from flows.review import backend, processes
from flows.review.at_work import at_work
from flows.review.jobs import Jobs
from flows.review.ledger import HELD, Ledger
from pipeline.errors import InputError
from pipeline.review.backend import Job

JOBS = Jobs("/somewhere/review.sqlite")


def ended(run: Path) -> Job:
    """The job, once it is not at work any more."""
    return until(lambda: JOBS.job(run), lambda job: job.state != "running")


def until(look: Callable[[], Job], fits: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + 30
    while not fits(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def asleep(run: Path) -> Job:
    """The job, once the program is asleep in the middle of its work."""
    return until(lambda: JOBS.job(run), lambda _: (run.parent.parent / "ready").exists())


def test_a_repair_is_started_and_told_about(run: Path, behave: Callable[[str], None]) -> None:
    assert JOBS.job(run).state == "none"
    behave("fine")
    started = JOBS.start(run, "ann", "cpu")
    assert (started.by, started.how) == ("ann", processes.HOW)
    job = ended(run)
    assert (job.state, job.report, job.words) == ("complete", True, ("--device cpu --json",))
    assert [(s.stage, s.done, s.total) for s in job.stages] == [("train before 0", 2, 2)]
    assert job.started is not None
    assert job.ended is not None
    assert job.started <= job.ended


def test_a_second_start_is_told_who_is_at_work(run: Path, behave: Callable[[str], None]) -> None:
    behave("slow")
    JOBS.start(run, "ann")
    with pytest.raises(InputError, match=r"ann started a repair .* at work since \d{4}-"):
        Jobs().start(run, "bob")
    assert JOBS.job(run).by == "ann"


@pytest.mark.parametrize(("how", "last", "patience"), [("slow", signal.SIGINT, 60), ("stubborn", signal.SIGTERM, 1)])
def test_cancelled_and_started_again(
    run: Path,
    behave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    last: signal.Signals,
    patience: float,
) -> None:
    sent: list[int] = []
    send = processes._send
    monkeypatch.setattr(processes, "_send", lambda pid, way: (sent.append(way), send(pid, way)))
    monkeypatch.setattr(processes, "PATIENCE", ((signal.SIGINT, patience), (signal.SIGTERM, 60), (signal.SIGKILL, 5)))
    behave(how)
    JOBS.start(run, "ann")
    asleep(run)
    job = JOBS.cancel(run, "bob")
    assert (job.state, sent[-1]) == ("cancelled", last)
    assert "bob" in job.words[0]
    assert JOBS.cancel(run, "eve") == job  # nothing to stop
    behave("fine")
    JOBS.start(run, "ann")
    assert ended(run).state == "complete"


def test_killed_it_ended_without_a_word_and_can_go_on(run: Path, behave: Callable[[str], None]) -> None:
    behave("slow")
    JOBS.start(run, "ann")
    asleep(run)
    record = Ledger(run).record()
    assert record is not None
    assert record.pid is not None
    os.killpg(record.pid, signal.SIGKILL)
    job = ended(run)
    assert job.state == "failed"
    assert "without a word" in job.words[0]
    behave("fine")
    JOBS.start(run, "ann")
    assert ended(run).state == "complete"


def test_another_process_of_the_same_number_is_not_the_repair(run: Path, behave: Callable[[str], None]) -> None:
    behave("fine")
    JOBS.start(run, "ann")
    ended(run)
    ledger = Ledger(run)
    record = ledger.record()
    assert record is not None
    ledger.result.unlink()  # as if it had been killed
    ledger.write(record.model_copy(update={"pid": os.getpid()}))
    assert JOBS.job(run).state == "failed"
    assert JOBS.cancel(run, "bob").state == "failed"  # and this process is not stopped


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("ours", "The disk is full: free some space. Start it again"),
        ("theirs", "It ended with KeyError. Start it again"),
    ],
)
def test_what_went_wrong(run: Path, behave: Callable[[str], None], how: str, words: str) -> None:
    behave(how)
    JOBS.start(run, "ann")
    job = ended(run)
    assert job.state == "failed"
    assert job.words[0].startswith(words)
    assert "Doe" not in job.words[0]


@pytest.mark.slow
def test_the_repair_outlives_the_server_and_a_new_one_shows_it(run: Path, behave: Callable[[str], None]) -> None:
    behave("slow")
    server = (
        "import sys, time; from pathlib import Path\n"
        "from flows.review import processes; from flows.review.jobs import Jobs\n"
        f"processes.PROGRAM = {processes.PROGRAM!r}\n"
        "Jobs().start(Path(sys.argv[1]), 'ann'); print('started', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", server, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        os.killpg(process.pid, signal.SIGKILL)
    job = asleep(run)
    assert (job.state, job.by) == ("running", "ann")
    assert [stage.stage for stage in job.stages] == ["train before 0"]
    with pytest.raises(InputError, match="ann started"):
        JOBS.start(run, "bob")
    record = Ledger(run).record()
    assert record is not None
    assert record.pid is not None
    assert psutil.Process(record.pid).status() != psutil.STATUS_ZOMBIE
    assert JOBS.cancel(run, "bob").state == "cancelled"
    assert not Ledger(run).held()


def test_a_repair_of_another_machine_is_not_stopped_here(run: Path, behave: Callable[[str], None]) -> None:
    behave("slow")
    JOBS.start(run, "ann")
    asleep(run)
    ledger = Ledger(run)
    record = ledger.record()
    assert record is not None
    ledger.write(record.model_copy(update={"host": "elsewhere"}))
    with pytest.raises(InputError, match="runs on elsewhere"):
        JOBS.cancel(run, "bob")
    assert JOBS.job(run).state == "running"


def test_those_who_look_do_not_see_each_other(run: Path) -> None:
    ledger = Ledger(run)
    with ledger.lock() as lock:
        assert lock is not None
        assert ledger.held()
    assert not any(ledger.held() for _ in range(3))


def test_progress_is_written_seldom_but_ends_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, writes = tmp_path / "progress.json", []
    original = ProgressFile._write
    monkeypatch.setattr(ProgressFile, "_write", lambda self: (writes.append(1), original(self)))
    file = ProgressFile(path)
    for done in range(1, 10_001):
        file("train", done, 10_000)
    file("compare", 1, 3)
    assert read_progress(path) == [("train", 10_000, 10_000), ("compare", 1, 3)]
    assert len(writes) < 10
    assert [p.name for p in tmp_path.iterdir()] == ["progress.json"]
    assert json.loads(path.read_text())[0][0] == "train"


def result(run: Path) -> RunResult:
    return RunResult(run=run, report=run, state="complete", findings={}, words=["Done."], worked=1)


def test_a_repair_that_a_command_does_is_shown_and_excludes_others(run: Path) -> None:
    with at_work(run) as tell:
        job = JOBS.job(run)
        assert (job.state, job.how, job.by) == ("running", "a command", getpass.getuser())
        with pytest.raises(InputError, match="at work since"):
            JOBS.start(run, "ann")
        with pytest.raises(InputError, match="at work since"), at_work(run):
            pass
        tell(result(run))
    assert (JOBS.job(run).state, JOBS.job(run).words) == ("complete", ("Done.",))


def test_what_the_page_repairs_no_automation_repairs_too(run: Path, behave: Callable[[str], None]) -> None:
    behave("slow")
    JOBS.start(run, "ann")
    asleep(run)
    with pytest.raises(InputError, match="ann started a repair"), at_work(run):
        pass
    assert (JOBS.job(run).state, JOBS.job(run).by) == ("running", "ann")


def test_the_end_of_a_review_is_announced_where_there_is_a_prefect_server(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Path, str]] = []
    monkeypatch.setattr(backend, "announce", lambda run, by: told.append((run, by)))
    page = backend.make_backend(run.parent.parent, None)
    page.reviewed(run, "ann")
    assert told == []
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    page.reviewed(run, "ann")
    assert told == [(run, "ann")]


def test_a_process_of_the_page_leaves_the_record_as_it_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(run)
    with ledger.lock():
        monkeypatch.setenv(HELD, str(run))
        with at_work(run) as tell:
            tell(result(run))
    assert ledger.record() is None
    monkeypatch.setenv(HELD, str(run.with_name("another")))
    with at_work(run):
        assert ledger.record() is not None
