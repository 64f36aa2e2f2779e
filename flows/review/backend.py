"""All that the review page asks of the other stages, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.prefect_api import configured
from flows.review.announce import announce
from flows.review.cleansed_preview import cleansed_preview
from flows.review.coco import coco
from flows.review.explain import explain_one
from flows.review.jobs import Jobs
from flows.review.plan_preview import plan_preview
from flows.workspace import review_database
from pipeline.errors import InputError
from pipeline.review.backend import Backend, Job, PlanPreview


@dataclass(frozen=True)
class _Backend:
    """`pipeline.review.backend.Backend` over a workspace and the database of its review."""

    database: str
    jobs: Jobs

    def plan(self, run: Path) -> PlanPreview:
        return plan_preview(run, self.database)

    def start(self, run: Path, by: str, device: str = "auto") -> Job:
        if self.jobs.job(run).state not in ("waiting", "running"):  # else `start` says who is at work
            preview = self.plan(run)
            if not preview.possible:
                raise InputError(" ".join(preview.words) or "There is nothing to repair: no finding was accepted.")
        return self.jobs.start(run, by, device)

    def job(self, run: Path) -> Job:
        return self.jobs.job(run)

    def cancel(self, run: Path, by: str) -> Job:
        return self.jobs.cancel(run, by)

    def reviewed(self, run: Path, by: str) -> None:
        if configured():
            announce(run, by)

    def cleansed(self, run: Path, image_id: str, regions: pd.DataFrame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        return cleansed_preview(run, image_id, regions)

    def explain(self, run: Path, image_id: str, method: str) -> NDArray[np.float32]:
        return explain_one(run, image_id, method)

    def coco(self, run: Path, regions: pd.DataFrame) -> dict[str, Any]:
        return coco(run, regions)


def make_backend(workspace: Path, database: str | None) -> Backend:
    """What `create_app` wants.

    Args:
        workspace: whose runs are reviewed.
        database: path or URL of the review's database, for repairs too; None: `flows.workspace.review_database`.
    """
    place = database or review_database(workspace)
    absolute = place if "://" in place else str(Path(place).resolve())  # a repair may have another working directory
    return _Backend(absolute, Jobs(absolute))
