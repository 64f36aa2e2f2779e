"""The folder of this machine that mirrors a workspace in a store: what is brought, and what is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from flows.mirror.copying import Copying
from flows.mirror.index import LEDGER, SHARED, Index, Kept, comes_late, files_of, index_name, is_run, unit_of
from flows.mirror.lease import Lease
from flows.mirror.places import id_of, url_of
from flows.mirror.remote import Remote
from pipeline.artifacts import canonical_json, read_json, write_json
from pipeline.errors import IntegrityError, StorageError
from pipeline.locks import holder_of


@lru_cache(maxsize=8)
def mirror_at(root: Path) -> Mirror:
    """The mirror in folder `root`, one a process."""
    return Mirror(root, Remote(url_of(root) or ""))


class Mirror:
    """A workspace in a store and this machine's copies of it. Paths are of this machine, inside `root`."""

    def __init__(self, root: Path, remote: Remote) -> None:
        self.root = root
        self.remote = remote
        self._indexes: dict[str, Index] = {}
        self._leases: dict[str, Lease] = {}
        self._copying = Copying(root, remote)
        self._lock = threading.RLock()

    @property
    def id(self) -> str:
        """Tells it from a mirror at the same path of another machine."""
        return id_of(self.root)

    def has(self, path: Path) -> bool:
        """Whether the store holds the file `path` of a folder that was brought or kept."""
        inside = path.relative_to(self.root)
        unit = unit_of(inside)
        index = self.index(unit) if unit else None
        return index is not None and inside.relative_to(unit or "").as_posix() in index.files

    def bring(self, path: Path) -> bool:
        """See `pipeline.elsewhere.Keeper`."""
        inside = path.relative_to(self.root)
        if inside.parts and inside.parts[0] in SHARED:
            return self._bring_shared(inside.as_posix())
        unit = unit_of(inside)
        if unit is None:
            return False
        if is_run(unit):
            return self._bring_run(unit) and path.exists()
        if not (self.root / unit).exists():
            return self._bring_folder(unit) and (path == self.root / unit or self.bring(path))
        return path.exists() or self._bring_files(unit, inside.relative_to(unit).as_posix())

    def keep(self, path: Path) -> None:
        """See `pipeline.elsewhere.Keeper`.

        Raises:
            StorageError: the store cannot be written, or another process has taken over.
        """
        inside = path.relative_to(self.root)
        unit = unit_of(inside)
        if inside.parts and inside.parts[0] in SHARED and path.is_file():
            self.remote.write(inside.as_posix(), path.read_bytes())
        elif unit is not None and (self.root / unit).exists():
            with self._lock:
                self._keep_run(unit) if is_run(unit) else self._keep_folder(unit)

    @contextmanager
    def reserved(self, target: Path, doing: str) -> Iterator[None]:
        """See `pipeline.elsewhere.Keeper`. What was made is kept before others may have it.

        A small shared file is also read anew at the beginning.
        """
        inside = target.relative_to(self.root)
        shared = bool(inside.parts) and inside.parts[0] in SHARED
        unit = unit_of(inside)
        if not shared and (unit is None or self.root / unit != target):
            yield  # work at hand, which stays on this machine
            return
        lease = Lease(self.remote, inside.as_posix(), doing)
        lease.take()
        self._leases[inside.as_posix()] = lease
        try:
            if shared:
                self.bring(target)
            yield
            lease.require()
            self.keep(target)
        finally:
            del self._leases[inside.as_posix()]
            lease.release()

    def index(self, unit: str, *, anew: bool = False) -> Index | None:
        """What the store holds of a folder; of one that never changes it is asked once."""
        if not anew and unit in self._indexes:
            return self._indexes[unit]
        here = self.root / index_name(unit)
        content = here.read_bytes() if here.exists() and not is_run(unit) else self.remote.read(index_name(unit))
        index = Index.parse(content) if content is not None else None
        if index is not None:
            self._note(unit, index)
        return index

    def runs(self) -> list[str]:
        """Ids of all runs in the store."""
        return [Path(name).stem for name in self.remote.names(".index/runs")]

    def _note(self, unit: str, index: Index) -> None:
        self._indexes[unit] = index
        if not is_run(unit):
            write_json(self.root / index_name(unit), read_of(index))

    def _bring_shared(self, name: str) -> bool:
        content = self.remote.read(name)
        if content is None:
            return False
        write_json(self.root / name, read_of(content))
        return True

    def _bring_folder(self, unit: str) -> bool:
        index = self.index(unit)
        if index is None:
            return False
        names = [name for name in index.files if not comes_late(unit, name)]
        with self._fetched(unit, index, names) as folder:
            (self.root / unit).parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.rename(self.root / unit)
            except OSError:
                if not (self.root / unit).exists():  # else another process was faster
                    raise
        return True

    def _bring_files(self, unit: str, name: str) -> bool:
        """Bring a file that comes late, or a folder of such."""
        index = self.index(unit)
        names = [each for each in index.files if each == name or each.startswith(f"{name}/")] if index else []
        if index is None or not names:
            return False
        with self._fetched(unit, index, names) as folder:
            self._copying.move(folder, self.root / unit, names)
        return True

    def _bring_run(self, unit: str) -> bool:
        """Make a run here as it is in the store; what is only here stays. Not while another process works on it."""
        run = self.root / unit
        if unit not in self._leases and run.exists() and holder_of(run):
            return True
        index = self.index(unit, anew=True)
        if index is None or index.ledger is None:
            return run.exists()
        wanted = [name for name, kept in index.files.items() if self._measure(run / name) != kept]
        with self._fetched(unit, index, wanted) as folder:
            self._copying.move(folder, run, wanted)
        ledger = read_json(run / LEDGER) if (run / LEDGER).exists() else index.ledger
        merged = {**index.ledger, "artifacts": {**ledger["artifacts"], **index.ledger["artifacts"]}}
        if canonical_json(ledger) != canonical_json(merged) or not (run / LEDGER).exists():
            write_json(run / LEDGER, merged)
        return True

    def _keep_folder(self, unit: str) -> None:
        if self.index(unit) is not None:
            return
        self._require_lease(unit)
        files = files_of(self.root / unit)
        index = Index({name: self._copying.measure(path) for name, path in files.items()})
        self._copying.put(unit, list(files))
        self._require_lease(unit)
        if not self.remote.create(index_name(unit), index.content()):
            other = Index.parse(self.remote.read(index_name(unit)) or b"")
            if other is not None and other != index:
                raise StorageError(
                    f"{self.remote.url}: another machine kept another {unit} at the same time. Remove its object "
                    f"{index_name(unit)} from the store and run again."
                )
            self.remote.write(index_name(unit), index.content())
        self._note(unit, index)

    def _keep_run(self, unit: str) -> None:
        """Bring the store up to date with a run. At any moment all that its index lists is whole."""
        run = self.root / unit
        before = self.index(unit) or Index({})
        files = files_of(run)
        now = Index({name: self._copying.measure(path) for name, path in files.items()}, read_json(run / LEDGER))
        changed = {name for name, kept in before.files.items() if now.files.get(name) != kept}
        wanted = [name for name in files if before.files.get(name) != now.files[name]]
        if not changed and not wanted and before.ledger == now.ledger:
            return
        self._require_lease(unit)
        if changed:
            self._publish(unit, before.without(changed))
        self._copying.put(unit, wanted)
        self.remote.remove([f"{unit}/{name}" for name in changed if name not in files])
        self._require_lease(unit)
        self._publish(unit, now)
        self.remote.put([(run / LEDGER, f"{unit}/{LEDGER}")])  # for who looks at the store without this program

    def _publish(self, unit: str, index: Index) -> None:
        self.remote.write(index_name(unit), index.content())
        self._indexes[unit] = index

    def _require_lease(self, unit: str) -> None:
        if unit in self._leases:
            self._leases[unit].require()

    @contextmanager
    def _fetched(self, unit: str, index: Index, names: list[str]) -> Iterator[Path]:
        """See `Copying.fetched`; of a folder that turned out damaged the index is forgotten."""
        try:
            with self._copying.fetched(unit, index, names) as folder:
                yield folder
        except IntegrityError:
            self._indexes.pop(unit, None)
            (self.root / index_name(unit)).unlink(missing_ok=True)
            raise

    def _measure(self, path: Path) -> Kept | None:
        """Of a file that may not be here."""
        return self._copying.measure(path) if path.is_file() else None


def read_of(index: Any) -> Any:
    """JSON of an index or of an object's content."""
    return json.loads(index.content() if isinstance(index, Index) else index)
