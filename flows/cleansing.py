"""From decisions to a checked, cleansed version: the steps that `cleanse` and `remediate` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.audit import Audited
from flows.request import Policy
from flows.review.frozen import Review
from flows.steps import Steps
from flows.tasks import checks, inpainter, repair
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash, read_json, sha256_file
from pipeline.cleanse import Plan
from pipeline.config import AuditConfig
from pipeline.types import REGION_KINDS

_UNASKED = frozenset(REGION_KINDS) - {"device"}
"""Kinds that a policy may remove."""


def accepted_findings(run: Path, accept: Policy, review: Review) -> dict[str, str]:
    """Ids of the findings to repair, with who accepted them.

    A person's decision always wins: what is rejected or kept is not repaired, whatever the policy. The policy accepts
    regions only, and no device: those can be clinically meaningful and are removed when a person says so.
    """
    decided, findings = review.findings, read_json(run / "findings.json")["findings"]
    known = {str(finding["id"]) for finding in findings}
    accepted = {name: entry.who for name, entry in decided.items() if entry.decision == "accepted" and name in known}
    if accept == "confirmed":
        for finding in findings:
            if finding["status"] == "confirmed" and finding["id"] not in decided and finding["kind"] in _UNASKED:
                accepted[finding["id"]] = "policy: confirmed"
    return dict(sorted(accepted.items()))


def to_repair(run: Path, accepted: dict[str, str], review: Review) -> bool:
    """Whether there is anything that a repair could follow: findings, single regions, or a plan of a person's hand."""
    return bool(accepted) or review.removes or edited_plan(run)


def all_regions(audited: Audited, steps: Steps) -> None:
    """regions_all.parquet: the audit's regions, and those of the images it did not look at."""
    run, dataset, folder = audited.run, audited.dataset, steps.folder(audited.run)
    key = content_hash([dataset.name, folder.sha256("regions.parquet"), code_version("pipeline.flag")])
    steps.once(folder, repair.ALL_REGIONS, key, lambda: repair.detect_rest(run, dataset, audited.config))


def planned(audited: Audited, accepted: dict[str, str], edited: Path | None, device: str, steps: Steps) -> None:
    """regions_all.parquet, the data set's own inpainter where the fill is one, and the plan with its tables.

    Args:
        audited: the run.
        accepted: findings to repair, with who accepted them.
        edited: a plan that a person edited, to take instead.
        device: auto, cpu or cuda.
        steps: what is done already.
    """
    run, dataset, folder = audited.run, audited.dataset, steps.folder(audited.run)
    all_regions(audited, steps)
    config = audited.config if edited else with_own_inpainter(audited, device, steps)
    key = repair.plan_key(folder, config, accepted, edited)
    steps.once(folder, "plan.yaml", key, lambda: repair.plan(run, dataset, config, accepted, edited))


def edited_plan(run: Path) -> bool:
    """Whether the run holds a plan that a person edited; such a plan is followed without accepted findings too."""
    path = run / "plan.yaml"
    return path.exists() and Plan.read(path).edited


def plan_changes(run: Path) -> bool:
    """Whether the run's plan changes any image: it does not where every region is kept or held back."""
    return any(count.images for count in Plan.read(run / "plan.yaml").impact.values())


@dataclass(frozen=True)
class OwnInpainter:
    """The inpainter that a run's settings want trained on its data set's own clean ground."""

    name: str
    """As a plan names it."""
    bundle: Path
    """Where it is, once it is trained."""


def own_inpainter(audited: Audited) -> OwnInpainter | None:
    """The run's own inpainter; None where its settings want none, or the regions to spare are not known yet."""
    cleanse, regions = audited.config.cleanse, audited.run / repair.ALL_REGIONS
    if cleanse.fill != "learned" or cleanse.inpainter_steps == 0 or not regions.exists():
        return None
    workspace, seed = Workspace(audited.run.parent.parent), audited.config.seed
    bundle = inpainter.inpainter_path(workspace, audited.dataset, regions, cleanse.inpainter_steps, seed)
    return OwnInpainter(f"learned:{bundle.relative_to(workspace.models).as_posix()}", bundle)


def with_own_inpainter(audited: Audited, device: str, steps: Steps) -> AuditConfig:
    """The settings, where the fill `learned` names the inpainter trained on this data set's own clean ground."""
    config, own, workspace = audited.config, own_inpainter(audited), Workspace(audited.run.parent.parent)
    if own is None:
        return config
    asked = (audited.run / repair.ALL_REGIONS, config.cleanse.inpainter_steps, config.seed)
    steps.made(own.bundle, lambda: inpainter.train_inpainter(workspace, audited.dataset, *asked, device))
    return config.model_copy(update={"cleanse": config.cleanse.model_copy(update={"fill": own.name})})


def cleansed(audited: Audited, wanted: Sequence[str], device: str, steps: Steps) -> dict[str, Path]:
    """The versions `wanted` of the run's plan, and the two checks that every cleanse has to stand.

    Args:
        audited: the run; its plan is made.
        wanted: of `flows.tasks.repair.VERSIONS`; "cleansed" among them.
        device: auto, cpu or cuda.
        steps: what is done already.
    """
    run, dataset, config = audited.run, audited.dataset, audited.config
    folder = steps.folder(run)
    versions = steps.told(repair.cleanse(run, dataset, config, wanted, device))
    made = versions["cleansed"]
    plan = [folder.sha256("plan.yaml"), sha256_file(run / repair.PLANNED)]
    key = content_hash([plan, made.name, code_version("pipeline.cleanse")])
    steps.once(folder, "fingerprint.json", key, lambda: checks.fingerprint(run, dataset, made, config.seed))
    key = content_hash([plan, made.name, code_version("pipeline.cleanse", "pipeline.flag")])
    steps.once(folder, "residual.json", key, lambda: checks.residual(run, dataset, made, config.seed))
    return versions
