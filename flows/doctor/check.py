"""What one check says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        group: file of this package that looked.
        found: what is there, in words.
        fix: what to do about it; "" where nothing is to be done.
    """

    group: str
    name: str
    status: Status
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Place:
    """Where is looked, besides this machine."""

    workspace: Path
    data_root: Path | None = None


def checked(group: str, name: str, good: bool, found: str, fix: str, otherwise: Status = "problem") -> Check:
    """Ok where `good`, else `otherwise` with the way to fix it."""
    return Check(group, name, "ok" if good else otherwise, found, "" if good else fix)


def skipped(group: str, name: str, why: str) -> Check:
    """Nothing to look at, which is fine."""
    return Check(group, name, "ok", why)
