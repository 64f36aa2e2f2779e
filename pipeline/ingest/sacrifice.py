"""Files whose native decoder kills the process that reads them: such a file is a problem row, not the end of an ingest.

A file is marked while it is read. Where its mark is there already, some process died reading it, perhaps of it: then it
is read in a process of its own, which may die. No process may take for ever over a file: an alarm ends it, unless it is
the one that a user started.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, Final

from pipeline.errors import CxrAuditError, ProblemReason
from pipeline.ingest.decode import Decoded, Refused, decode
from pipeline.spread import Part, Spread, WorkerDiedError

SECONDS: Final = 120
"""A process may take for one file."""
_READY: Final = b"ready\n"
_NOT_THE_FILE: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Sent by people, by the system when memory runs out: what comes of a file must not depend on them."""


@dataclass(frozen=True)
class Marks:
    """The files that are being read, or were when their process died: empty files in `folder`, named by content."""

    folder: Path

    def decoded(self, path: str, file_sha256: str, **how: Any) -> Decoded | Refused:
        """What `decode` makes of a file, whatever its decoder does to the process. The rest is as for `decode`.

        Raises:
            CxrAuditError: the process of its own was killed from outside, or could not start.
        """
        mark, reads = self.folder / file_sha256, partial(decode, path, file_sha256, **how)
        if mark.exists():
            found = _apart(reads)
            if isinstance(found, _Died):
                return found.refused()  # the mark stays: whoever reads the file again must not die of it
        else:
            self.folder.mkdir(exist_ok=True)
            mark.touch()
            with _in_time():
                found = reads()
        mark.unlink(missing_ok=True)
        return found

    def surviving(self, spread: Spread, parts: Sequence[Part]) -> Iterator[None]:
        """Have `parts` done, and again where a process died, as long as there is one more file to blame."""
        blamed: set[str] = set()
        while True:
            try:
                yield from spread(parts)
            except WorkerDiedError:
                marked = set(os.listdir(self.folder)) if self.folder.exists() else set()
                if marked <= blamed:
                    raise
                blamed |= marked
            else:
                return


@dataclass(frozen=True)
class _Died:
    """How a process of its own ended before it had read its file."""

    code: int

    def refused(self) -> Refused:
        if self.code == -signal.SIGALRM:
            what = f"its decoder had not finished after {SECONDS} s"
        elif self.code < 0:
            what = f"its decoder crashed ({signal.Signals(-self.code).name})"
        else:
            what = f"its decoder ended the process with status {self.code}"
        return Refused(ProblemReason.UNREADABLE, f"{what}; copy the file again or leave it out")


@contextmanager
def _in_time() -> Iterator[None]:
    """End this process, as a decoder's crash would, if the block takes longer than `SECONDS`; only a worker process.

    The default of the signal ends the process, in the midst of native code too. Of several threads that read at once
    the last to begin counts.
    """
    if parent_process() is None or signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
        yield
        return
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def _apart(reads: Callable[[], Decoded | Refused]) -> Decoded | Refused | _Died:
    """Call `reads` in a process of its own. Not by `multiprocessing`: a cluster's workers may start none by it."""
    command = [sys.executable, "-c", f"from {__name__} import _serve; _serve()"]
    done = subprocess.run(command, input=pickle.dumps(reads), stdout=subprocess.PIPE, check=False)  # noqa: S603  # no shell, no user's words
    if not done.stdout.startswith(_READY) or -done.returncode in _NOT_THE_FILE:
        raise CxrAuditError(
            f"A process that was to read one image ended with status {done.returncode}: memory ran out, or somebody "
            "ended it. Run again with fewer --workers: what was finished is kept."
        )
    if done.returncode:
        return _Died(done.returncode)
    found: Decoded | Refused | Exception = pickle.loads(done.stdout[len(_READY) :])  # noqa: S301  # our own process
    if isinstance(found, Exception):
        raise found
    return found


def _serve() -> None:
    """Read what standard input asks for; the result goes to standard output, where no decoder may write."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        reads = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
        out.write(_READY)
        out.flush()
        # The default of this signal ends the process, in the midst of native code too.
        signal.alarm(SECONDS)
        try:
            found: object = reads()
        except Exception as error:  # raised where it was asked for
            found = error
        signal.alarm(0)
        pickle.dump(found, out)
