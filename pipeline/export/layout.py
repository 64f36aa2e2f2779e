"""Where an image's file lies in an export."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipeline.errors import InputError


def safe(path: str) -> PurePosixPath:
    """A path of the images table, fit to be joined to an output folder.

    Raises:
        InputError: it is absolute or leads upwards, so the file would land outside the export.
    """
    place = PurePosixPath(path.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or not place.name:
        raise InputError(f"{path!r} cannot be mirrored in an export. Give paths below the data root in the manifest.")
    return place


def png_names(paths: Iterable[str]) -> dict[str, str]:
    """Path in the data root -> path in a PNG tree: the same folders and names, ending in ``.png``.

    Where two files differ in their ending only, the one that is no PNG keeps its own and gets another:
    ``a.png`` and ``a.jpg`` become ``a.png`` and ``a.jpg.png``. Names that differ in case only count as equal,
    because some file systems cannot hold both.

    Raises:
        InputError: a path leads out of the data root, or two files cannot be told apart.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in sorted(paths, key=lambda path: (not path.lower().endswith(".png"), path)):
        place = safe(path)
        candidates = (place.with_suffix(".png"), place.with_name(f"{place.name}.png"))
        name = next((str(each) for each in candidates if str(each).casefold() not in taken), None)
        if name is None:
            raise InputError(f"{path} and another file of the data set would get the same name as PNG. Rename one.")
        taken.add(name.casefold())
        names[path] = name
    return names
