"""Objects below one URL, through fsspec; what the store refuses becomes a `StorageError` that says what to do.

Options and credentials come from where fsspec and the store's client look for them (FSSPEC_…, AWS_…, profiles), never
from the URL. What a client says when it fails is not repeated, because it may name them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from threading import get_ident
from typing import Any

from pipeline.artifacts import atomic_file
from pipeline.errors import CxrAuditError, StorageError

_READY = ".cxr-audit.json"
_LOCAL = ("file", "local")
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What the disk of this machine says; it is reported as of any other file."""


class Remote:
    """A folder of an object store. Names are relative to it, with `/`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def read(self, name: str) -> bytes | None:
        """Content of an object; None: there is none."""
        with self._errors(f"read {name}"):
            try:
                return bytes(self._store.cat_file(self._full(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Write an object, whole or not at all."""
        with self._errors(f"write {name}"):
            self._write(name, content)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one; whether it was written. Of several that try at once, one succeeds."""
        with self._errors(f"create {name}"):
            return self._create(name, content)

    def put(self, files: Sequence[tuple[Path, str]]) -> None:
        """Copy files of this machine into objects."""
        if files:
            with self._errors(f"write {files[0][1]}"):
                self._store.put([str(path) for path, _ in files], [self._full(name) for _, name in files])

    def get(self, files: Sequence[tuple[str, Path]]) -> None:
        """Copy objects into files of this machine, whose folders must be there. Where one is missing, others may be."""
        if files:
            with self._errors(f"read {files[0][0]}"), suppress(FileNotFoundError):
                self._store.get([self._full(name) for name, _ in files], [str(path) for _, path in files])

    def names(self, folder: str) -> list[str]:
        """Names of all objects below `folder`, sorted."""
        with self._errors(f"list {folder}"):
            found = self._store.find(self._full(folder))
        below = self._full(folder).rstrip("/") + "/"  # some stores list a folder that has just been emptied itself
        whole = (name for name in found if not name.endswith(".partial"))  # in a shared folder: being written
        return sorted(name[len(self._root) + 1 :] for name in whole if name.startswith(below))

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; one that is gone already does not matter."""
        for name in names:
            with self._errors(f"remove {name}"):
                try:
                    self._store.rm_file(self._full(name))
                except FileNotFoundError:
                    continue

    @property
    def _store(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """The file system and the path of the URL in it, once it has shown that locks are possible.

        Raises:
            StorageError: the store does not answer, has no such bucket, lets nobody write, or ignores conditions.
        """
        import fsspec

        options: dict[str, Any] = {"use_listings_cache": False}
        if self._local:
            options["auto_mkdir"] = True
        with self._errors("open it"):
            store, root = fsspec.url_to_fs(self.url, **options)
            self.__dict__["_opened"] = store, root.rstrip("/")
            try:
                self._create(_READY, b'{"layout": 1}\n')
                exclusive = not self._create(_READY, b"")
            except BaseException:
                del self.__dict__["_opened"]
                raise
        if not exclusive:
            raise StorageError(
                f"{self.url}: this store ignores conditions on writing (S3: If-None-Match), so that machines cannot "
                "lock each other out. Use a store that knows them, or a shared folder."
            )
        return self.__dict__["_opened"]  # type: ignore[no-any-return]

    @property
    def _local(self) -> bool:
        return self.url.partition("://")[0] in _LOCAL

    def _full(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _write(self, name: str, content: bytes) -> None:
        if not self._local:
            self._store.pipe_file(self._full(name), content)
            return
        with atomic_file(Path(self._full(name))) as temporary:
            temporary.write_bytes(content)

    def _create(self, name: str, content: bytes) -> bool:
        try:
            if self._local:
                self._link(Path(self._full(name)), content)
            else:
                self._store.pipe_file(self._full(name), content, mode="create")
        except FileExistsError:
            return False
        return True

    @staticmethod
    def _link(target: Path, content: bytes) -> None:
        """Write a file of a shared folder at once, unless it exists."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.{get_ident()}.partial")
        try:
            temporary.write_bytes(content)
            os.link(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except CxrAuditError:
            raise
        except Exception as error:  # every store's client has errors of its own
            if isinstance(error, OSError) and error.errno in _OURS:
                raise
            raise StorageError(f"{self.url}: could not {doing}: {_words(error)}") from None


_RESUMES = "What was finished is kept here, and the same command resumes."


def _words(error: Exception) -> str:
    """What is wrong and what to do, by the kind of the error alone."""
    name = type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or folder. Make it, or correct the URL."
    if isinstance(error, PermissionError):
        return "the store refuses it to these credentials. Ask for the right to read, write, list and remove there."
    if "Credential" in name or "Token" in name:
        return (
            f"there are no usable credentials ({name}). Give them as the store's client expects them: for S3 "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE) or a role."
        )
    if isinstance(error, ConnectionError | TimeoutError) or "Connect" in name or "Timeout" in name:
        return f"the store does not answer ({name}); check the network and AWS_ENDPOINT_URL. {_RESUMES}"
    return f"{name}. {_RESUMES}"
