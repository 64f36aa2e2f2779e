"""The comparison in sentences that claim no more than the numbers carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {"precision": "precision", "recall": "recall", "specificity": "specificity", "f1": "F1", "auroc": "AUROC"}
CONDITION_NAMES = {
    "raw": "the test images as they are",
    "cleansed": "the cleansed test images",
    "marker_swapped": "the marker-swapped test images",
    "other_source": "images of another source",
}
SMALL = 100
"""Fewer test images than this are called few."""

Numbers = Mapping[str, Any]


def interval(value: Numbers) -> str:
    """``0.87 (0.81–0.92)``, or why there is no number."""
    mean, low, high = value.get("mean"), value.get("low"), value.get("high")
    if mean is None:
        return "undefined"
    if low is None or high is None:
        return f"{number(mean)} (no interval)"
    digits = 2 if max(abs(low), abs(high)) >= 0.1 else 3
    between = " to " if low < 0 else "–"
    return f"{number(mean, digits)} ({number(low, digits)}{between}{number(high, digits)})"


def change(value: Numbers) -> str:
    """``+0.12 (+0.05 to +0.20)``, or why there is no number."""
    if value.get("mean") is None or value.get("low") is None:
        return "undefined"
    digits = 3 if direction(value) and min(abs(value["low"]), abs(value["high"])) < 0.005 else 2
    mean, low, high = (number(value[key], digits, sign=True) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def number(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """Fixed digits with a true minus sign and no negative zero."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def direction(value: Numbers) -> int:
    """1 when the whole interval of a difference is above zero, -1 when below, 0 when no change was measured."""
    low, high = value.get("low"), value.get("high")
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def verdict(comparison: Mapping[str, Any]) -> list[str]:
    """Sentences, most important first; each with its numbers and the number of images.

    Args:
        comparison: what `compare` returns.
    """
    conditions = comparison["conditions"]
    sentences = [_swapped(conditions), _control(conditions), *_raw(conditions), _other(conditions), *_few(conditions)]
    return [sentence for sentence in sentences if sentence]


def cleansing(fingerprint: Numbers | None, residual: Numbers | None) -> list[str]:
    """Whether the cleanse itself was sound."""
    sentences = alarms(fingerprint)
    if fingerprint is not None and fingerprint["verdict"] == "undecided":
        sentences.append(
            "The fingerprint check of the cleanse is undecided: whether the filled places tell the classes better than "
            f"before cannot be said from these images ({_told(fingerprint)})."
        )
    if residual is not None and residual["still_found"]:
        sentences += residual["words"][:1]
    return sentences


def alarms(fingerprint: Numbers | None) -> list[str]:
    """A failed fingerprint check is called a failure, before any gain is told."""
    if fingerprint is None or fingerprint["verdict"] != "failed":
        return []
    return [
        "The cleanse FAILED its fingerprint check: from the filled places alone the classes are easier to tell than "
        f"before ({_told(fingerprint)}). A gain below may be that fingerprint, not the repair."
    ]


def _told(fingerprint: Numbers) -> str:
    seen = fingerprint["classes"]
    return (
        f"AUROC {interval(seen['before'])} before, {interval(seen['after'])} after, difference "
        f"{change(seen['difference'])}, N = {seen['images']:,}"
    )


def _effect(condition: Numbers, difference: str) -> str:
    """What a difference did to recall, specificity, precision and AUROC, in words."""
    moved, unmoved = [], []
    for metric in ("recall", "specificity", "precision", "auroc"):
        value = condition["differences"][difference][metric]
        way = direction(value)
        if way:
            size = interval({"mean": abs(value["mean"]), **dict(zip(("low", "high"), _sizes(value), strict=True))})
            moved.append(f"{NAMES[metric]} {'rose' if way > 0 else 'fell'} by {size.replace('–', ' to ')}")
        else:
            unmoved.append(NAMES[metric])
    unchanged = f"no measurable change in {_joined(unmoved, 'or')}" if unmoved else ""
    if moved and unmoved:
        return f"{_joined(moved, 'and')}, with {unchanged}"
    return _joined(moved, "and") if moved else f"there was {unchanged}"


