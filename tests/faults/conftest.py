"""A small study, one undisturbed run of it, and what every fault has to leave behind: the same bytes, nothing else."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.locks import locked
from tests.flows.conftest import prefect_environment  # noqa: F401 - a fixture
from tests.studies import audited_study

STUDY = audited_study(
    "small",
    images=48,
    other=8,
    train={"epochs": 3},
    explain={"batch_size": 1},
    flag={"images": 16, "transplants": 4},
)
MARK = "CXR_AUDIT_TEST_MARK"
"""In the environment of every process of a command, and of all that these start: finds orphans."""
PATIENCE = 300.0


@dataclass
class Command:
    """`cxr-audit run` of the study, and the processes that belong to it."""

    manifest: Path
    environment: dict[str, str]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self, workspace: Path, *options: str, command: str = "run", **environment: str) -> subprocess.Popen[str]:
        """Begin it, in a session of its own."""
        program = [str(Path(sys.executable).parent / "cxr-audit"), command, str(self.manifest)]
        return subprocess.Popen(
            [*program, "--workspace", str(workspace), "--preset", "quick", "--json", "--workers", "1", *options],
            env=self.environment | environment | {MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for its end."""
        out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def run(self, workspace: Path, *options: str, **environment: str) -> Ended:
        """From beginning to end."""
        return self.end(self.start(workspace, *options, **environment))

    def complete(self, workspace: Path, *options: str, **environment: str) -> Ended:
        """Run it; it has to succeed."""
        ended = self.run(workspace, *options, **environment)
        assert ended.code == 0, ended.err[-3000:]
        return ended

    def kill_when(self, workspace: Path, moment: Callable[[Path], bool], *options: str, **environment: str) -> None:
        """Start it and SIGKILL its process, and that alone, as soon as `moment` has come."""
        process = self.start(workspace, *options, **environment)
        self.wait_for(moment, workspace, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()

    def wait_for(self, moment: Callable[[Path], bool], workspace: Path, process: subprocess.Popen[str]) -> None:
        """Until `moment` has come."""
        deadline = time.monotonic() + PATIENCE
        while not moment(workspace):
            if process.poll() is not None:
                pytest.fail(f"the command ended before the moment came: {process.communicate()[1][-3000:]}")
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.01)

    def processes(self) -> list[psutil.Process]:
        """Every living process that this command, or one that it started, has started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def end_all(self) -> None:
        """Kill what is left of a test that failed."""
        for process in self.processes():
            process.kill()

    def assert_no_orphan(self, patience: float = 20.0) -> None:
        """Nothing that was started is alive, a moment after the end."""
        deadline = time.monotonic() + patience
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [" ".join(process.cmdline()) for process in left] == []


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def worked(self) -> int:
        """Stages that had to work."""
        return int(json.loads(self.out)["worked"])

    @property
    def said(self) -> str:
        """What it said on stderr, in one line: a terminal of any width would break it somewhere."""
        return " ".join(self.err.split())


def content(workspace: Path) -> dict[str, str]:
    """Hash of every file of data sets, models and runs, but for what was set aside as damaged."""
    files = (p for part in ("datasets", "models", "runs") for p in (workspace / part).rglob("*") if p.is_file())
    names = {p: p.relative_to(workspace).as_posix() for p in files}
    kept = {p: name for p, name in names.items() if not fnmatch.fnmatch(name, "*.damaged-*")}
    return {name: hashlib.sha256(p.read_bytes()).hexdigest() for p, name in kept.items()}


def half_written(workspace: Path) -> list[Path]:
    """Anything under a name that is not final, where a reader would look for artifacts."""
    parts = (workspace / part for part in ("datasets", "models", "runs", "generated", "cache"))
    return [p for part in parts for p in part.rglob("*") if ".partial" in p.name or p.suffix == ".lock"]


@contextmanager
def tmpfs(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own at `place`; yields a way to mount it again with other options."""
    place.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield lambda options: _mount("-o", f"remount,{options}", str(place))
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def command(study: Path, prefect_environment: dict[str, str]) -> Iterator[Command]:  # noqa: F811 - the fixture
    """The command of this test; nothing that it starts outlives the test."""
    made = Command(study, dict(prefect_environment))
    try:
        yield made
        made.assert_no_orphan()
    finally:
        made.end_all()


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study's manifest."""
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="session")
def calm(
    study: Path,
    prefect_environment: dict[str, str],  # noqa: F811 - the fixture
    tmp_path_factory: pytest.TempPathFactory,
    testrun_uid: Any,
) -> Path:
    """The workspace of an undisturbed run, shared by all processes that run tests; copied, never changed."""
    place = tmp_path_factory.getbasetemp().parent / f"calm-{testrun_uid}"
    with locked(place, "makes the undisturbed run"):
        if not place.exists():
            undisturbed = Command(study, prefect_environment)
            try:
                undisturbed.complete(place.with_suffix(".making"))
                assert any(place.with_suffix(".making").glob("runs/*/comparison.json")), "it went through every stage"
            finally:
                undisturbed.end_all()
            place.with_suffix(".making").rename(place)
    return place
