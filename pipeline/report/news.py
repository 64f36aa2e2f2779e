"""What is new since the last audit of a data set that grows, in sentences and for a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ARTIFACTS = {
    "decoded files": "Decoded files",
    "predictions.parquet": "Predictions",
    "regions.parquet": "Marks",
    "traits.parquet": "Traits",
    "saliency": "Saliency maps",
    "lungs": "Lung fields",
}


def news_sentences(grown: Mapping[str, Any] | None) -> list[str]:
    """What came, changed and went, from grown.json; nothing where an audit did not go on from another one."""
    if grown is None:
        return []
    counts = grown["images"]
    sentences = [
        f"Since run {grown['since']['run']}: {counts['new']:,} new images, {counts['changed']:,} changed, "
        f"{counts['gone']:,} gone, {counts['unchanged']:,} as they were."
    ]
    if grown["by_class"]:
        listed = ", ".join(f"{count:,} {name}" for name, count in grown["by_class"].items())
        sentences.append(
            f"New or changed by class: {listed}; {grown['new_patients']:,} patients were not known before."
        )
    if grown["new_sources"]:
        sentences.append(f"New sources: {', '.join(grown['new_sources'])}.")
    if counts["relabelled"]:
        sentences.append(f"{counts['relabelled']:,} known images have another label than before.")
    if counts["moved"]:
        sentences.append(
            f"{counts['moved']:,} known images are in another split than before: the manifest says so, or new images "
            "tie them to patients or exposures nearer training."
        )
    return sentences


def news_rows(grown: Mapping[str, Any] | None) -> list[tuple[str, int, int]]:
    """(what, images taken over from earlier audits, images looked at now), one a kind of result."""
    stages = {} if grown is None else grown["stages"]
    return [(_ARTIFACTS[name], each["taken_over"], each["computed"]) for name, each in stages.items()]
