"""Whether an immutable folder is what was written: every finished data set version and bundle lists its files.

<folder>/files.json    {name: {"bytes": size, "sha256": hex}} of every other file, written last

Names and sizes are compared whenever a folder is opened; hashes where a file is read whole, and by `cxr-audit verify`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pipeline import elsewhere
from pipeline.artifacts import read_json, sha256_file, write_json
from pipeline.errors import IntegrityError
from pipeline.locks import locked

FILES = "files.json"
_LOGGER = logging.getLogger("cxr_audit.integrity")


def seal(folder: Path) -> None:
    """List every file below `folder` with size and sha256 in its files.json."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / FILES)
    listed = {p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": sha256_file(p)} for p in files}
    write_json(folder / FILES, listed)


def sealed(folder: Path) -> bool:
    """Whether `folder` lists its files; those made before there were such lists do not."""
    return (folder / FILES).exists()


def damage(folder: Path, *, thorough: bool = False) -> list[str]:
    """What is wrong with the files that `folder` lists, a phrase each; a folder without a list has nothing to tell.

    Args:
        folder: of a data set version or a bundle.
        thorough: read every file and compare its hash, not its size alone.
    """
    if not sealed(folder):
        return []
    try:
        listed = read_json(folder / FILES)
    except IntegrityError:
        return [f"{FILES} cannot be read"]
    found = (_damage(folder, name, entry, thorough) for name, entry in listed.items())
    return [words for words in found if words]


def check(folder: Path, *names: str) -> None:
    """Compare names and sizes of all files of `folder` with its list, and the hashes of the files `names`.

    Raises:
        IntegrityError: they differ.
    """
    if not folder.exists():
        elsewhere.bring(folder)
    wrong = damage(folder)
    if not wrong and sealed(folder):
        listed = read_json(folder / FILES)
        wrong = [words for name in names if (words := _damage(folder, name, listed[name], thorough=True))]
    if wrong:
        raise IntegrityError(f"{folder} is damaged: {_listed(wrong)}.", folder)


def present(folder: Path) -> bool:
    """Whether `folder` is there and has all its files; a damaged one is set aside, so that it can be made anew."""
    if not folder.exists():
        return elsewhere.bring(folder)
    if not damage(folder):
        return True
    with locked(folder, f"sets aside {folder.name}"):
        wrong = damage(folder) if folder.exists() else []  # again: another process may have been quicker
        if wrong:
            place, words = set_aside(folder), "%s is damaged: %s. It is set aside as %s and made anew."
            _LOGGER.warning(words, folder, _listed(wrong), place.name)
    return folder.exists() or elsewhere.bring(folder)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to ``<name>.damaged-<n>``, to be made anew and looked at; returns where it is."""
    number = 1
    while (place := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(place)
    return place


def _damage(folder: Path, name: str, entry: dict[str, Any], thorough: bool) -> str | None:
    path = folder / name
    if not path.is_file():
        return None if elsewhere.has(path) else f"{name} is missing"
    size = path.stat().st_size
    if size != entry["bytes"]:
        return f"{name} has {size:,} bytes instead of {entry['bytes']:,}"
    if thorough and sha256_file(path) != entry["sha256"]:
        return f"{name} has other content than was written"
    return None


def _listed(wrong: list[str]) -> str:
    more = f", and {len(wrong) - 3} files more" if len(wrong) > 3 else ""
    return "; ".join(wrong[:3]) + more
