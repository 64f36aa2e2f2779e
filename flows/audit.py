"""The `audit` flow: ingest -> train or load -> predict -> detect -> explain -> flag -> report -> awaiting review."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import ValidationError

from flows.request import AuditRequest
from flows.results import RunResult
from flows.steps import Steps
from flows.tasks import data, evidence, model, review
from flows.tasks.report import publish, write_report
from flows.workspace import Workspace
from pipeline.artifacts import RunFolder, code_version, content_hash, sha256_tree
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
    workers: int

    @classmethod
    def of(cls, run: Path, request: dict[str, Any], workers: int = 2) -> Audited:
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
            workers,
        )


@flow(name="audit", description="Find the shortcuts of one classifier on one data set; ends awaiting review.")
def audit(request: AuditRequest) -> RunResult:
    """Audit a manifest's data and a classifier up to its findings.

    Raises:
        CxrAuditError: what the user gave cannot be used; the message says what to do.
    """
    steps = Steps()
    audited = find_shortcuts(request, steps)
    words = write_report(audited.run, audited.dataset, audited.bundle, audited.config, "awaiting review")
    return publish(audited.run, "awaiting review", words, steps.worked)


def find_shortcuts(request: AuditRequest, steps: Steps) -> Audited:
    """The stages of `audit` without its report; `run` shares them."""
    audited = _open(request, steps)
    run, dataset, bundle, config = audited.run, audited.dataset, audited.bundle, audited.config
    folder = steps.folder(run)
    device = request.device
    base = content_hash([dataset.name, str(bundle.name)])

    key = content_hash([base, code_version("models")])
    steps.once(
        folder, "predictions.parquet", key, lambda: model.predict(dataset, bundle, device, run / "predictions.parquet")
    )

    flag = content_hash([base, config.flag.model_dump(), config.seed, code_version("pipeline.flag")])

    def gather(stage: Stage) -> None:
        key = content_hash([flag, {name: folder.sha256(name) for name in stage.needs}])
        task = evidence.gather.with_options(name=stage.title, tags=["gpu"] if stage.gpu else [])
        where = (dataset, bundle, config, device, run, audited.workers)
        steps.once(folder, stage.artifact, key, lambda: task(stage.artifact, *where))

    for stage in BEFORE_MAPS:
        gather(stage)
    settings = [config.explain.model_dump(), config.seed, code_version("pipeline.explain", "models")]
    key = content_hash([base, settings, [folder.sha256(name) for name in ("regions.parquet", "effects.parquet")]])
    steps.once(folder, "saliency", key, lambda: evidence.explain(dataset, bundle, config, device, run))
    for stage in WITH_MAPS:
        gather(stage)
    key = content_hash([dataset.name, folder.sha256("regions.parquet"), code_version("pipeline.review.lookalikes")])
    steps.once(folder, review.LOOKALIKES, key, lambda: review.prepare(run, dataset))
    return audited


def _open(request: AuditRequest, steps: Steps) -> Audited:
    workspace, config = Workspace(request.workspace), data.config_of(request)
    root = request.data_root or steps.made(data.generated_root(request), lambda: data.generate(request))
    if not root.is_dir():
        raise InputError(
            f"--data-root {root}: no such folder. Give the folder that the manifest's paths are relative to."
        )
    dataset = steps.told(data.ingest(request, root, config))
    bundle = _classifier(request, workspace, dataset, config, steps)
    inside = bundle.is_relative_to(workspace.models)
    asked = {
        "dataset": dataset.relative_to(workspace.datasets).as_posix(),
        "bundle": bundle.relative_to(workspace.models).as_posix() if inside else str(bundle),
        "weights": bundle.name if inside else sha256_tree(bundle),
        "config": config.model_dump(mode="json"),
    }
    run = workspace.runs / content_hash(asked)
    steps.open(RunFolder(run, asked))
    return Audited.of(run, asked, request.workers)


def _classifier(request: AuditRequest, workspace: Workspace, dataset: Path, config: AuditConfig, steps: Steps) -> Path:
    """The bundle to audit: trained here, the user's own, or made of the user's state dict and spec."""
    own = request.model
    if own is None:
        target = model.bundle_path(workspace, dataset, config.train, config.seed)
        return steps.made(
            target, lambda: model.train(workspace, dataset, config.train, config.seed, request.device, "train")
        )
    if request.spec is not None:
        weights, spec = own, request.spec
        own = steps.made(model.adopted_path(workspace, weights, spec), lambda: model.adopt(workspace, weights, spec))
    model.load(own, dataset)
    return own
