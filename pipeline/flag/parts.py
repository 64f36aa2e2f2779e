"""A table over all images of a dataset version, part by part, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.artifacts import code_version, read_parquet, write_parquet
from pipeline.dataset import DatasetVersion, open_version
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here, parts_of, spread_blocks

PART = 32
"""Images a process looks at before it reports; also the unit of resuming."""


class Look(Protocol):
    """What is done with one image. Processes are handed it by name: it must be a function of a module."""

    def __call__(self, dataset: DatasetVersion, row: int) -> Sequence[dict[str, Any]]:
        """Records of the image of `row`, any number of them."""


def table_by_parts(
    dataset: DatasetVersion,
    out: Path,
    look: Look,
    columns: dict[str, str],
    *,
    stage: str,
    rows: NDArray[np.int64] | None = None,
    spread: Spread = here,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Look at images of `dataset` and write the records, in the order of the images table, to `out`.

    Finished parts are kept in ``<out>.partial/`` and not done again after an interruption.

    Args:
        dataset: what is looked at, at the resolution of its pixel store.
        out: the table's path (Parquet).
        look: gives the records of one image.
        columns: of the table, with their pandas types.
        stage: how `progress` calls it.
        rows: which images, in table order; all when None.
        spread: who does the parts.
        progress: told after every part.
    """
    chosen = np.arange(len(dataset)) if rows is None else rows

    def part_of(block: NDArray[np.int64], target: Path) -> _Seen:
        return _Seen(dataset.path, tuple(block.tolist()), target, look, tuple(columns.items()))

    def told(done: int) -> None:
        progress(stage, done, len(chosen))

    with parts_of(out, [dataset.meta.version, code_version("pipeline.flag"), chosen.tolist()]) as folder:
        parts = spread_blocks(chosen, PART, part_of, folder, spread, told)
        tables = [read_parquet(part.target) for part in parts]
        table = pd.concat(tables, ignore_index=True).astype(columns) if tables else _table([], columns)
        write_parquet(out, table)
    return table


def stored_picture(dataset: DatasetVersion, row: int) -> NDArray[np.uint8 | np.uint16]:
    """The stored pixels of one image without the letterbox padding, (H, W), from pixel (pad_y, pad_x) of the store."""
    place = dataset.transform(row)
    top, left = int(place.pad_y), int(place.pad_x)
    height, width = round(place.height * place.scale), round(place.width * place.scale)
    picture: NDArray[np.uint8 | np.uint16] = dataset.pixels([row])[0][top : top + height, left : left + width]
    return picture


@dataclass(frozen=True)
class _Seen:
    """Records of some images."""

    dataset: Path
    rows: tuple[int, ...]
    target: Path
    look: Look
    columns: tuple[tuple[str, str], ...]
    network: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[Path, ...]:
        return (self.dataset,)

    def do(self) -> None:
        dataset = open_version(self.dataset)
        records = [each for row in self.rows for each in self.look(dataset, row)]
        write_parquet(self.target, _table(records, dict(self.columns)))


def _table(records: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(records, columns=list(columns)).astype(columns)
