"""Is everything there that an audit needs? Looks, tries in temporary files, and changes nothing."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import Final

from flows.doctor.check import Check, Place

__all__ = ["GROUPS", "Check", "Place", "examine"]

GROUPS: Final = (
    *("versions", "decoders", "weights", "machine", "gpu", "disk", "database", "prefect_server", "dask_cluster"),
    "settings",
)
"""Modules of this package with a function `checks(place)`, in the order in which they are shown."""
PATIENCE = 30.0
"""Seconds for everything: a file server or a database that hangs must not hang this."""


def examine(place: Place) -> list[Check]:
    """Do all checks, side by side; one that fails itself or hangs is a problem of its own."""
    found: dict[str, list[Check]] = {}
    threads = [threading.Thread(target=_look, args=(group, place, found), daemon=True) for group in GROUPS]
    until = time.monotonic() + PATIENCE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    hung = "see what it hangs at: a file server, a database, a network"
    return [
        check
        for group in GROUPS
        for check in found.get(group, [Check(group, "check", "problem", f"no answer in {PATIENCE:.0f} s", hung)])
    ]


def _look(group: str, place: Place, found: dict[str, list[Check]]) -> None:
    try:
        found[group] = list(import_module(f"flows.doctor.{group}").checks(place))
    except Exception as error:  # a broken installation breaks in any way, and is what is looked for
        words = f"the check itself failed: {type(error).__name__}: {error}"
        found[group] = [Check(group, "check", "problem", words, "install again with constraints.txt")]
