"""What is kept for its own sake, and why."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil
from sqlalchemy import select

from flows.acceptance import all_accepted
from flows.gc.references import References
from flows.gc.things import Thing
from flows.history import ended
from flows.review.frozen import database_exists, frozen
from flows.review.ledger import Ledger
from flows.workspace import Workspace, review_database
from pipeline.artifacts import read_json
from pipeline.errors import InputError
from pipeline.locks import holder_of
from pipeline.review.store import open_store
from pipeline.review.store.tables import Batch, Decision, Edit

YOUNG_SECONDS: Final = 3600
"""What was written within it may be part of something that is at work on another machine, whose locks do not show."""


def roots(
    workspace: Workspace, things: Iterable[Thing], references: References, keep_last: int | None, unreviewed: bool
) -> dict[Path, str]:
    """Path -> why it is kept.

    Raises:
        InputError: the review's database cannot be read, or runs are to go and it is not there. Without it nobody
            knows what was decided.
    """
    place = review_database(workspace.path)
    if keep_last is not None and not unreviewed and not database_exists(place):
        raise InputError(
            "--keep-last removes audits that nobody decided about, and there is no database of decisions: name it with "
            "--database or CXR_AUDIT_DATABASE, or say --unreviewed if no audit of this workspace was ever reviewed."
        )
    listed = list(things)
    runs = [each for each in listed if each.kind == "run"]
    kept = f"among the newest {keep_last} of its data set" if keep_last else "an audit"
    reasons = (
        _at_work(workspace, listed, references),
        _beside_unfinished(workspace, listed),
        {
            workspace.runs / each.run: f"accepted audit of {name}"
            for name, now in all_accepted(workspace).items()
            for each in (*now.history, now)
        },
        dict.fromkeys(_decided(workspace, runs), "somebody decided about it"),
        dict.fromkeys((run.path for run in _newest(workspace, runs, keep_last)), kept),
        _young(listed, references),
    )
    found: dict[Path, str] = {}
    for reason in reversed(reasons):  # the first that applies is told
        found |= reason
    return found


def alive(thing: Thing) -> bool:
    """Whether the process that makes something unfinished is known to live."""
    target, pid = thing.unfinished
    return holder_of(target) is not None or (pid is not None and pid != os.getpid() and psutil.pid_exists(pid))


def _at_work(workspace: Workspace, things: list[Thing], references: References) -> dict[Path, str]:
    """Everything whose lock is held, and of runs at work, whatever was made of their data set."""
    found: dict[Path, str] = {}
    for each in things:
        held = alive(each) if each.kind == "unfinished" else each.kind != "trash" and holder_of(each.path) is not None
        if each.kind == "run" and (held or Ledger(each.path).held()):
            serving = references.derived(_dataset(workspace, each.path))
            found |= dict.fromkeys(serving, f"may serve run {each.path.name}, which is at work")
            held = True
        if held:
            found[each.path] = "at work"
    return found


def _young(things: list[Thing], references: References) -> dict[Path, str]:
    found: dict[Path, str] = {}
    for each in things:
        if each.kind not in ("trash", "job") and time.time() - each.modified < YOUNG_SECONDS:
            found[each.path] = "written within the last hour"
            dataset = references.trained_on(each.path)
            if dataset is not None:  # its audit may be about to begin
                found.setdefault(dataset, f"model {each.path.name} was trained on it within the last hour")
    return found


def _beside_unfinished(workspace: Workspace, things: list[Thing]) -> dict[Path, str]:
    """A classifier in training: its audit is not entered yet, so all versions of its data set are kept."""
    names = {
        each.path.parent.name
        for each in things
        if each.kind == "unfinished" and each.path.is_relative_to(workspace.models)
        if alive(each) or time.time() - each.modified < YOUNG_SECONDS
    }
    return {
        each.path: "a classifier may be in training on it"
        for each in things
        if each.kind == "data set" and any(name.startswith(f"{each.path.parent.name}-") for name in names)
    }


def _decided(workspace: Workspace, runs: list[Thing]) -> list[Path]:
    """Runs that somebody decided about: by the review's database, or by the copy that a repair took of it."""
    known = _in_database(review_database(workspace.path))
    return [run.path for run in runs if run.path.name in known or _copied(run.path)]


def _in_database(place: str) -> set[str]:
    if not database_exists(place):
        return set()
    store = open_store(place)
    try:
        with store.reading() as session:
            answers = [session.scalars(select(table.run).distinct()) for table in (Batch, Decision, Edit)]
            return {str(run) for answer in answers for run in answer}
    finally:
        store.dispose()


def _copied(run: Path) -> bool:
    review = frozen(run)
    return bool(review.findings) or bool(len(review.regions))


def _newest(workspace: Workspace, runs: list[Thing], keep_last: int | None) -> list[Thing]:
    """The newest of every data set, by the order in which audits ended; those that did not end yet are the newest."""
    known = [run for run in runs if (run.path / "run.json").exists()]
    if keep_last is None:
        return known
    by_dataset: dict[str, list[Thing]] = defaultdict(list)
    for run in sorted(known, key=lambda each: -(each.path / "run.json").stat().st_mtime):
        by_dataset[_dataset(workspace, run.path).parent.name].append(run)
    kept = []
    for name, of_dataset in by_dataset.items():
        order = {path: number for number, path in enumerate(ended(workspace, name))}
        kept += sorted(of_dataset, key=lambda each: order.get(each.path, -1))[:keep_last]
    return kept


def _dataset(workspace: Workspace, run: Path) -> Path:
    ledger = run / "run.json"
    name = read_json(ledger)["request"]["dataset"] if ledger.exists() else "?/?"
    return workspace.datasets / name
