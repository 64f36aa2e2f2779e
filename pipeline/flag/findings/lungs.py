"""Whether the label can be told without the lungs, as a finding."""

from __future__ import annotations

from typing import Any

from pipeline.flag.findings.words import shown

Record = dict[str, Any]

MUCH = 0.65
"""An AUROC whose interval lies above this says that much of the label can be told without the lungs."""
_WITHOUT = {"centre black": "with the centre black", "outside the lungs": "with the lungs black"}


def lung_findings(found: Record, positive: str) -> list[Record]:
    """At most one suspected finding, from the black-out that leaves most of the label.

    Args:
        found: blackout.json.
        positive: class that the AUROCs are about.
    """
    telling = [
        record
        for record in found["records"]
        if record["seen"] in _WITHOUT
        and (record["r"] is None or record["r"] >= 0.75)
        and record["auroc"]["low"] is not None
        and record["auroc"]["low"] > max(MUCH, record["null95"])
    ]
    if not telling:
        return []
    best = max(telling, key=lambda record: float(record["auroc"]["low"]))
    reasons = [f"{_told(record)}: AUROC {shown(record['auroc'], 2)}" for record in telling]
    lungs = [record for record in found["records"] if record["seen"] == "lungs only" and record["auroc"]["mean"]]
    return [
        {
            "kind": "outside-lungs",
            "text": None,
            "class": positive,
            "images": best["auroc"]["n"],
            "status": "suspected",
            "title": f"{positive} can be told without the lungs",
            "summary": f"{found['verdict']} Most telling {_told(best)}: AUROC {shown(best['auroc'], 2)} "
            f"(chance stays below {best['null95']:.2f} in 95 % of permutations, p = {best['p']:.2g}).",
            "for": reasons,
            "against": [f"{_told(record)}: AUROC {shown(record['auroc'], 2)}" for record in lungs],
            "action": "Ask what outside the lungs goes with the class: marks, borders, source, posture. Removing marks "
            "is not enough while this stays; compare with images of another source.",
            "examples": [],
        }
    ]


def _told(record: Record) -> str:
    seen = _WITHOUT.get(record["seen"], f"from {record['seen']}")
    side = "" if record["r"] is None else f" ({record['r']:.0%} of each side)"
    form = "the classifier itself" if record["form"] == "classifier" else "a probe retrained on its features"
    return f"{seen}{side}, {form}"
