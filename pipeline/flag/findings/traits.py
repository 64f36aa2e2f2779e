"""Findings about image-wide traits: exposure, sharpness, resolution, compression and the like."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.estimates import estimate
from pipeline.flag.behaviour.summaries import erase_summary
from pipeline.flag.findings.effects import carried, class_effect
from pipeline.flag.findings.words import percent, shown
from pipeline.types import FindingStatus

Finding = dict[str, Any]


def trait_findings(
    dataset: DatasetVersion, association: pd.DataFrame, effects: pd.DataFrame, seed: int
) -> list[Finding]:
    """One finding per tied trait, without id, q, status and words.

    Args:
        dataset: its classes.
        association: from `trait_association`.
        effects: from `move_traits`; one class a trait.
        seed: of the run.
    """
    erased = {record["kind"]: record for record in erase_summary(effects, dataset.meta.classes, seed)}
    found = []
    for (kind, trait, name), rows in effects.groupby(["kind", "trait", "class"], sort=True):
        tied = association[(association["trait"] == trait) & (association["class"] == name)].iloc[0]
        tested = rows[rows["predicted_removed"].notna()]
        strongest = tested.assign(size=tested[f"effect_{name}"] - tested[f"control_mean_{name}"])
        found.append(
            {
                "kind": str(kind),
                "text": None,
                "class": str(name),
                "association": {
                    "auroc": estimate(tied["auroc"], tied["auroc_low"], tied["auroc_high"], int(tied["n"])),
                    "median": {str(name): float(tied["median_class"]), "others": float(tied["median_other"])},
                    "q": float(tied["q_value"]),
                },
                "effect": class_effect(erased.get(str(kind)), str(name), tested),
                "examples": strongest.sort_values(["size", "image_id"], ascending=[False, True])["image_id"]
                .astype(str)
                .head(8)
                .tolist(),
            }
        )
    return found


FINE = frozenset(f"trait/{name}" for name in ("sharpness", "resolution", "noise", "compression"))
"""Traits of fine detail, which printed marks have much of: moving them blurs or sharpens the marks, too."""


def judged_trait(finding: Finding, config: FlagConfig, marked: frozenset[str]) -> Finding:
    """`finding` (with its q) completed by `status`, words, reasons and action. A tied trait is at least suspected.

    Args:
        finding: with q.
        config: thresholds.
        marked: classes for which marks are confirmed. A trait of fine detail is not confirmed beside them: blurring an
            image blurs its marks, so the test cannot tell the two apart before the marks are gone.
    """
    blurred = finding["kind"] in FINE and finding["class"] in marked
    status: FindingStatus = "confirmed" if carried(finding["effect"], config) and not blurred else "suspected"
    name, what = finding["class"], finding["kind"].removeprefix("trait/").replace("_", " ")
    tie = finding["association"]
    auroc = f"{what} alone tells {name} with AUROC {shown(tie['auroc'], 2)} in training, q = {tie['q']:.2g}"
    effect = finding["effect"]
    if effect["excess"] is None:
        moved = f"moving {what} could not be tested on {effect['untestable']} images"
    else:
        moved = (
            f"moving {what} between the classes' usual values moves the probability of {name} by "
            f"{shown(effect['excess'])} more than equally large changes that leave it alone, q = {effect['q']:.2g}; "
            f"the predicted class changes in {percent(effect['flip_rate'])}"
        )
    against = [] if status == "confirmed" else [moved]
    if blurred:
        against.append(
            "marks are confirmed for this class, and moving it changes them as well: remove them, audit again"
        )
    reads = "reads" if status == "confirmed" else "may read"
    return finding | {
        "status": status,
        "title": f"The classifier {reads} the {what} of the image as evidence for {name}",
        "summary": f"{moved[0].upper()}{moved[1:]}. {auroc[0].upper()}{auroc[1:]} (median "
        f"{tie['median'][name]:.3g}, of the others {tie['median']['others']:.3g}).",
        "for": [auroc, moved] if status == "confirmed" else [auroc],
        "against": against,
        "action": "Harmonise the images of all classes, or train with this trait varied at random; then compare.",
    }