def _sizes(value: Numbers) -> list[float]:
    return sorted((abs(value["low"]), abs(value["high"])))


def _joined(parts: list[str], last: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def _said(name: str, condition: Numbers, difference: str = "after-before") -> str:
    return f"on {CONDITION_NAMES[name]} (N = {condition['n']}), {_effect(condition, difference)}."


def _swapped(conditions: Numbers) -> str:
    swapped, raw = conditions.get("marker_swapped"), conditions.get("raw")
    if not swapped or not raw or "after-before" not in swapped["differences"]:
        return ""
    moves = " and ".join(
        f"{NAMES[metric]} from {interval(raw['before'][metric])} to {interval(swapped['before'][metric])}"
        for metric in ("recall", "auroc")
    )
    return (
        f"Before cleansing, moving the marks to the other class took {moves}. "
        f"After cleansing and retraining, {_said('marker_swapped', swapped)}"
    )


def _control(conditions: Numbers) -> str:
    name = "marker_swapped" if "marker_swapped" in conditions else "raw"
    condition = conditions.get(name, {"differences": {}})
    if "after-control" not in condition["differences"]:
        return "No random-region control was run, so a gain cannot be ascribed to the marks rather than to retraining."
    advantage = condition["differences"]["after-control"]["auroc"]
    said = (
        f"With equally large random regions removed instead (the control), {_said(name, condition, 'control-before')}"
    )
    way = direction(advantage)
    if way > 0:
        return f"{said} Removing the marks did better than that: AUROC {change(advantage)}."
    if way < 0:
        return f"{said} Removing the marks did worse than that: AUROC {change(advantage)}."
    return f"{said} Removing the marks was not measurably better than that: AUROC {change(advantage)}."


def _raw(conditions: Numbers) -> list[str]:
    sentences = []
    for name in ("raw", "cleansed"):
        condition = conditions.get(name)
        if condition and "after-before" in condition["differences"]:
            sentences.append(_sentence(_said(name, condition)))
    raw = conditions.get("raw", {}).get("differences", {}).get("after-before", {})
    if any(direction(raw[metric]) < 0 for metric in NAMES if metric in raw):
        sentences.append(
            "The drop on the test images as they are can be the right result: those images carry the marks too, "
            "and a classifier that no longer reads them loses points it should never have had."
        )
    return sentences


def _other(conditions: Numbers) -> str:
    other, cleansed = conditions.get("other_source"), conditions.get("cleansed") or conditions.get("raw")
    if not other:
        return (
            "No other-source images were tested: nothing here says how the classifier does in another hospital, "
            "and removing characters does not remove the hospital."
        )
    arm = "after" if "after" in other else "before"
    sentence = _sentence(_said("other_source", other)) if other["differences"] else ""
    inside, outside = (cleansed or {}).get(arm, {}).get("auroc", {}), other[arm]["auroc"]
    if inside.get("high") is not None and outside["low"] is not None and outside["high"] < inside["low"]:
        sentence += (
            f" A gap remains: AUROC {interval(outside)} there against {interval(inside)} inside. Removing characters "
            "does not remove the hospital: exposure, projection and processing still differ between sources."
        )
    return sentence.strip()


def _sentence(clause: str) -> str:
    return clause[0].upper() + clause[1:]


def _few(conditions: Numbers) -> list[str]:
    small = {name: value["n"] for name, value in conditions.items() if value["n"] < SMALL}
    if not small:
        return []
    where = ", ".join(f"{CONDITION_NAMES[name]} ({count})" for name, count in small.items())
    return [f"Few images: {where}. The intervals are wide for that reason; do not read them as absence of an effect."]
