"""Parts of a stage on machines that each have a mirror of their own."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from threading import get_ident
from typing import Any

from flows.mirror.index import Kept, is_run, measured, unit_of
from flows.mirror.mirror import Mirror, mirror_at
from flows.mirror.places import folder_of, root_of
from pipeline.artifacts import canonical_json
from pipeline.errors import IntegrityError, StorageError
from pipeline.spread import Part, Spread, undone

_PARTS = ".parts"
"""Where the store keeps what parts need and leave while a stage is at work."""


def mirrored(spread: Spread, workspace: Path) -> Spread:
    """`spread`, for workers that share no folder with this process; as it is where `workspace` is no mirror.

    What a part needs is in the store before it starts, its target is there when it ends, and is brought here.
    """
    root = root_of(workspace.absolute())
    if root is None:
        return spread
    mirror = mirror_at(root)

    def through_the_store(parts: Sequence[Part]) -> Iterator[None]:
        exchange = Exchange(mirror, uuid.uuid4().hex)
        for part in undone(parts):
            exchange.take(part.target)
        todo, where = undone(parts), (root, mirror.remote.url, mirror.id, exchange.id)
        try:
            yield from spread([Mirrored(part, *where, exchange.offered(part.needs)) for part in todo])
        finally:
            with suppress(StorageError):  # what went wrong before matters more than what stays in the store
                exchange.withdraw()
        for part in todo:
            if not part.target.exists() and not exchange.take(part.target):
                raise StorageError(f"{mirror.remote.url} lost {part.target.name}, which a worker had left there.")
        exchange.clear([part.target for part in parts])

    return through_the_store


@dataclass(frozen=True)
class Mirrored:
    """A part, and where it was cut: a worker moves its paths into a mirror of its own.

    Attributes:
        part: with paths of the flow's process.
        root: the mirror of the flow's process.
        url: what it mirrors.
        mirror: id of that mirror; a worker that has the same one works in it.
        exchange: id of the exchange that has the offers.
        offers: what the part needs besides data sets and models, by name in the workspace.
    """

    part: Part
    root: Path
    url: str
    mirror: str
    exchange: str
    offers: Mapping[str, Kept]

    @property
    def needs(self) -> tuple[Path, ...]:
        """See `Part`."""
        return self.part.needs

    @property
    def target(self) -> Path:
        """See `Part`; on the machine of the flow's process."""
        return self.part.target

    @property
    def network(self) -> bool:
        """See `Part`."""
        return self.part.network

    def do(self) -> None:
        """Bring what it needs, do the part here, and leave its target in the store."""
        mirror = mirror_at(folder_of(self.url))
        if mirror.id == self.mirror:
            self.part.do()
            return
        part: Part = moved(self.part, self.root, mirror.root)
        exchange = Exchange(mirror, self.exchange)
        for name, kept in self.offers.items():
            exchange.accept(name, kept)
        for path in part.needs:
            if path.is_relative_to(mirror.root) and not path.exists():
                mirror.bring(path)
        if not part.target.exists():
            part.target.parent.mkdir(parents=True, exist_ok=True)
            part.do()
        exchange.give(part.target)


