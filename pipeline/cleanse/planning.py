"""From decided findings to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from pipeline.cleanse.held_back import hold_back
from pipeline.cleanse.impact import recounted
from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.plan import Plan, PlanLine, check_fill_name
from pipeline.config import CleanseConfig, CleansePolicy
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError, InputError, did_you_mean

Left = Mapping[str, tuple[Literal["keep", "review"], str]]
"""Findings whose regions stay, by id: what the plan says about them, and who decided."""


def make_plan(
    findings: Sequence[Mapping[str, Any]],
    regions: pd.DataFrame,
    dataset: DatasetVersion,
    config: CleanseConfig,
    accept: Literal["confirmed"] | Mapping[str, str] = "confirmed",
    *,
    left: Left | None = None,
    lungs: Lungs | None = None,
) -> Plan:
    """The plan that carries out what was decided about findings, in all classes alike, and about single regions.

    What a policy accepts is not filled inside the lungs, what a person accepts is. Devices that a policy accepts are
    listed for review: they can be clinically meaningful.

    Args:
        findings: items of findings.json: `id`, `kind`, `status` and, optionally, `text`.
        regions: regions of all images: `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1` in original pixels; where
            people decided about single ones, as `with_reviewed` returns them.
        dataset: what they were found on.
        config: fill, dilation, policies by kind, words to keep.
        accept: ``"confirmed"`` takes findings that are confirmed or accepted; a mapping takes the finding ids
            that are its keys, with who decided as values.
        left: findings that give a line although nothing of them is removed, so that the reader sees it.
        lungs: lung fields, see `hold_back`.

    Raises:
        EmptyResultError: neither a finding nor a region is accepted, or the accepted findings select no region.
        InputError: an unknown finding id or fill, a policy that a kind cannot have, or regions of images that are not
            in `dataset`.
    """
    plan = draft_plan(findings, regions, dataset, config, accept, left=left)
    return recounted(plan, hold_back(plan, regions, dataset, lungs), dataset, lungs)


def draft_plan(
    findings: Sequence[Mapping[str, Any]],
    regions: pd.DataFrame,
    dataset: DatasetVersion,
    config: CleanseConfig,
    accept: Literal["confirmed"] | Mapping[str, str] = "confirmed",
    *,
    left: Left | None = None,
) -> Plan:
    """The plan of `make_plan` before anything is counted; same arguments and errors."""
    check_fill_name(config.fill)
    _check_images(regions, dataset)
    one_by_one = "decided" in regions and (regions["decided"] == "remove").any()
    chosen = _accepted(findings, accept)
    if not chosen and not one_by_one:
        raise EmptyResultError(
            f"None of the {len(findings)} findings is confirmed or accepted, and no region by itself: there is nothing "
            "to cleanse. Review them, or read the report of the audit as it is."
        )
    accepted = [_line(finding, decided_by, config) for finding, decided_by in chosen]
    stay = [
        PlanLine(finding=name, kind=finding["kind"], text=finding.get("text"), policy=policy, decided_by=who)
        for name, (policy, who) in sorted((left or {}).items())
        for finding in [_named(findings, name)]
    ]
    plan = Plan(
        dataset=dataset.meta.version,
        fill=config.fill,
        dilation=config.dilation,
        keep_words=config.keep_words,
        lines=(*accepted, *stay),
    )
    if not one_by_one and not any(line.selects(regions).any() for line in accepted):
        raise EmptyResultError(
            f"The plan selects none of the {len(regions)} regions: the accepted findings are about "
            f"{', '.join(sorted({line.kind for line in accepted}))}. Accept others, or detect again."
        )
    return plan.model_copy(update={"made_as": plan.identity()})


def _accepted(
    findings: Sequence[Mapping[str, Any]], accept: Literal["confirmed"] | Mapping[str, str]
) -> list[tuple[Mapping[str, Any], str]]:
    if accept == "confirmed":
        who = {"confirmed": "policy: confirmed", "accepted": "reviewer"}
        return [(finding, who[finding["status"]]) for finding in findings if finding["status"] in who]
    return [(_named(findings, wanted), who_decided) for wanted, who_decided in accept.items()]


def _named(findings: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    by_id = {str(finding["id"]): finding for finding in findings}
    if wanted not in by_id:
        raise InputError(f"There is no finding {wanted!r}. {did_you_mean(wanted, by_id)}")
    return by_id[wanted]


def _line(finding: Mapping[str, Any], decided_by: str, config: CleanseConfig) -> PlanLine:
    by_person = not decided_by.startswith("policy")
    policy: CleansePolicy = config.policies.get(finding["kind"], "remove")
    if finding["kind"] == "device" and not by_person:
        policy = "review"
    if policy == "normalise" and finding["kind"] != "side":
        raise InputError(
            f"cleanse.policies: {finding['kind']} cannot be normalised, only side markers can. "
            "Give remove, keep or review."
        )
    return PlanLine(
        finding=finding["id"],
        kind=finding["kind"],
        text=finding.get("text"),
        policy=policy,
        decided_by=decided_by,
        in_lungs="allow" if by_person else "refuse",
    )


def _check_images(regions: pd.DataFrame, dataset: DatasetVersion) -> None:
    missing = regions.loc[~regions["image_id"].isin(dataset.images["image_id"]), "image_id"]
    if len(missing):
        raise InputError(
            f"{missing.nunique()} images with regions are not in data set {dataset.meta.version} "
            f"(first: {missing.iloc[0]}). The regions belong to another version: detect them on this one."
        )
