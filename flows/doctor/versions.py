"""Are the installed packages those that this version asks for? Known troubles are named."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Final

from packaging.requirements import Requirement

from flows.doctor.check import Check, Place, checked, skipped

DISTRIBUTION = "cxr-audit"
_KNOWN: Final = {
    "fastapi": "no flow starts: Body() got an unexpected keyword argument",
    "sqlalchemy": "schedules never fire: the server's scheduler crashes in a loop",
    "prefect": "flows, schedules and the pins of FastAPI and SQLAlchemy were tested with 3.8 alone",
}
"""What is known to go wrong outside the range."""
_FIX: Final = "install into a fresh environment with `pip install --constraint constraints.txt`"


def checks(_: Place) -> Iterator[Check]:
    """Python, every required package, and OpenCV, which brings one build too many."""
    yield checked("versions", "Python", sys.version_info >= (3, 11), sys.version.split()[0], "use Python 3.11 or newer")
    required = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or []]
    wanted = [each for each in required if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [problem for problem in map(_problem, wanted) if problem]
    yield from wrong
    if not wrong:
        found = (
            f"{len(wanted)} required packages, all in the ranges that {DISTRIBUTION} {_version(DISTRIBUTION)} asks for"
        )
        yield skipped("versions", "packages", found)
    yield _opencv()


def _problem(wanted: Requirement) -> Check | None:
    found = _version(wanted.name)
    if found is not None and wanted.specifier.contains(found, prereleases=True):
        return None
    known = _KNOWN.get(wanted.name.lower())
    words = f"{found or 'not installed'}, wanted {wanted.specifier}" + (f"; {known}" if known else "")
    return checked("versions", wanted.name, False, words, _FIX)


def _opencv() -> Check:
    try:
        import cv2
    except ImportError as error:
        fix = "pip install --no-deps --force-reinstall opencv-python-headless, in the version of constraints.txt"
        return checked("versions", "OpenCV", False, f"cannot be imported ({error.name or type(error).__name__})", fix)
    return skipped("versions", "OpenCV", f"{cv2.__version__}, imports without a screen")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
