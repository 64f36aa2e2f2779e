"""The regions of a run with what reviewers made of them, as COCO object detection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from flows.workspace import Workspace
from pipeline.artifacts import read_json
from pipeline.dataset import DatasetVersion
from pipeline.export.annotations import coco as formatted
from pipeline.export.source import Source


def coco(run: Path, regions: pd.DataFrame) -> dict[str, Any]:
    """Regions with their verdicts in COCO's form; all images of the data set are listed, by their paths.

    Args:
        run: folder of an audited run.
        regions: `image_id`, `kind`, `x0`, `y0`, `x1`, `y1` (original pixels), `confidence`, `verdict` (in force, null:
            none) and, as far as they are known, `text`, `detector`, `finding`, `held_back`, `origin`, `decided_by`.
            What is not null becomes an attribute; `removed` says whether the verdict is "accepted".
    """
    dataset = DatasetVersion(Workspace(run.parent.parent).datasets / read_json(run / "run.json")["request"]["dataset"])
    accepted = (regions["verdict"].astype("string") == "accepted").fillna(False)
    return formatted(Source(dataset, dataset.meta.version).images(), regions.assign(removed=accepted))
