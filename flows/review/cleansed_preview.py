"""One image as a repair would leave it, for the page: pixel by pixel what `apply_plan` gives."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.cleansing import own_inpainter
from flows.review.studied import Studied, studied
from flows.workspace import Workspace
from pipeline.cleanse import Plan
from pipeline.cleanse.filling import Filling
from pipeline.cleanse.holes import holes, records
from pipeline.cleanse.normalise import draw_markers
from pipeline.dataset import from_unit


def cleansed_preview(run: Path, image_id: str, regions: pd.DataFrame) -> NDArray[Any]:
    """The stored pixels (S, S), in the store's data type, of an image with `regions` filled.

    Filled as the run's plan.yaml says, or, before there is one, as its settings say: by the inpainter trained on the
    data set where that is done already, else by the shipped one. A decoy, which a repair puts into images without
    regions to remove, is not shown.

    Args:
        run: folder of an audited run.
        image_id: an image of its data set.
        regions: rows with `kind`, `text`, `x0`, `y0`, `x1`, `y1` in original pixels; all are filled.

    Raises:
        InputError: no such image, or nothing of it would be left.
    """
    study, bundles = studied(run), Workspace(run.parent.parent).models
    plan, row = _plan(study), study.row(image_id)
    table = study.dataset.images.iloc[[row]]
    of = records(table)
    found = holes(plan, regions.assign(image_id=image_id))(of[0])
    filling = Filling(plan, "cleanse", study.audited.config.seed, bundles)
    filled = filling(study.dataset.tensor([row]), table, [found])
    shown = draw_markers(filled, of) if plan.normalises else filled
    return np.asarray(from_unit(shown, study.dataset.meta.dtype)[0])


def _plan(study: Studied) -> Plan:
    path = study.audited.run / "plan.yaml"
    if path.exists():
        return _read(path, path.stat().st_mtime_ns)
    cleanse, inpainter = study.audited.config.cleanse, own_inpainter(study.audited)
    fill = inpainter.name if inpainter and inpainter.bundle.exists() else cleanse.fill
    return Plan(dataset=study.dataset.meta.version, fill=fill, dilation=cleanse.dilation, lines=())


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int) -> Plan:
    return Plan.read(path)
