"""What the review page needs besides the audit's own artifacts."""

from __future__ import annotations

from pathlib import Path

from flows.console import progress
from flows.tasks.policy import stage
from pipeline.artifacts import read_parquet, write_parquet
from pipeline.dataset import DatasetVersion

LOOKALIKES = "lookalikes.parquet"
"""region_id and cluster: regions that look alike, so that one decision can be made for all of them."""


@stage("prepare the review")
def prepare(run: Path, dataset: Path) -> None:
    """Write lookalikes.parquet of the regions that the audit looked at."""
    from pipeline.review.lookalikes import lookalikes

    regions = read_parquet(run / "regions.parquet")
    write_parquet(run / LOOKALIKES, lookalikes(DatasetVersion(dataset), regions, progress=progress()).reset_index())
