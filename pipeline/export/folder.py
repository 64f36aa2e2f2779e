"""The folder of one export: never somebody else's, resumed where it stopped, and listing what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.artifacts import read_json, write_json
from pipeline.errors import InputError
from pipeline.storage import storage_errors

LEDGER = "export.json"


class ExportFolder:
    """`out`, opened for one export; `export.json` says which."""

    def __init__(self, out: Path, origin: dict[str, Any]) -> None:
        """Start an export of `origin` (data set, plan, code) in `out`, or go on with it.

        Raises:
            InputError: the folder holds other files, or another export.
        """
        self.path = out
        self._ledger = out / LEDGER
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file. Give a new folder with --out.")
        if self._ledger.exists():
            self._state: dict[str, Any] = read_json(self._ledger)
            other = [name for name, value in origin.items() if self._state.get(name) != value]
            if other:
                raise InputError(
                    f"{out} holds another export: {', '.join(other)} differ from {LEDGER} there. "
                    "Give a new folder with --out."
                )
        else:
            if out.exists() and any(out.iterdir()):
                raise InputError(f"{out} is not empty and holds no {LEDGER}: not an export. Give a new folder.")
            self._state = {**origin, "formats": {}, "counts": {}}
        self._state["complete"] = False
        with storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        write_json(self._ledger, self._state)

    def add(self, name: str, **facts: Any) -> None:
        """List format `name` as finished."""
        self._state["formats"][name] = facts
        write_json(self._ledger, self._state)

    def finish(self, counts: dict[str, Any]) -> dict[str, Any]:
        """Mark the export complete and return what export.json says."""
        self._state |= {"counts": counts, "complete": True}
        write_json(self._ledger, self._state)
        return self._state
