"""Lung fields of every image of a version, found once and kept in the workspace's cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    from pipeline.cleanse import Lungs
    from pipeline.flag.lungs import load_segmenter
    from pipeline.flag.lungs_dataset import lungs_dataset, read_lungs

    name = lungs_name()
    folder = workspace.cache / "lungs" / f"{name}-{version.meta.version}"
    lungs_dataset(version, folder, np.arange(len(version)), load_segmenter(), identity=name, progress=progress())
    table, masks = read_lungs(folder)
    return Lungs(name, version.meta.size, _Stored(table["image_id"].astype(str).tolist(), masks))


def lungs_name() -> str:
    """What finds lungs: the shipped segmenter and the code around it."""
    from models.lungs.network import SHIPPED_SHA256

    return content_hash([SHIPPED_SHA256, code_version("pipeline.flag.lungs", "models.lungs")])


class _Stored(Mapping[str, NDArray[np.bool_]]):
    """Masks on disk by image id, read when asked for: those of a large data set do not fit into memory."""

    def __init__(self, image_ids: list[str], masks: zarr.Array[Any]) -> None:
        self._row = {name: row for row, name in enumerate(image_ids)}
        self._masks = masks

    def __getitem__(self, image_id: str) -> NDArray[np.bool_]:
        return np.asarray(self._masks[self._row[image_id]], dtype=np.bool_)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)
