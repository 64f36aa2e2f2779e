"""The difference of two versions as Markdown, and as one self-contained page with pairs of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from pipeline.cleanse.masks import content_window
from pipeline.dataset import DatasetVersion
from pipeline.export.diff import GROUPS, STATUSES, VersionDiff, changed_pixels
from pipeline.report import as_picture
from pipeline.report.pictures import OUTLINE, data_address

PAIRS = 12
"""Pairs of pictures on a page, unless told otherwise."""
_GROW = 3
"""Pixels between a changed place and its outline."""


@dataclass(frozen=True)
class Pair:
    """One changed image before and after, its changed places outlined; the pictures are data addresses."""

    path: str
    label: str
    split: str
    pixels: int
    share: float
    before: str
    after: str
    width: int
    height: int


def pairs(diff: VersionDiff, before: DatasetVersion, after: DatasetVersion, limit: int = PAIRS) -> list[Pair]:
    """The `limit` images of which the largest share changed, most first."""
    changed = diff.images[diff.images["status"] == "changed"]
    share = changed["changed_pixels"] / changed["content_pixels"]
    ranked = changed.assign(share=share).sort_values(["share", "image_id"], ascending=[False, True]).head(limit)
    return [_pair(record, before, after) for record in ranked.to_dict("records")]


def render_diff(diff: VersionDiff, before: DatasetVersion, after: DatasetVersion, limit: int = PAIRS) -> str:
    """The page as HTML text; every string is escaped, nothing is loaded from elsewhere."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("pipeline.export"), PackageLoader("pipeline.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = pairs(diff, before, after, limit)
    return environment.get_template("diff.html.j2").render(
        diff=diff,
        title=after.meta.title,
        sentence=sentence(diff),
        statuses=STATUSES,
        groups={group: diff.groups[diff.groups["group"] == group].to_dict("records") for group in GROUPS},
        pairs=shown,
        omitted=diff.counts["changed"] - len(shown),
    )


def sentence(diff: VersionDiff) -> str:
    """What changed, in words."""
    counts = diff.counts
    words = [
        f"{counts['changed']:,} of {counts['changed'] + counts['same']:,} images in both versions changed, "
        f"{counts['share_of_pixels']:.2%} of their pixels; {counts['added']:,} were added, "
        f"{counts['missing']:,} are missing"
    ]
    if counts["relabelled"]:
        words.append(f"{counts['relabelled']:,} have another label")
    if counts["moved_to_another_split"]:
        words.append(f"{counts['moved_to_another_split']:,} are in another split")
    return "; ".join(words) + "."


def diff_markdown(diff: VersionDiff) -> str:
    """The counts as Markdown."""
    head = [f"| | value | images | {' | '.join(STATUSES)} |", f"| --- | --- | ---: |{' ---: |' * len(STATUSES)}"]
    rows = [
        f"| {row['group']} | {str(row['value']).replace('|', '/')} | {row['images']:,} | "
        + " | ".join(f"{row[status]:,}" for status in STATUSES)
        + " |"
        for row in diff.groups.to_dict("records")
    ]
    return "\n".join([f"# {diff.before} → {diff.after}", "", sentence(diff), "", *head, *rows])


def _pair(record: dict[object, object], before: DatasetVersion, after: DatasetVersion) -> Pair:
    rows = (int(str(record["row_before"])), int(str(record["row_after"])))
    where = changed_pixels(before, after, rows)
    pictures = [_outlined(version, row, where) for version, row in zip((before, after), rows, strict=True)]
    return Pair(
        path=str(record["path"]),
        label=_known(record["label"]),
        split=_known(record["split"]),
        pixels=int(where.sum()),
        share=float(where.mean()),
        before=data_address(pictures[0]),
        after=data_address(pictures[1]),
        width=pictures[0].width,
        height=pictures[0].height,
    )


def _known(value: object) -> str:
    return "unknown" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _outlined(version: DatasetVersion, row: int, where: NDArray[np.bool_]) -> Image.Image:
    window = content_window(version.images.iloc[row].to_dict())
    picture = np.array(as_picture(version.tensor([row])[0, 0].numpy()[window]))
    size = (picture.shape[1], picture.shape[0])
    # Grown before it is scaled: places one pixel wide stay visible, and the line runs beside what changed.
    grown = cv2.dilate(where.astype(np.uint8), np.ones((2 * _GROW + 1, 2 * _GROW + 1), np.uint8))
    scaled = cv2.resize(grown, size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(scaled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return Image.fromarray(cv2.drawContours(np.ascontiguousarray(picture), contours, -1, OUTLINE, 1))
