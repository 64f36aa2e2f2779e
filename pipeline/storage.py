"""What the file system refuses, as an error that says what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StorageError


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turn a full disk, a read-only place or a missing permission into a `StorageError` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(_existing_parent(target)).free / 1e9
            raise StorageError(
                f"The disk is full: could not write {target} ({free:.2f} GB free). "
                "Free some space or give another place with --workspace; the run resumes where it stopped."
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StorageError(
                f"{target} cannot be written ({os.strerror(error.errno)}). "
                "Give a place you may write to with --workspace or CXR_AUDIT_HOME."
            ) from error
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise StorageError(
                f"{target} lies on a file system without locks ({os.strerror(error.errno)}). "
                "Mount it with locks (NFS: without `nolock`; Lustre: with `flock`), or give another --workspace."
            ) from error
        raise


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
