"""The lungs of every picture, also where none were found: then those that most training pictures have there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.masks import Mask, Record, content_size
from pipeline.cleanse.repairs.action import Bench
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError

_SIDE = 128
"""Side of the square in which lungs of pictures of different shape are averaged."""

Fields = Callable[[Record], tuple[Mask, bool]]
"""Row of the images table -> lungs in its content, and whether they were found on this picture."""


def lung_fields(bench: Bench, trained_on: DatasetVersion) -> Callable[[DatasetVersion], Fields]:
    """A way to get the lungs of any version's pictures.

    Where none are found, the typical lungs are taken: what is lung in more than half of the training pictures on which
    they are found, at the same place relative to the picture. A whole picture among cropped ones would stand out, and
    lungs are missed more often where disease hides them: the repair would make a new shortcut.

    Args:
        bench: finds the lungs.
        trained_on: its split train gives the typical lungs, when they are first needed.
    """

    @cache
    def typical() -> NDArray[np.float32]:
        return _typical(trained_on, bench.find_lungs(trained_on))

    def fields_of(version: DatasetVersion) -> Fields:
        lungs = bench.find_lungs(version)

        def fields(record: Record) -> tuple[Mask, bool]:
            found = lungs.field(record)
            if found is not None:
                return found, True
            height, width = content_size(record)
            return cv2.resize(typical(), (width, height)) > 0.5, False

        return fields

    return fields_of


def _typical(dataset: DatasetVersion, lungs: Lungs) -> NDArray[np.float32]:
    total, count = np.zeros((_SIDE, _SIDE)), 0
    for record in dataset.images.iloc[dataset.rows("train")].to_dict("records"):
        field = lungs.field(record)
        if field is not None:
            total += cv2.resize(field.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
            count += 1
    if not (total > 0.5 * max(count, 1)).any():
        raise EmptyResultError(
            f"Lungs were found on {count} training images of {dataset.meta.name}, too few to say where they usually "
            "are. Leave out the repairs that need lungs."
        )
    return (total / count).astype(np.float32)
