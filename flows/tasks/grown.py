"""What an audit of a grown data set takes over, and what it says is new."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.growing import PER_IMAGE, Growth, Known, arrays_of
from flows.tasks.policy import stage
from pipeline.artifacts import write_json
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.takeover import take_over

GROWN = "grown.json"
SCRATCH = "grown.partial"
"""Folder of a run for results about new images until they stand beside those taken over."""

Rows = NDArray[np.int64]


def complete(
    artifact: str,
    data: DatasetVersion,
    rows: Rows,
    config: AuditConfig,
    run: Path,
    donor: Known | None,
    work: Callable[[Path, Rows], object],
) -> None:
    """Make `artifact` of `run` about `rows`: `work` does those that `donor` does not know, the others are taken over.

    Args:
        artifact: its name, one of `flows.growing.PER_IMAGE`.
        data: the data set.
        rows: ascending row numbers.
        config: settings of the run.
        run: its folder.
        donor: an earlier audit that has the artifact, or None.
        work: makes the artifact in a folder, of some of the rows.
    """
    if donor is None:
        work(run, rows)
        return
    scratch = run / SCRATCH
    left = rows[~data.images["image_id"].iloc[rows].isin(donor.image_ids(artifact)).to_numpy(dtype=bool)]
    if len(left):
        work(scratch, left)
    take_over(data, rows, donor.run / artifact, scratch / artifact, run / artifact, arrays_of(artifact, config))
    shutil.rmtree(scratch, ignore_errors=True)


@stage("say what is new")
def tell(growth: Growth) -> None:
    """Write grown.json: what came, changed and went since the last audit, and what was taken over of each artifact."""
    audited, since = growth.audited, growth.since
    data, earlier = DatasetVersion(audited.dataset), DatasetVersion(since.dataset)
    artifacts = {artifact: _taken(audited, artifact, growth.donor(artifact)) for artifact in PER_IMAGE}
    facts = {
        "since": {"run": since.run.name, "dataset": earlier.meta.version},
        **news(data.images, earlier.images),
        "stages": {"decoded files": _decoded(data, earlier, audited.config), **artifacts},
    }
    write_json(audited.run / GROWN, facts)


def nothing_new(run: Path, since: Known | None, worked: int) -> list[str]:
    """A sentence where an audit went on from another one and found nothing to do, else none."""
    if since is None or worked:
        return []
    return [f"Nothing new since run {run.name}: the same files, settings and code."]


def news(now: pd.DataFrame, before: pd.DataFrame) -> dict[str, Any]:
    """What differs between the images tables of two versions of a data set.

    Returns:
        ``images``: counts of ``new``, ``changed`` (another picture under a path that was there), ``gone``,
        ``unchanged`` and, of the unchanged, ``relabelled`` and ``moved`` to another split; ``new``, ``changed`` and
        ``gone``: their image ids, sorted; ``by_class``: how many came, new or changed; ``new_patients``: how many;
        ``new_sources``: their names.
    """
    came = now[~now["image_id"].isin(before["image_id"])]
    went = before[~before["image_id"].isin(now["image_id"])]
    changed = came["path"].isin(before["path"])
    gone = went[~went["path"].isin(came["path"])]
    both = now.merge(before, on="image_id", suffixes=("", "_before"))
    ids = {"new": came[~changed]["image_id"], "changed": came[changed]["image_id"], "gone": gone["image_id"]}
    counts = {
        **{name: len(each) for name, each in ids.items()},
        "unchanged": len(both),
        "relabelled": int((both["label"] != both["label_before"]).sum()),
        "moved": int((both["split"] != both["split_before"]).sum()),
    }
    return {
        "images": counts,
        **{name: sorted(each.astype(str)) for name, each in ids.items()},
        "by_class": {str(name): int(count) for name, count in came["label"].value_counts().sort_index().items()},
        "new_patients": len(set(now["patient_id"].dropna()) - set(before["patient_id"].dropna())),
        "new_sources": sorted(set(now["source"].dropna().astype(str)) - set(before["source"].dropna().astype(str))),
    }


def _decoded(data: DatasetVersion, earlier: DatasetVersion, config: AuditConfig) -> dict[str, Any]:
    from pipeline.ingest.previous import reads_alike

    known = data.images["file_sha256"].isin(earlier.images["file_sha256"])
    taken = int(known.sum()) if reads_alike(earlier, data.meta.name, config.ingest, data.meta.dtype) else 0
    return {"taken_over": taken, "computed": len(data) - taken, "from": None}


def _taken(audited: Known, artifact: str, donor: Known | None) -> dict[str, Any]:
    images = audited.image_ids(artifact)
    taken = len(images & donor.image_ids(artifact)) if donor else 0
    return {"taken_over": taken, "computed": len(images) - taken, "from": donor.run.name if donor else None}