def moved(value: Any, root: Path, to: Path) -> Any:
    """`value` with all paths below `root`, also in tuples, mappings and dataclasses, moved below `to`."""
    if isinstance(value, Path):
        return to / value.relative_to(root) if value.is_relative_to(root) else value
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(moved(each, root, to) for each in value)
    if isinstance(value, dict):
        return {key: moved(each, root, to) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changes = {
            field.name: new
            for field in fields(value)
            if field.init and (new := moved(old := getattr(value, field.name), root, to)) is not old and new != old
        }
        return replace(value, **changes) if changes else value
    return value


class Exchange:
    """Files on their way between the mirrors of several machines.

    An object that is offered is named by its content and the exchange, so that it can go without being missed by
    another flow; those of a result lie beside the list of their hashes, so that they can go with it.
    """

    def __init__(self, mirror: Mirror, exchange: str) -> None:
        self.id = exchange
        self._mirror = mirror
        self._offers: dict[Path, dict[str, Kept]] = {}
        self._taken: list[str] = []

    def offered(self, needs: Sequence[Path]) -> dict[str, Kept]:
        """Put what is needed into the store; what workers bring from there anyhow is left out."""
        inside = [path for path in needs if path.is_relative_to(self._mirror.root)]
        found: dict[str, Kept] = {}
        for path in inside:
            if path not in self._offers:
                self._offers[path] = self._put(path)
            found |= self._offers[path]
        return found

    def accept(self, name: str, kept: Kept) -> None:
        """Have an offered file here, as it was offered."""
        path = self._mirror.root / name
        if not path.is_file() or measured(path) != Kept(*kept):
            self._fetch(self._offer(Kept(*kept)), path, kept)

    def give(self, target: Path) -> None:
        """Leave a part's target, a file or a folder, in the store."""
        if self._immutable(target):
            self._mirror.keep(target)
            return
        result, files = _result(self._name(target)), _files(target)
        found = {name: measured(path) for name, path in files.items()}
        self._mirror.remote.put([(path, f"{result}/{found[name].sha256}") for name, path in files.items()])
        self._mirror.remote.write(f"{result}.json", canonical_json(found).encode())

    def take(self, target: Path) -> bool:
        """Have a part's target here, if a worker left it."""
        import json

        if self._immutable(target):
            return self._mirror.bring(target)
        result = _result(self._name(target))
        content = self._mirror.remote.read(f"{result}.json")
        if content is None:
            return False
        working = target.with_name(f".{target.name}.brought")
        for name, entry in json.loads(content).items():
            kept = Kept(*entry)
            self._fetch(f"{result}/{kept.sha256}", working / name if name else working, kept)
            self._taken.append(f"{result}/{kept.sha256}")
        working.replace(target)
        return True

    def withdraw(self) -> None:
        """Remove what was offered."""
        offers = {self._offer(kept) for files in self._offers.values() for kept in files.values()}
        self._mirror.remote.remove(sorted(offers))

    def clear(self, targets: Sequence[Path]) -> None:
        """Remove results, with the objects that were taken."""
        results = [f"{_result(self._name(target))}.json" for target in targets if not self._immutable(target)]
        self._mirror.remote.remove([*results, *dict.fromkeys(self._taken)])

    def _put(self, path: Path) -> dict[str, Kept]:
        if unit_of(path.relative_to(self._mirror.root)) and self._immutable(path):
            self._mirror.keep(path)
            return {}
        files = {file.relative_to(self._mirror.root).as_posix(): file for file in _files(path).values()}
        found = {name: measured(file) for name, file in files.items()}
        self._mirror.remote.put([(files[name], self._offer(kept)) for name, kept in found.items()])
        return found

    def _fetch(self, name: str, path: Path, kept: Kept) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.partial")
        self._mirror.remote.get([(name, temporary)])
        if not temporary.is_file() or measured(temporary) != Kept(*kept):
            raise IntegrityError(f"{self._mirror.remote.url}/{name} is not what was kept. Run again.")
        temporary.replace(path)

    def _immutable(self, path: Path) -> bool:
        unit = unit_of(path.relative_to(self._mirror.root))
        return unit is not None and not is_run(unit)

    def _offer(self, kept: Kept) -> str:
        return f"{_PARTS}/objects/{self.id}/{kept.sha256}"

    def _name(self, path: Path) -> str:
        return path.relative_to(self._mirror.root).as_posix()


def _result(name: str) -> str:
    return f"{_PARTS}/results/{hashlib.sha256(name.encode()).hexdigest()}"


def _files(path: Path) -> dict[str, Path]:
    """Files of a folder by name, or the file itself under the empty name."""
    if not path.is_dir():
        return {"": path}
    return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
