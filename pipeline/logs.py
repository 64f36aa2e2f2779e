"""Structured logs: one JSON object a line, written by any number of processes, with nothing in it about a patient.

Any module may say `logging.getLogger("cxr_audit.<stage>").info("finished", extra={"image_id": ...})`. What reaches the
file is decided here, not there:

* of our own loggers the words as they stand in the source, without arguments, and the fields of `FIELDS`;
* of other libraries and of warnings the logger and the line of code: their words may quote a header or a file's name;
* of errors the class and the lines of code they passed through, for the same reason.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, TextIO

LOGGER = "cxr_audit"
"""Root of our own loggers."""
FIELDS: Final = frozenset(
    {"run", "flow", "flow_run", "stage", "dataset", "version", "image_id", "row", "reason", "count", "artifact"}
    | {"seconds", "attempt", "state", "findings", "regions", "worked", "notice", "webhook", "status", "error", "at"}
)
"""What a line may hold besides time, level, logger, message, process and host. Anything else in `extra` is left out."""
MOST_BYTES = 10_000_000
"""Size at which a file is put away as `<host>.1.jsonl`."""
KEPT = 5
"""Files that were put away."""

_context: ContextVar[Mapping[str, Any]] = ContextVar("cxr_audit_log_context", default=MappingProxyType({}))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Give all lines of the block, of this thread and of the workers it starts, these `FIELDS`."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def note(**fields: Any) -> None:
    """Add `FIELDS` that only become known inside a `bound` block, until its end."""
    _context.set({**_context.get(), **fields})


def context() -> Mapping[str, Any]:
    """The fields in force."""
    return _context.get()


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        ours = _is_ours(record.name)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": str(record.msg) if ours else "",
            "pid": record.process,
            "host": socket.gethostname(),
            **{name: _plain(value) for name, value in _context.get().items() if name in FIELDS},
            **{name: _plain(value) for name, value in vars(record).items() if name in FIELDS},
        }
        if not ours:
            line.setdefault("at", f"{_short(record.pathname)}:{record.lineno}")
        if record.exc_info and record.exc_info[0]:
            line |= {"error": record.exc_info[0].__name__, "at": trace(record.exc_info[2])}
        return json.dumps(line)


def trace(passed: TracebackType | None) -> list[str]:
    """The lines of code an error passed through, the place where it was raised last."""
    return [f"{_short(frame.filename)}:{frame.lineno}" for frame in traceback.extract_tb(passed)]


def _is_ours(name: str) -> bool:
    return name == LOGGER or name.startswith(f"{LOGGER}.")


def _short(path: str) -> str:
    """The last two parts of a source file's path: enough to find it, nothing about the machine."""
    return "/".join(Path(path).parts[-2:])


def _plain(value: Any) -> Any:
    """Numbers and words as they are, containers of them too; anything else is not for a log."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return type(value).__name__


class SharedFile(logging.Handler):
    """Appends whole lines to `<folder>/<host>.jsonl`, which other processes of this machine write as well.

    A file of each machine, because appending is not atomic on network file systems. What cannot be written is dropped:
    a full disk is told by the stage that needs it, not by its log.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, kept: int = KEPT) -> None:
        super().__init__()
        self.folder, self._most, self._kept = folder, most_bytes, kept
        self._host = socket.gethostname()
        self.setFormatter(JsonLines())

    @property
    def path(self) -> Path:
        """The file that is written now."""
        return self.folder / f"{self._host}.jsonl"

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record belongs here: ours, or a warning of another library."""
        return _is_ours(record.name) or record.levelno >= logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record."""
        line = f"{self.format(record)}\n".encode()
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / f".{self._host}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the file, and with the process that holds it
                self._append(line)

    def _append(self, line: bytes) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size and size + len(line) > self._most:
            self._put_away()
            size = 0
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            if os.write(file, line) < len(line):
                os.ftruncate(file, size)  # the disk became full within the line
        finally:
            os.close(file)

    def _put_away(self) -> None:
        names = [self.path, *(self.folder / f"{self._host}.{number}.jsonl" for number in range(1, self._kept + 1))]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)


@contextmanager
def logging_to(folder: Path, level: int) -> Iterator[None]:
    """Write logs to `folder` while the block runs, Python's warnings with them. Within another such block: nothing.

    Args:
        folder: made when the first line is written.
        level: of our own loggers; of others, warnings and errors are kept.
    """
    if _attached() is not None:
        yield
        return
    ours, before, show = logging.getLogger(LOGGER), logging.getLogger(LOGGER).level, warnings.showwarning
    handler = _attach(folder, level)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        ours.setLevel(before)
        warnings.showwarning = show


@dataclass(frozen=True)
class Carried:
    """Logging as a worker takes it over: call it in the worker's process, or around a part with `within`."""

    folder: Path | None
    level: int
    context: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> None:
        """Log as the process that made this does, from now on. Fits `ProcessPoolExecutor(initializer=...)`."""
        if self.folder is not None and _attached() is None:
            _attach(self.folder, self.level)
        note(**self.context)

    @contextmanager
    def within(self) -> Iterator[None]:
        """Log so while the block runs: for workers that serve several runs, one after the other."""
        if self.folder is None:
            yield
            return
        with logging_to(self.folder, self.level), bound(**self.context):
            yield


def carried() -> Carried:
    """This process's logging, to be sent to workers."""
    handler = _attached()
    folder = None if handler is None else handler.folder
    return Carried(folder, logging.getLogger(LOGGER).level, dict(context()))


def _attached() -> SharedFile | None:
    return next((each for each in logging.getLogger().handlers if isinstance(each, SharedFile)), None)


def _attach(folder: Path, level: int) -> SharedFile:
    handler = SharedFile(folder)
    logging.getLogger().addHandler(handler)
    logging.getLogger(LOGGER).setLevel(level)
    warnings.showwarning = _log_warning
    return handler


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """In the place of `warnings.showwarning`, which would print words that may quote a patient's name."""
    where = f"{_short(filename)}:{lineno}"
    logging.getLogger(f"{LOGGER}.warnings").warning("warning", extra={"error": category.__name__, "at": where})


@contextmanager
def timed(logger: logging.Logger, what: str, level: int = logging.INFO, **fields: Any) -> Iterator[None]:
    """Log `<what>` with its seconds when the block ends, `<what> failed` when an error leaves it."""
    began = time.perf_counter()
    try:
        yield
    except BaseException:
        extra = {**fields, "seconds": round(time.perf_counter() - began, 3)}
        logger.log(logging.ERROR, f"{what} failed", exc_info=sys.exc_info(), extra=extra)
        raise
    logger.log(level, what, extra={**fields, "seconds": round(time.perf_counter() - began, 3)})
