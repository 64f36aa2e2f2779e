"""Two audits of a data set side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from flows.console import progress
from flows.tasks.policy import stage
from flows.workspace import Workspace
from pipeline.artifacts import read_json, read_parquet, write_json
from pipeline.config import CompareConfig
from pipeline.dataset import DatasetVersion

if TYPE_CHECKING:
    from pipeline.drift import Audit

DRIFT = "drift.json"
"""What `pipeline.drift.compare_audits` found, `baseline` (what the audit was compared with) and `words`."""


@stage("compare with an earlier audit")
def compare(run: Path, baseline: dict[str, Any] | None) -> None:
    """Write drift.json: what changed since the audit `baseline`, or that there is none."""
    from pipeline.drift import compare_audits, drift_words

    found: dict[str, Any] = {"baseline": baseline, "rows": []}
    if baseline is not None:
        (then, earlier), (now, data) = _audit(run.parent / baseline["run"]), _audit(run)
        config = read_json(run / "run.json")["request"]["config"]
        clusters = _lookalikes(run, (earlier, then.regions), (data, now.regions))
        settings = CompareConfig.model_validate(config["compare"])
        found |= compare_audits(then, now, clusters, settings, config["seed"])
    write_json(run / DRIFT, {**found, "words": drift_words(found)})


def _audit(run: Path) -> tuple[Audit, DatasetVersion]:
    from pipeline.drift import Audit
    from pipeline.flag import looked_at

    request = read_json(run / "run.json")["request"]
    data = DatasetVersion(Workspace(run.parent.parent).datasets / request["dataset"])
    config = request["config"]
    audit = Audit(
        run=run.name,
        classifier=request["weights"],
        classes=data.meta.classes,
        positive=data.meta.positive,
        images=data.images,
        looked_at=looked_at(data, config["flag"]["looked_at"], config["seed"]),
        regions=read_parquet(run / "regions.parquet"),
        traits=read_parquet(run / "traits.parquet"),
        predictions=read_parquet(run / "predictions.parquet"),
        findings=read_json(run / "findings.json")["findings"],
    )
    return audit, data


def _lookalikes(
    run: Path, then: tuple[DatasetVersion, pd.DataFrame], now: tuple[DatasetVersion, pd.DataFrame]
) -> pd.Series[str]:
    """Cluster of every region of both audits, named as in the later one's review where it has members there."""
    from pipeline.review.lookalikes import lookalikes_of

    fresh = now[1][~now[1]["region_id"].isin(then[1]["region_id"])]
    joint = lookalikes_of([then, (now[0], fresh)], progress=progress()).dropna()
    return joint.map(_names(joint, read_parquet(run / "lookalikes.parquet")))


def _names(joint: pd.Series[str], shown: pd.DataFrame) -> dict[str, str]:
    """Name of each joint cluster: that of the review's cluster with most of its members, if no other has taken it."""
    known = shown.dropna(subset=["cluster"]).set_index("region_id")["cluster"].astype(str)
    pairs = pd.DataFrame({"joint": joint, "name": known.reindex(joint.index)}).dropna()
    counts = pairs.value_counts().reset_index().sort_values(["count", "joint", "name"], ascending=[False, True, True])
    names: dict[str, str] = {}
    for cluster, name in zip(counts["joint"].astype(str), counts["name"].astype(str), strict=True):
        if cluster not in names and name not in names.values():
            names[cluster] = name
    return {cluster: names.get(cluster, f"{cluster} of both audits") for cluster in sorted(set(joint))}
