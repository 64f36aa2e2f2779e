"""Lung fields of every image of a version, found once and kept in the workspace's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from flows.console import progress
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash
from pipeline.dataset import DatasetVersion

if TYPE_CHECKING:
    from pipeline.cleanse import Lungs


def lung_fields(workspace: Workspace, version: DatasetVersion) -> Lungs:
    """The lungs of all images of `version`; about 25 ms an image the first time."""
    from pipeline.flag.lungs import load_segmenter
    from pipeline.flag.lungs_dataset import lungs_dataset

    name, folder = lungs_name(), _folder(workspace, version)
    lungs_dataset(version, folder, np.arange(len(version)), load_segmenter, identity=name, progress=progress())
    return _read(folder, version.meta.size)


def lungs_so_far(run: Path, version: DatasetVersion) -> Lungs | None:
    """The lungs of `version` as far as they were found already: all, or those of the images that the audit `run`
    looked at; None: nobody looked for lungs."""
    folders = (_folder(Workspace(run.parent.parent), version), run / "lungs")
    return next((_read(folder, version.meta.size) for folder in folders if folder.exists()), None)


def _folder(workspace: Workspace, version: DatasetVersion) -> Path:
    return workspace.cache / "lungs" / f"{lungs_name()}-{version.meta.version}"


@lru_cache(maxsize=4)
def _read(folder: Path, size: int) -> Lungs:
    from pipeline.cleanse import Lungs
    from pipeline.flag.lungs_dataset import read_lungs

    table, masks = read_lungs(folder)
    return Lungs(lungs_name(), size, _Stored(table["image_id"].astype(str).tolist(), masks))


def lungs_name() -> str:
    """What finds lungs: the shipped segmenter and the code around it."""
    from models.lungs.network import SHIPPED_SHA256

    return content_hash([SHIPPED_SHA256, code_version("pipeline.flag.lungs", "models.lungs")])


class _Stored(Mapping[str, NDArray[np.bool_]]):
    """Masks on disk by image id, read when asked for: those of a large data set do not fit into memory."""

    REMEMBERED = 4096
    """Masks, 8 kB each, that are kept: a plan asks for each several times."""

    def __init__(self, image_ids: list[str], masks: zarr.Array[Any]) -> None:
        self._row = {name: row for row, name in enumerate(image_ids)}
        self._masks = masks
        self._packed = lru_cache(maxsize=self.REMEMBERED)(self._read)

    def __getitem__(self, image_id: str) -> NDArray[np.bool_]:
        shape = self._masks.shape[1:]
        bits = np.unpackbits(self._packed(self._row[image_id]), count=math.prod(shape))
        return np.asarray(bits.reshape(shape), dtype=np.bool_)

    def _read(self, row: int) -> NDArray[np.uint8]:
        return np.packbits(np.asarray(self._masks[row], dtype=np.bool_))

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)
