"""How far a command is, in a file that another process reads: `CXR_AUDIT_PROGRESS` names it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

ENVIRONMENT = "CXR_AUDIT_PROGRESS"
EVERY = 0.3
"""Seconds between two writes within a stage; a stage's beginning and end are written at once."""


class ProgressFile:
    """Keeps `path` up to date: JSON, a list of [stage, done, total] in the order in which the stages began.

    Readers never see half a file. It is not flushed to disk: after a power cut nothing runs that it would speak of.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stages: dict[str, tuple[int, int]] = {}
        self._written = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """A `pipeline.progress.Progress`."""
        edge = stage not in self._stages or done >= total
        self._stages[stage] = (done, total)
        now = time.monotonic()
        if edge or now - self._written >= EVERY:
            self._written = now
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.partial")
        temporary.write_text(json.dumps([[name, *counts] for name, counts in self._stages.items()]), encoding="utf-8")
        temporary.replace(self._path)


def read_progress(path: Path) -> list[tuple[str, int, int]]:
    """What `ProgressFile` wrote last: stage, done, total; nothing before it wrote."""
    if not path.exists():
        return []
    return [(str(stage), int(done), int(total)) for stage, done, total in json.loads(path.read_text(encoding="utf-8"))]
