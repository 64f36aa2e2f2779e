"""The `audit` flow: ingest -> train or load -> predict -> detect -> explain -> flag -> report -> awaiting review."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import ValidationError

from flows.cluster import spread_for
from flows.drift import since_accepted
from flows.growing import Growth, Known, earlier_audits, followed
from flows.history import remember
from flows.keys import Keys
from flows.mirror import refresh
from flows.observed import observed
from flows.request import AuditRequest
from flows.results import RunResult
from flows.steps import Steps
from flows.tasks import data, evidence, model, review
from flows.tasks.grown import GROWN, nothing_new, tell
from flows.tasks.report import publish, write_report
from flows.workspace import Workspace
from pipeline.artifacts import content_hash, sha256_tree
from pipeline.config import AuditConfig
from pipeline.errors import InputError
from pipeline.flag import BEFORE_MAPS, WITH_MAPS, Stage


@dataclass(frozen=True)
class Audited:
    """What a run is about; read back from its ledger by `of`."""

    run: Path
    dataset: Path
    bundle: Path
    config: AuditConfig
    since: Known | None = None
    """The audit that it goes on from."""

    @classmethod
    def of(cls, run: Path, request: dict[str, Any]) -> Audited:
        """From a run folder and the request in its ledger.

        Raises:
            InputError: another version of cxr-audit made the run, whose settings this one does not have.
        """
        workspace = Workspace(run.parent.parent)
        bundle = Path(request["bundle"])
        try:
            config = AuditConfig.model_validate(request["config"])
        except ValidationError as error:
            unknown = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
            raise InputError(
                f"{run} was made by another version of cxr-audit, with settings that this one does not have: "
                f"{unknown}. Repeat the audit; what did not change is not computed again."
            ) from error
        return cls(
            run,
            workspace.datasets / request["dataset"],
            bundle if bundle.is_absolute() else workspace.models / bundle,
            config,
        )


@flow(name="audit", description="Find the shortcuts of one classifier on one data set; ends awaiting review.")
def audit(request: AuditRequest) -> RunResult:
    """Audit a manifest's data and a classifier up to its findings.

    Raises:
        CxrAuditError: what the user gave cannot be used; the message says what to do.
    """
    with observed("audit", request.workspace, request.manifest), spread_for(request), Steps() as steps:
        audited = find_shortcuts(request, steps)
        words = write_report(audited.run, audited.dataset, audited.bundle, audited.config, "awaiting review")
        words = [*nothing_new(audited.run, audited.since, steps.worked), *words]
        return publish(audited.run, "awaiting review", words, steps.worked)


def find_shortcuts(request: AuditRequest, steps: Steps) -> Audited:
    """The stages of `audit` without its report; `run` shares them."""
    audited = _open(request, steps)
    run, dataset, bundle, config = audited.run, audited.dataset, audited.bundle, audited.config
    folder = steps.folder(run)
    keys = Keys(folder, dataset, bundle, config)
    growth = Growth.of(run, audited.since) if audited.since else None
    where = (dataset, bundle, config, request.device, run)

    def once(name: str, task: Callable[..., object]) -> None:
        """Make an artifact; `task` is told who knows some of it."""
        steps.once(folder, name, keys(name), lambda: task(growth.donor(name) if growth else None))

    def gather(stage: Stage) -> None:
        task = evidence.gather.with_options(name=stage.title, tags=["gpu"] if stage.gpu else [])
        once(stage.artifact, lambda donor: task(stage.artifact, *where, donor))

    once("predictions.parquet", lambda donor: model.predict(*where, donor))
    for stage in BEFORE_MAPS:
        gather(stage)
    once("saliency", lambda donor: evidence.explain(*where, donor))
    for stage in WITH_MAPS:
        gather(stage)
    once(review.LOOKALIKES, lambda _: review.prepare(run, dataset))
    if growth:
        key = content_hash([growth.since.run.name, dataset.name])
        steps.once(folder, GROWN, key, lambda: tell(growth))
    refresh(request.workspace, dataset=dataset.parent.name)
    since_accepted(run, steps)
    remember(run, dataset.parent.name)
    return audited


def _open(request: AuditRequest, steps: Steps) -> Audited:
    workspace, config = Workspace(request.workspace), data.config_of(request)
    root = request.data_root or steps.made(data.generated_root(request), lambda: data.generate(request))
    if not root.is_dir():
        raise InputError(
            f"--data-root {root}: no such folder. Give the folder that the manifest's paths are relative to."
        )
    since = _followed(request, workspace, config)
    dataset = steps.told(data.ingest(request, root, config, since.dataset if since else None))
    bundle = _classifier(request, workspace, dataset, config, steps, since)
    inside = bundle.is_relative_to(workspace.models)
    asked = {
        "dataset": dataset.relative_to(workspace.datasets).as_posix(),
        "bundle": bundle.relative_to(workspace.models).as_posix() if inside else str(bundle),
        "weights": bundle.name if inside else sha256_tree(bundle),
        "config": config.model_dump(mode="json"),
    }
    run = workspace.runs / content_hash(asked)
    steps.open(run, asked)
    return replace(Audited.of(run, asked), since=since)


def _followed(request: AuditRequest, workspace: Workspace, config: AuditConfig) -> Known | None:
    """The audit that this one goes on from, where it is to."""
    if not request.grow:
        return None
    refresh(workspace.path, dataset=data.name_of(request))
    audits = earlier_audits(workspace, data.name_of(request))
    return followed(audits, config, retrained=request.model is None)


def _classifier(
    request: AuditRequest,
    workspace: Workspace,
    dataset: Path,
    config: AuditConfig,
    steps: Steps,
    since: Known | None,
) -> Path:
    """The bundle to audit: trained here, that of the last audit, the user's own, or made of a state dict and spec."""
    own = request.model or (since.bundle if since else None)
    if own is None:
        training = model.Training(workspace, dataset, config.train, config.seed, request.device, "train")
        return model.trained([training], steps)[0]
    if request.model is not None and request.spec is not None:
        weights, spec = request.model, request.spec
        own = steps.made(model.adopted_path(workspace, weights, spec), lambda: model.adopt(workspace, weights, spec))
    model.load(own, dataset)
    return own
