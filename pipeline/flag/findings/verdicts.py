"""From the numbers of a region finding to its status, its reasons, its words and what to do about it."""

from __future__ import annotations

from typing import Any

from pipeline.config import FlagConfig
from pipeline.flag.findings.effects import carried
from pipeline.flag.findings.words import kind_words, percent, shown
from pipeline.types import PRINTED_KINDS, FindingStatus

Finding = dict[str, Any]


def judged(finding: Finding, config: FlagConfig) -> Finding:
    """`finding` (with its q) completed by `status`, `title`, `summary`, `for`, `against` and `action`.

    * confirmed: effect q <= `config.fdr`, and the interval of the mean excess effect lies above `config.min_effect`
      (probability) or above `config.min_logit_effect` (log-odds);
    * suspected: not confirmed, but an association with q <= `config.fdr` and an odds ratio interval above 1, or an
      enrichment interval above 1;
    * not-confirmed: neither.
    """
    reasons_for, reasons_against = _reasons(finding, config)
    status = _status(finding, config)
    return finding | {
        "status": status,
        "title": _title(finding, status),
        "summary": " ".join(_sentences(finding)),
        "for": reasons_for,
        "against": reasons_against,
        "action": _action(finding["kind"], status),
    }


def _tied(finding: Finding, config: FlagConfig) -> bool:
    association = finding["association"]
    return bool(association) and association["q"] <= config.fdr and association["odds_ratio"]["low"] > 1


def _salient(finding: Finding) -> list[str]:
    return [name for name, found in finding["saliency"].items() if found["enrichment"]["low"] > 1]


def _status(finding: Finding, config: FlagConfig) -> FindingStatus:
    if carried(finding["effect"], config):
        return "confirmed"
    return "suspected" if _tied(finding, config) or _salient(finding) else "not-confirmed"


def _reasons(finding: Finding, config: FlagConfig) -> tuple[list[str], list[str]]:
    """What speaks for the shortcut, and what against it."""
    effect, name = finding["effect"], finding["class"]
    sides: tuple[list[str], list[str]] = ([], [])
    if effect["excess"] is not None:
        size = f"erasing it takes {shown(effect['excess'])} from the probability of {name} beyond matched controls"
        sides[0 if carried(finding["effect"], config) else 1].append(f"{size}, q = {effect['q']:.2g}")
    association = finding["association"]
    if association:
        odds = f"odds ratio for {name} in training {shown(association['odds_ratio'], 2)}, q = {association['q']:.2g}"
        sides[0 if _tied(finding, config) else 1].append(odds)
    for method, found in finding["saliency"].items():
        salient = method in _salient(finding)
        sides[0 if salient else 1].append(f"{method}: {shown(found['enrichment'], 2)} times its area's share")
    pasted = finding.get("transplant")
    if pasted and pasted["excess"]["low"] is not None:
        rise = f"pasted on other images it adds {shown(pasted['excess'])} to the probability of {name}"
        sides[0 if pasted["excess"]["low"] > 0 else 1].append(f"{rise} beyond pasted patches without a mark")
    return sides


def _title(finding: Finding, status: FindingStatus) -> str:
    what, name = kind_words(finding["kind"]), finding["class"]
    tied = [f"“{entry['text']}”" for entry in finding["texts"] if entry["odds_ratio"]["low"] > 1]
    what += f" ({', '.join(tied)})" if tied else ""
    match status:
        case "confirmed":
            return f"The classifier reads {what} as evidence for {name}"
        case "suspected":
            return f"The classifier may read {what} as evidence for {name}"
        case _:
            return f"No sign that the classifier uses {what}"


def _sentences(finding: Finding) -> list[str]:
    """The finding told in full sentences with every number."""
    what, place = kind_words(finding["kind"]), finding["where"]
    said = [_effect_sentence(finding, what)]
    if finding["association"]:
        said.append(_association_sentence(finding))
    if place:
        said.append(
            f"Found on {finding['images']:,} images, {percent(place['share'])} of them in the {place['place']}."
        )
    tied = [entry for entry in finding["texts"] if entry["odds_ratio"]["low"] > 1]
    if tied:
        named = "; ".join(f"“{entry['text']}” {shown(entry['odds_ratio'], 1)}" for entry in tied)
        said.append(f"Tied most closely, by odds ratio: {named}.")
    if finding.get("transplant"):
        said.append(_transplant_sentence(finding))
    said += [
        f"{method} puts {shown(found['enrichment'], 2)} times the saliency there that their area would get."
        for method, found in finding["saliency"].items()
    ]
    return said


def _effect_sentence(finding: Finding, what: str) -> str:
    effect = finding["effect"]
    if effect["excess"] is None:
        if not effect["untestable"]:
            return f"Removing {what} was not tested: no tested image has any."
        return f"Removing {what} could not be tested: {effect['untestable']} images had too little room for controls."
    return (
        f"Removing {what} changes the probability of {finding['class']} by {-effect['excess']['mean']:+.3f} "
        f"beyond removing matched places without a mark (the fall is {shown(effect['excess'])} of "
        f"{effect['available']:,} images, q = {effect['q']:.2g}; {_STOPPED[effect['stopped']]}); the predicted class "
        f"changes in {percent(effect['flip_rate'])}, {effect['untestable']} more images could not be tested."
    )


_STOPPED = {
    "effect": "testing stopped early, the effect being clear",
    "no effect": "testing stopped early, an effect worth confirming being excluded",
    "all tested": "all were tested",
}


def _association_sentence(finding: Finding) -> str:
    association = finding["association"]
    shares = ", ".join(f"{percent(value)} of {name}" for name, value in association["prevalence"].items())
    return (
        f"They stand on {shares}: odds ratio for {finding['class']} {shown(association['odds_ratio'], 2)}, "
        f"q = {association['q']:.2g}."
    )


def _transplant_sentence(finding: Finding) -> str:
    pasted = finding["transplant"]
    if pasted["excess"]["mean"] is None:
        return f"Pasting them on images of other classes could not be tested ({pasted['untestable']} pairs)."
    return (
        f"Pasted on images of other classes they raise the probability of {finding['class']} by "
        f"{shown(pasted['excess'], sign=True)} beyond pasted patches without a mark, q = {pasted['q']:.2g}; "
        f"{percent(pasted['flip_rate'])} become {finding['class']}."
    )


def _action(kind: str, status: FindingStatus) -> str:
    if status == "not-confirmed":
        return "Nothing to do."
    if kind == "device":
        return "Let a clinician decide: devices can be part of what makes a patient ill. Nothing is removed unasked."
    if kind == "identifier":
        return "Remove from all images, whatever the classifier does with it: it may name the patient."
    if status == "suspected":
        return "Look at the images and decide; removing it is not yet justified by what it does to predictions."
    if kind in PRINTED_KINDS:
        return "Accept it to have it removed from the images of all classes, retrain, and compare."
    return "Accept it to have it filled in all classes, or crop all images alike; then retrain and compare."
