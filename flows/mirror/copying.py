"""Files on their way between a mirror and its store: in batches, verified, whole before they are seen."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.mirror.index import Index, Kept, index_name, measured
from flows.mirror.remote import Remote
from pipeline.errors import IntegrityError
from pipeline.storage import storage_errors

_BATCH = 64
"""Files that the store's client is handed at once."""


class Copying:
    """Copies files of a folder, the unit, to and from the store, and knows the hashes of files that are here."""

    def __init__(self, root: Path, remote: Remote) -> None:
        self._root = root
        self._remote = remote
        self._measured: dict[Path, tuple[tuple[int, int], Kept]] = {}

    def put(self, unit: str, names: Sequence[str]) -> None:
        """Copy files of a folder into the store."""
        folder = self._root / unit
        for batch in _batches(names):
            self._remote.put([(folder / name, f"{unit}/{name}") for name in batch])

    @contextmanager
    def fetched(self, unit: str, index: Index, names: Sequence[str]) -> Iterator[Path]:
        """A folder with copies of a unit's files, as its index lists them; what is not moved out of it goes.

        Raises:
            IntegrityError: a file is not what the index says, or is missing, twice.
        """
        with storage_errors(self._root):
            folder = Path(tempfile.mkdtemp(prefix=".bringing-", dir=self._root))
        try:
            self._fetch(unit, index, names, folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def move(self, folder: Path, target: Path, names: Iterable[str]) -> None:
        """Move files of one folder here to where they belong, each at once."""
        with storage_errors(target):
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).replace(target / name)

    def measure(self, path: Path) -> Kept:
        """Size and hash of a file here; it is read again only when it changed."""
        stat = path.stat()
        known = self._measured.get(path)
        if known is None or known[0] != (stat.st_size, stat.st_mtime_ns):
            known = self._measured[path] = (stat.st_size, stat.st_mtime_ns), measured(path)
        return known[1]

    def _fetch(self, unit: str, index: Index, names: Sequence[str], folder: Path) -> None:
        for path in {(folder / name).parent for name in names}:
            path.mkdir(parents=True, exist_ok=True)
        with storage_errors(self._root):
            for batch in _batches(names):
                self._remote.get([(f"{unit}/{name}", folder / name) for name in batch])
            for name in names:
                if not _as_listed(folder / name, index.files[name]):
                    self._remote.get([(f"{unit}/{name}", folder / name)])
        wrong = next((name for name in names if not _as_listed(folder / name, index.files[name])), None)
        if wrong is not None:
            state = "not what was kept" if (folder / wrong).exists() else "missing"
            raise IntegrityError(
                f"{self._remote.url}/{unit}/{wrong} is {state}. Remove the object {index_name(unit)} from the store: "
                "then the same command makes the folder anew."
            )


def _as_listed(path: Path, kept: Kept) -> bool:
    return path.is_file() and measured(path) == kept


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
