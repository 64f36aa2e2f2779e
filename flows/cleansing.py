"""From decisions to a checked, cleansed version: the steps that `cleanse` and `remediate` share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.audit import Audited
from flows.request import Policy
from flows.steps import Steps
from flows.tasks import checks, inpainter, repair
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash, read_json
from pipeline.cleanse import Plan
from pipeline.config import AuditConfig
from pipeline.review import decisions_of
from pipeline.types import REGION_KINDS

_UNASKED = frozenset(REGION_KINDS) - {"device"}
"""Kinds that a policy may remove."""


def accepted_findings(run: Path, accept: Policy) -> dict[str, str]:
    """Ids of the findings to repair, with who accepted them.

    A person's decision always wins: what is rejected or kept is not repaired, whatever the policy. The policy accepts
    regions only, and no device: those can be clinically meaningful and are removed when a person says so.
    """
    decided = decisions_of(run)
    accepted = {name: f"reviewer {entry.reviewer}" for name, entry in decided.items() if entry.decision == "accepted"}
    if accept == "confirmed":
        for finding in read_json(run / "findings.json")["findings"]:
            if finding["status"] == "confirmed" and finding["id"] not in decided and finding["kind"] in _UNASKED:
                accepted[finding["id"]] = "policy: confirmed"
    return dict(sorted(accepted.items()))


def all_regions(audited: Audited, steps: Steps) -> None:
    """regions_all.parquet: the audit's regions, and those of the images it did not look at."""
    run, dataset, folder = audited.run, audited.dataset, steps.folder(audited.run)
    key = content_hash([dataset.name, folder.sha256("regions.parquet"), code_version("pipeline.flag")])
    steps.once(
        folder, repair.ALL_REGIONS, key, lambda: repair.detect_rest(run, dataset, audited.config, audited.workers)
    )


def planned(audited: Audited, accepted: dict[str, str], edited: Path | None, device: str, steps: Steps) -> None:
    """regions_all.parquet, the data set's own inpainter where the fill is one, plan.yaml and held_back.parquet.

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


def with_own_inpainter(audited: Audited, device: str, steps: Steps) -> AuditConfig:
    """The settings, where the fill `learned` names the inpainter trained on this data set's own clean ground."""
    config, workspace = audited.config, Workspace(audited.run.parent.parent)
    cleanse = config.cleanse
    if cleanse.fill != "learned" or cleanse.inpainter_steps == 0:
        return config
    asked = (workspace, audited.dataset, audited.run / repair.ALL_REGIONS, cleanse.inpainter_steps, config.seed)
    bundle = steps.made(inpainter.inpainter_path(*asked), lambda: inpainter.train_inpainter(*asked, device))
    fill = f"learned:{bundle.relative_to(workspace.models).as_posix()}"
    return config.model_copy(update={"cleanse": cleanse.model_copy(update={"fill": fill})})


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
    plan = [folder.sha256(name) for name in ("plan.yaml", repair.ALL_REGIONS)]
    key = content_hash([plan, made.name, code_version("pipeline.cleanse")])
    steps.once(folder, "fingerprint.json", key, lambda: checks.fingerprint(run, dataset, made, config.seed))
    key = content_hash([plan, made.name, code_version("pipeline.cleanse", "pipeline.flag")])
    steps.once(folder, "residual.json", key, lambda: checks.residual(run, dataset, made, audited.workers, config.seed))
    return versions
