"""Getting the sources that a manifest pins: verified, resumable, and without the network when all is there.

<cache_root>/<manifest>/<source>/...    the data root of the manifest, as `read_rows` expects it
<cache_root>/<manifest>/.lock           held while fetching
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipeline.errors import InputError
from pipeline.ingest.fetch_files import fetch_files
from pipeline.ingest.fetch_git import fetch_git
from pipeline.ingest.manifest_schema import Manifest
from pipeline.ingest.source_schema import GitOrigin
from pipeline.progress import Progress, silent
from pipeline.storage import storage_errors


def fetch(manifest: Manifest, cache_root: Path, *, progress: Progress = silent) -> Path:
    """Get every source of `manifest` that has an origin, and check it against its pin.

    A killed fetch resumes: finished sources and files stay, a half download continues where it stopped.

    Returns:
        The data root: ``cache_root/<manifest name>``.

    Raises:
        InputError: the manifest pins nothing.
        FetchError: the network, a server or git failed; run again to resume.
        IntegrityError: what arrived is not what the manifest pins.
        StorageError: the cache cannot be written.
    """
    pinned = [(source.name, source.origin) for source in manifest.sources if source.origin]
    if not pinned:
        reason = "its images are generated" if manifest.generate else "no source has an 'origin'"
        raise InputError(f"Manifest {manifest.name}: there is nothing to fetch, {reason}.")
    data_root = cache_root / manifest.name
    with storage_errors(data_root), _only_one(data_root) as lock:
        for name, origin in pinned:
            report = partial(progress, f"fetch {name}")
            if isinstance(origin, GitOrigin):
                fetch_git(origin, data_root / name, report, keep_open=lock)
            else:
                fetch_files(origin, data_root / name, report)
    return data_root


@contextmanager
def _only_one(data_root: Path) -> Iterator[int]:
    """Wait until no other process fetches into `data_root`; yields the lock's file descriptor.

    The system frees the lock when the last process that holds it ends, however it ends.
    """
    data_root.mkdir(parents=True, exist_ok=True)
    with (data_root / ".lock").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream.fileno()
