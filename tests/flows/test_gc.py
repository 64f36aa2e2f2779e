"""What `gc` frees, what it never frees, and what a kill in its middle leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flows import gc
from flows.__main__ import app
from flows.acceptance import accept
from flows.gc import collect, roots
from flows.gc.references import References
from flows.gc.things import Thing, things
from flows.workspace import Workspace
from pipeline.errors import InputError
from pipeline.locks import locked
from pipeline.review.store import open_store
from pipeline.review.store.tables import Batch, Run


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def age(folder: Path, days: float = 1.0) -> None:
    """As if everything below had been written `days` ago."""
    when = time.time() - days * 24 * 3600
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (when, when))


def version(home: Workspace, name: str, **lineage: str) -> Path:
    path = home.datasets / "demo" / name
    write(path / "lineage.json", lineage)
    return path


def bundle(home: Workspace, name: str, dataset: str) -> Path:
    path = home.models / "demo-small" / name
    write(path / "metrics.json", {"dataset": {"name": "demo", "version": dataset}})
    return path


def audit(home: Workspace, name: str, dataset: str, model: str, **files: Any) -> Path:
    path = home.runs / name
    write(
        path / "run.json", {"request": {"dataset": f"demo/{dataset}", "bundle": f"demo-small/{model}"}, "artifacts": {}}
    )
    for stem, value in {"findings": {"findings": []}, **files}.items():
        write(path / f"{stem}.json", value)
    return path


def free(home: Workspace, **options: Any) -> set[str]:
    judged = gc.plan(home, **{"unreviewed": True, **options})
    return {each.thing.path.relative_to(home.path).as_posix() for each in judged if each.free}


@pytest.fixture
def home(tmp_path: Path) -> Workspace:
    """Three audits: the first accepted, the second repaired; a version, a model and a cache that nobody needs."""
    home = Workspace(tmp_path / "ws")
    for name in ("raw", "grown", "orphan"):
        version(home, name)
    version(home, "cleansed", parent="raw")
    for name, dataset in (("m1", "raw"), ("m2", "cleansed"), ("m3", "grown"), ("m4", "orphan")):
        bundle(home, name, dataset)
    accept(audit(home, "run1", "raw", "m1"), "ann")
    audit(home, "run2", "raw", "m1", versions={"cleansed": "cleansed"}, comparison={})
    audit(home, "run3", "grown", "m3")
    write(home.cache / "thumbnails" / "orphan" / "x.jpg", "x")
    write(home.cache / "downloads" / "files" / "x.png", "x")
    write(home.models / "mine" / "0a" / "model.pt", "x")
    age(home.path)
    return home


def test_what_nothing_refers_to_is_free_and_nothing_else(home: Workspace) -> None:
    assert free(home) == {"datasets/demo/orphan", "models/demo-small/m4", "cache/thumbnails/orphan"}


def test_without_the_decisions_no_audit_is_let_go(home: Workspace) -> None:
    """They may be in a database that this shell does not name."""
    with pytest.raises(InputError, match="--database or CXR_AUDIT_DATABASE"):
        free(home, keep_last=1, unreviewed=False)
    assert free(home, unreviewed=False) == free(home)


def test_keep_last_frees_older_runs_and_what_only_they_need_but_no_accepted_one(home: Workspace) -> None:
    os.utime(home.runs / "run3" / "run.json", (time.time() - 7200,) * 2)
    assert free(home, keep_last=1) - free(home) == {"runs/run2", "datasets/demo/cleansed", "models/demo-small/m2"}


def test_a_run_somebody_decided_about_is_kept(home: Workspace) -> None:
    store = open_store(str(home.database))
    with store.writing() as session:
        about = {"dataset": "demo/raw", "title": "", "classes": [], "positive": "", "made_of": ""}
        now = datetime.now(UTC)
        session.add(Run(run="run2", registered=now, **about))
        session.flush()
        asked = {"key": "k", "action": "decide", "reviewer": "ann", "at": now, "software": "", "request": ""}
        session.add(Batch(run="run2", revision=1, outcome={}, **asked))
    store.dispose()
    os.utime(home.runs / "run3" / "run.json", (time.time() - 7200,) * 2)
    assert free(home, keep_last=1) == free(home)


def test_who_was_told_about_a_run_goes_with_the_run(home: Workspace) -> None:
    for name in ("run2", "gone"):
        write(home.notified / f"{name}.json", {"drift to hub": "hash"})
    age(home.path)
    os.utime(home.runs / "run3" / "run.json", (time.time() - 7200,) * 2)
    assert "notified/gone.json" in free(home)
    assert "notified/run2.json" not in free(home)
    assert {"runs/run2", "notified/run2.json"} <= free(home, keep_last=1)


@pytest.mark.parametrize("text", ["generate: &a {images: 8}\nx: *a", "generate: !!python/tuple [1]", "a: [", "\xff"])
def test_a_manifest_that_is_not_plain_stops_it(home: Workspace, text: str) -> None:
    (home.datasets / "demo" / "raw" / "manifest.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="nothing is deleted"):
        free(home)


def test_phantoms_of_a_kept_version_are_kept_whatever_else_its_manifest_says(home: Workspace) -> None:
    said = "generate: {images: 8}\nlicence: 2026-02-31\n"  # no date there can be, and no date to an ingest
    write(home.datasets / "demo" / "raw" / "manifest.yaml", said)
    for name, images in (("needed", 8), ("other", 9)):
        write(home.generated / name / "phantoms.json", {"images": images, "seed": 0})
    age(home.path)
    assert {each for each in free(home) if each.startswith("generated/")} == {"generated/other"}


@pytest.mark.parametrize("command", ["gc", "verify"])
def test_a_workspace_that_is_not_there_is_not_found_in_order(home: Workspace, command: str) -> None:
    answer = CliRunner().invoke(app, [command, "--workspace", str(home.path / "typo")])
    assert isinstance(answer.exception, InputError)
    assert "no such folder" in str(answer.exception)


def test_an_unreadable_database_of_decisions_stops_it(home: Workspace) -> None:
    home.database.write_bytes(b"no database" * 1000)
    answer = CliRunner().invoke(app, ["gc", "--delete", "--workspace", str(home.path)])
    assert answer.exit_code != 0
    assert (home.datasets / "demo" / "orphan").exists()


def test_work_in_progress_is_kept(home: Workspace) -> None:
    write(home.models / "demo-small" / "m5.partial" / "state.pt", "x")
    write(home.datasets / "demo" / f".x.json.{os.getppid()}.partial", "x")
    write(home.datasets / "demo" / ".x.json.4194304.partial", "x")
    age(home.path)
    held = f"""
