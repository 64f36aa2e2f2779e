"""Groups of saliency maps that look like a shortcut no detector knows."""

from __future__ import annotations

from typing import Any

from pipeline.flag.behaviour.estimates import proportion
from pipeline.flag.findings.words import kind_words, shown

Record = dict[str, Any]

_FLAG_WORDS = {
    "small-pure": "few images, nearly all alike in their metadata",
    "pure": "nearly all alike in their metadata",
    "focused": "the saliency sits in one small place",
    "outside-lungs": "most of the saliency lies outside the lungs",
}


def cluster_findings(found: Record) -> list[Record]:
    """A suspected finding for every flagged group of a class whose maps fall into groups at all.

    Where a class has one strategy only, its one group is told when its saliency is focused or lies outside the lungs.
    Nothing here is causal, so nothing is confirmed.

    Args:
        found: clusters.json: {method, classes: {class: records of `Clustering`}}.
    """
    return [
        _finding(name, group, clustering, found["method"])
        for name, clustering in found["classes"].items()
        for group in clustering["clusters"]
        if group["flags"]
    ]


def _finding(name: str, group: Record, clustering: Record, method: str) -> Record:
    several = len(clustering["clusters"]) > 1
    total = clustering["images"] - clustering["without_saliency"]
    reasons = [_FLAG_WORDS[flag] for flag in group["flags"]] + _pure(group) + _composed(group)
    which = f"a group of {group['size']} of {total}" if several else f"all {total}"
    gap = f"the graph of maps falls apart with p = {clustering['gap_p_value']:.2g}" if several else clustering["note"]
    return {
        "kind": f"cluster/{name}/{group['number']}",
        "text": None,
        "class": name,
        "images": group["size"],
        "status": "suspected",
        "title": f"Predictions of {name}: the maps of {which} images point at one thing: {', '.join(reasons[:2])}",
        "summary": f"{method} maps of {which} explained images predicted as {name}: {'; '.join(reasons)}. {gap}.",
        "for": reasons,
        "against": [] if several else ["maps of this class do not fall into groups: " + clustering["note"]],
        "action": "Look at the images nearest to the group's mean map. What they have in common must be tested by "
        "removing it; a group of similar maps proves nothing by itself.",
        "share": proportion(group["size"], total),
        "examples": list(group["nearest"]),
    }


def _pure(group: Record) -> list[str]:
    """Metadata that nearly all images of the group share, more than chance would."""
    return [
        f"{each['column']} is {each['value']} on {each['share']:.0%} of {each['known']} (elsewhere expected "
        f"{each['expected']:.0%}, p = {each['p_value']:.2g})"
        for each in group["purity"]
        if each["share"] >= 0.8 and each["share"] > each["expected"] and each["p_value"] <= 0.05
    ]


def _composed(group: Record) -> list[str]:
    """Kinds of region that hold more of the saliency than their area."""
    return [
        f"{kind_words(each['kind'])} hold {each['mass']['mean']:.0%} of the saliency on {each['area']:.1%} of the area "
        f"({shown(each['mass'], 2)})"
        for each in group["composition"]
        if each["enrichment"] is not None and each["enrichment"] > 2 and each["mass"]["mean"] >= 0.1
    ]
