"""A process for hostile input: bounded in memory and time, replaced when it dies."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import monotonic, process_time

import psutil

from tests.fuzz.mutate import Input

MEGABYTE = 1 << 20
MEMORY = 3 << 30
"""Bytes of address space that one file may take beyond what the process has when it starts."""
SECONDS = 10.0
"""Of processor time, for one file."""
WAITING = 6
"""Times as many seconds may pass on the clock, for a process that waits for a processor, or for ever."""


@dataclass(frozen=True)
class Verdict:
    """What came of an input.

    Attributes:
        outcome: in a word; for a failure, what went wrong.
        peak: bytes of memory that were resident at most, beyond those of the idle process.
        seconds: of processor time; of the clock, for a process that had to be ended.
    """

    outcome: str
    failed: bool
    peak: int
    seconds: float


class Sandbox:
    """One process that judges inputs. A context manager; the process never outlives it."""

    def __init__(self, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        self._memory, self._seconds = memory, seconds
        self._process = None
        self._connection: Connection | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def judge(self, *inputs: Input) -> Verdict:
        """Judge one input by the readers, or several together by an ingest."""
        if self._connection is None:
            self._start()
        started = monotonic()
        self._connection.send(inputs)
        allowed = self._seconds + len(inputs) if len(inputs) > 1 else self._seconds
        try:
            if self._answers(allowed):
                return Verdict(*self._connection.recv())
            outcome = f"hang: no answer after {allowed:.0f} s"
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode or 0
            outcome = f"crash: {signal.Signals(-code).name if code < 0 else f'exit status {code}'}"
        self._stop()
        return Verdict(outcome, True, 0, monotonic() - started)

    def _answers(self, allowed: float) -> bool:
        watched, started = psutil.Process(self._process.pid), monotonic()
        before = sum(watched.cpu_times()[:2])
        while not self._connection.poll(0.5):
            # A process that has died is a zombie without times; the next poll says that the connection is closed.
            used = sum(watched.cpu_times()[:2]) - before
            if used > allowed or monotonic() - started > WAITING * allowed:
                return False
        return True

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._memory), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # ready: what is imported does not count as time of a file

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process = self._connection = None


def _serve(connection: Connection, memory: int) -> None:
    import cv2

    from tests.fuzz.targets import judge, judge_ingest

    cv2.setNumThreads(1)
    os.nice(5)
    taken = _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, taken + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.send("ready")
    while True:
        try:
            inputs: Sequence[Input] = connection.recv()
        except EOFError:
            return
        files = [each.bytes() for each in inputs]
        before, started = _forget_peak(), process_time()
        try:
            outcome, failed = (judge(inputs[0].kind, files[0]) if len(files) == 1 else judge_ingest(files)), False
        except Exception as error:
            outcome, failed = _told(error), True
        connection.send((outcome, failed, max(0, _status("VmHWM") - before), process_time() - started))


def _told(error: Exception) -> str:
    """Class, place and words of an error: alike for inputs that fail alike."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/fuzz/" not in frame.filename]
    place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].name}" if frames else "tests"
    return f"{type(error).__name__} in {place}: {str(error)[:200]}"


def _forget_peak() -> int:
    """Let the system measure the peak of the resident memory anew; returns what is resident now."""
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")
    return _status("VmRSS")


def _status(field: str) -> int:
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
