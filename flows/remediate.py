"""The `remediate` flow: decisions -> plan -> cleanse -> retrain -> compare -> report."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.audit import Audited
from flows.cleansing import accepted_findings, cleansed, plan_changes, planned, to_repair
from flows.cluster import spreading
from flows.observed import observed
from flows.request import Device, Policy
from flows.results import RunResult, RunState
from flows.review.at_work import at_work, refuse_second
from flows.review.frozen import frozen
from flows.steps import Steps
from flows.tasks import comparison, model, repair
from flows.tasks.report import publish, result_of, write_report
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash, read_json


@flow(name="remediate", description="Remove accepted shortcuts from the data, retrain, and compare honestly.")
def remediate(
    run: Path, accept: Policy = "none", device: Device = "auto", cluster: str | None = None, workers: int = 2
) -> RunResult:
    """Repair a run's data set as its decisions say, and report what that changed.

    Args:
        run: folder of an audited run.
        accept: "confirmed" also accepts confirmed findings that nobody decided about.
        device: auto, cpu or cuda.
        cluster: where the work is spread, see `AuditRequest`.
        workers: processes for mark detection, where there is no cluster.
    """
    workspace = run.parent.parent
    with observed("remediate", workspace) as this, spreading(cluster, workers, workspace), Steps() as steps:
        refuse_second(run)
        asked = read_json(run / "run.json")["request"]
        this.is_about(asked["dataset"].partition("/")[0])
        steps.open(run, asked)
        return repaired(Audited.of(run, asked), accept, device, steps)


def repaired(audited: Audited, accept: Policy, device: str, steps: Steps) -> RunResult:
    """The stages of `remediate`; `run` shares them.

    Raises:
        InputError: the run is being repaired already.
    """
    with at_work(audited.run) as tell:
        repair.freeze(audited.run)
        state = _repair(audited, accepted_findings(audited.run, accept, frozen(audited.run)), device, steps)
        words = write_report(audited.run, audited.dataset, audited.bundle, audited.config, state)
        tell(result_of(audited.run, state, words, steps.worked))
    return publish(audited.run, state, words, steps.worked)


def _repair(audited: Audited, accepted: dict[str, str], device: str, steps: Steps) -> RunState:
    """Plan, cleanse, retrain, compare; how that ended."""
    run, dataset, config = audited.run, audited.dataset, audited.config
    folder, workspace = steps.folder(run), Workspace(run.parent.parent)
    seeds = [config.seed + number for number in range(config.compare.seeds)]

    if not to_repair(run, accepted, frozen(run)):
        return "nothing to repair"
    planned(audited, accepted, None, device, steps)
    if not plan_changes(run):
        return "awaiting review"  # everything is held back for a person
    versions = cleansed(audited, repair.VERSIONS, device, steps)

    trained_on = {"before": dataset, "after": versions["cleansed"], "control": versions["control"]}
    wanted = [
        model.Training(workspace, data, config.train, seed, device, f"train {arm} {seed}")
        for arm, data in trained_on.items()
        for seed in seeds
    ]
    made = iter(model.trained(wanted, steps))
    bundles = {arm: [next(made) for _ in seeds] for arm in trained_on}
    names = [[bundle.name for bundle in bundles[arm]] for arm in comparison.ARMS]
    code = code_version("pipeline.report", "models", "flows.tasks.comparison")
    key = content_hash([names, sorted(p.name for p in versions.values()), code])
    steps.once(
        folder, "evaluations.parquet", key, lambda: comparison.evaluate(run, dataset, versions, bundles, seeds, device)
    )
    key = content_hash(
        [folder.sha256("evaluations.parquet"), config.compare.model_dump(), code_version("pipeline.report")]
    )
    steps.once(folder, "comparison.json", key, lambda: comparison.compare(run, dataset, config))
    return "complete"