import sys, time
from pathlib import Path
from pipeline.locks import locked
with locked(Path({str(home.models / "demo-small" / "m5")!r}), "trains"):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", held], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert free(home) == {"models/demo-small/m4", "datasets/demo/.x.json.4194304.partial"}
    finally:
        holder.kill()
        holder.wait()
    assert "models/demo-small/m5.partial" in free(home)
    assert "datasets/demo/orphan" in free(home)


def test_what_a_run_at_work_makes_is_kept_before_it_is_entered(home: Workspace) -> None:
    version(home, "control", parent="raw")
    bundle(home, "m6", "control")
    age(home.path)
    assert {"datasets/demo/control", "models/demo-small/m6"} <= free(home)
    with locked(home.runs / "run2", "works"):
        assert not {"datasets/demo/control", "models/demo-small/m6"} & free(home)


def test_young_things_and_the_data_of_a_young_model_are_kept(home: Workspace) -> None:
    (home.models / "demo-small" / "m4" / "metrics.json").touch()
    assert free(home) == set()
    age(home.path)
    assert len(free(home)) == 3
    assert free(home, older_than=2) == set()


def test_a_dry_run_touches_nothing_and_delete_frees_what_it_said(home: Workspace) -> None:
    listed = json.loads(CliRunner().invoke(app, ["gc", "--json", "--workspace", str(home.path)]).stdout)
    said = {each["path"] for each in listed["things"]}
    assert all((home.path / name).exists() for name in said)
    done = CliRunner().invoke(app, ["gc", "--delete", "--workspace", str(home.path)])
    assert "3 deleted" in done.stdout
    assert not any((home.path / name).exists() for name in said)
    assert free(home) == set()
    assert (home.cache / "downloads" / "files" / "x.png").exists()
    assert (home.models / "mine" / "0a" / "model.pt").exists()


