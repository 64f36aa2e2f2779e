"""What changed since the accepted audit of a data set: drift.json of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from prefect.artifacts import create_table_artifact

from flows.acceptance import accepted, dataset_of
from flows.history import ended
from flows.steps import Steps
from flows.tasks import drift as task
from flows.tasks.drift import DRIFT
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash, read_json
from pipeline.dataset import DatasetMeta

MOST_ROWS = 100
"""Of the table in Prefect; drift.json holds all."""

_MADE_OF = ("predictions.parquet", "regions.parquet", "traits.parquet", "findings.json")


@dataclass(frozen=True)
class Baseline:
    """The audit that a run is compared with."""

    run: str
    kind: Literal["accepted", "previous"]
    by: str | None = None
    """Who accepted it."""


def since_accepted(run: Path, steps: Steps) -> list[str]:
    """Compare an audit that has its findings with the accepted one; the sentences of drift.json.

    Where none is accepted, it is compared with the audit of the data set that ended before it. What a run was compared
    with stays: only another accepted audit makes the comparison anew.
    """
    folder, recorded = steps.folder(run), _recorded(run)
    baseline = baseline_of(run)
    earlier = run.parent / baseline.run if baseline else None
    if recorded is None or earlier is None or _comparable(run, earlier):
        made_of = [[folder.sha256(name) for name in _MADE_OF], _hashes(earlier) if earlier else None]
        code = code_version("pipeline.drift", "pipeline.report", "pipeline.review.lookalikes", "flows.tasks.drift")
        key = content_hash([asdict(baseline) if baseline else None, made_of, code])
        record = asdict(baseline) if baseline else None
        steps.once(folder, DRIFT, key, lambda: task.compare(run, record))
    drift = read_json(run / DRIFT)
    if drift["rows"]:
        _show(drift)
    return list(drift["words"])


def baseline_of(run: Path) -> Baseline | None:
    """The audit to compare `run` with; None where there is none."""
    workspace, dataset = Workspace(run.parent.parent), dataset_of(run)
    found, recorded = accepted(workspace, dataset), _recorded(run)
    if found is not None and found.run != run.name and _comparable(run, workspace.runs / found.run):
        return Baseline(found.run, "accepted", found.by)
    if recorded is not None:
        return Baseline(**recorded["baseline"]) if recorded["baseline"] else None
    others = (each for each in ended(workspace, dataset) if each != run and _comparable(run, each))
    previous = next(others, None)
    return Baseline(previous.name, "previous") if previous else None


def _recorded(run: Path) -> dict[str, Any] | None:
    return read_json(run / DRIFT) if (run / DRIFT).exists() else None


def _comparable(run: Path, other: Path) -> bool:
    """Whether another audit is still there, with its data set, and about the same classes."""
    if not all((other / name).exists() for name in ("run.json", *_MADE_OF)):
        return False
    one, two = _meta(run), _meta(other)
    return one is not None and two is not None and (one.classes, one.positive) == (two.classes, two.positive)


def _meta(run: Path) -> DatasetMeta | None:
    version = Workspace(run.parent.parent).datasets / read_json(run / "run.json")["request"]["dataset"]
    return DatasetMeta(**read_json(version / "meta.json")) if (version / "meta.json").exists() else None


def _hashes(run: Path) -> dict[str, str]:
    listed = read_json(run / "run.json")["artifacts"]
    return {name: listed[name]["sha256"] for name in _MADE_OF if name in listed}


def _show(drift: dict[str, Any]) -> None:
    from flows.tasks.artifacts import as_markdown
    from pipeline.drift import TEXT, row_title

    rows = [row for row in drift["rows"] if row["about"] != TEXT]
    table = [
        {
            "what": row_title(row),
            "then": row["then"]["mean"],
            "now": row["now"]["mean"],
            "difference": [row["difference"][name] for name in ("mean", "low", "high")],
            "N": [row["then"]["n"], row["now"]["n"]],
            "q": row["q"],
            "verdict": row["verdict"],
        }
        for row in rows[:MOST_ROWS]
    ]
    create_table_artifact(key="drift", table=table, description="\n\n".join(map(as_markdown, drift["words"])))