NAMES = st.sampled_from([f"v{number}" for number in range(6)])
MODELS = st.sampled_from([f"m{number}" for number in range(6)])
RUNS = st.sampled_from([f"r{number}" for number in range(5)])
WORLDS = st.fixed_dictionaries(
    {
        "versions": st.dictionaries(NAMES, st.none() | NAMES, min_size=1),
        "bundles": st.dictionaries(MODELS, NAMES, min_size=1),
        "runs": st.dictionaries(RUNS, st.tuples(NAMES, MODELS, st.lists(NAMES, max_size=2), st.booleans()), min_size=1),
        "repairs": st.dictionaries(RUNS, st.tuples(NAMES, MODELS), max_size=2),
        "accepted": st.none() | RUNS,
        "decided": st.sets(RUNS, max_size=2),
        "keep_last": st.none() | st.integers(1, 3),
        "kill_at": st.none() | st.integers(0, 6),
    }
)


def build(home: Workspace, world: dict[str, Any]) -> None:
    for name, parent in world["versions"].items():
        version(home, name, **({"parent": parent} if parent else {}))
    for name, dataset in world["bundles"].items():
        bundle(home, name, dataset)
    for name, (dataset, model, made, compared) in world["runs"].items():
        files: dict[str, Any] = {"versions": {f"c{n}": each for n, each in enumerate(made)}}
        files |= {"comparison": {}} if compared else {}
        if name in world["repairs"]:
            training, trained = world["repairs"][name]
            files["repairs"] = {"repairs": [{"training": training, "tests": {"raw": dataset}, "bundles": [trained]}]}
        if name in world["decided"]:
            files["decisions"] = {
                "F01": {
                    "finding": "F01",
                    "decision": "accepted",
                    "reviewers": ["ann"],
                    "comment": "",
                    "time": "",
                    "software": "",
                }
            }
        audit(home, name, dataset, model, **files)
    if world["accepted"] in world["runs"]:
        accept(home.runs / world["accepted"], "ann")
    age(home.path)


def resolved(home: Workspace) -> dict[str, set[str]]:
    """What each run refers to that is there, followed to the end."""
    found = things(home)
    references, there = References(home, found), {each.path: each for each in found}
    answer = {}
    for run in (each for each in found if each.kind == "run"):
        reached, waiting = {run.path}, [run.path]
        while waiting:
            for needed in references.of(there[waiting.pop()]):
                if needed in there and needed not in reached:
                    reached.add(needed)
                    waiting.append(needed)
        answer[run.path.name] = {path.as_posix() for path in reached}
    return answer


class Killed(BaseException):
    """As SIGKILL: nothing of ours catches it."""


@contextmanager
def killed_at(number: int | None) -> Iterator[None]:
    """The `number`-th removal stops half-way: after the move, before all is deleted."""
    count, real = 0, collect._remove

    def remove(path: Path) -> None:
        nonlocal count
        if count == number:
            for each in sorted(path.rglob("*"))[:1]:
                if each.is_file():
                    each.unlink()
            raise Killed
        count += 1
        real(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "_remove", remove)
        yield


@pytest.mark.parametrize(
    ("name", "target", "pid"),
    [
        ("0a1b.partial", "0a1b", None),
        ("0a1b.training.partial", "0a1b", None),
        ("fa75-e90e.parts", "fa75-e90e", None),
        (".meta.json.some_host-123-456.partial", "meta.json", 123),
        (".meta.json.123.partial", "meta.json", 123),
    ],
)
def test_names_of_what_is_unfinished_tell_what_is_made_and_by_whom(name: str, target: str, pid: int | None) -> None:
    thing = Thing(Path("models/demo") / name, "unfinished", 0, 0.0)
    assert thing.unfinished == (Path("models/demo") / target, pid)


@pytest.mark.slow
@given(world=WORLDS)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_references_of_what_is_kept_always_resolve(world: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(roots, "database_exists", lambda place: False)
        home = Workspace(Path(folder))
        build(home, world)
        before, judged = resolved(home), gc.plan(home, keep_last=world["keep_last"], unreviewed=True)
        kept = {each.thing.path.name for each in judged if each.thing.kind == "run" and not each.free}
        assert kept >= (world["decided"] | {world["accepted"]}) & set(world["runs"])
        assert len(kept) >= min(world["keep_last"] or 99, len(world["runs"]))
        try:
            with killed_at(world["kill_at"]):
                gc.delete(home, judged)
        except Killed:
            assert {name: resolved(home)[name] for name in kept} == {name: before[name] for name in kept}
        gc.delete(home, gc.plan(home, keep_last=world["keep_last"], unreviewed=True))
        assert resolved(home) == {name: before[name] for name in kept}
        assert not list((home.path / ".trash").glob("*"))
        assert free(home, keep_last=world["keep_last"]) == set()
