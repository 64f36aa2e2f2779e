"""What the detectors still find where something was filled: parts of marks that were missed, or that a fill drew."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.cleanse.masks import Mask, Record, box_window, boxes_by_image
from pipeline.cleanse.normalise import marker_mask
from pipeline.cleanse.places import changed_mask, same_images
from pipeline.cleanse.plan import Plan, regions_to_clean
from pipeline.dataset import DatasetVersion
from pipeline.randomness import numpy_generator
from pipeline.statistics import clusters, divide, percentile_interval, resample_weights
from pipeline.types import Box

OVERLAP = 0.3
"""A region is found *at* a filled place when at least this share of its box was filled."""
SAME = 0.5
"""Two boxes with at least this intersection over union are the same region."""
RESAMPLES = 1000
CONFIDENCE = 0.95

RESIDUAL_COLUMNS: dict[str, str] = {
    "image_id": "string",
    "kind": "string",
    "text": "string",
    "x0": "float64",
    "y0": "float64",
    "x1": "float64",
    "y1": "float64",
    "confidence": "float64",
    "overlap": "float64",
    "place": "string",
}
"""Columns of residual.parquet, nothing of an image's class among them. Boxes are pixels of the original file;
`overlap`: share of the box that was filled; `place`: ``mark``, something was removed there; ``decoy``, nothing was."""

Place = Literal["mark", "decoy", "neutral", "known", "new"]
"""Where a region was found on a cleansed image: where something was removed; where something was filled and nothing
removed; at the neutral marker; where it stood before; outside filled places, where nothing was found before."""


def filled_rows(raw: DatasetVersion, cleansed: DatasetVersion, plan: Plan) -> NDArray[np.int64]:
    """Rows of the images in which anything was filled; a neutral marker alone does not count.

    Raises:
        InputError: the versions do not hold the same images.
    """
    same_images(raw, cleansed)
    rows = (row for row in range(len(raw)) if changed_mask(raw, cleansed, row, neutral=plan.normalises).any())
    return np.fromiter(rows, dtype=np.int64)


def check_residual(
    raw: DatasetVersion,
    cleansed: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    found: pd.DataFrame,
    *,
    seed: int = 0,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Compare what detectors find on the cleansed images with what was there before.

    A region is residual when at least `OVERLAP` of its box was filled, unless it was there before and was to stay, or
    is the neutral marker.

    Args:
        raw: before cleansing.
        cleansed: what was made of `raw`; same rows.
        plan: what was applied.
        regions: all detected regions of `raw`.
        found: regions the same detectors find on the `filled_rows` of `cleansed`.
        seed: draws bootstrap samples.

    Returns:
        Counts: ``checked_images``, ``decoy_images`` (filled though nothing was to be removed), ``filled_regions``,
        ``still_found`` (residual regions where something was removed) and the same ``by_kind``, ``share`` (of the
        filled regions, how many still hold a residual region: ``{mean, low, high}``, bootstrap over patients),
        ``at_decoys`` and ``neutral_markers`` (found there, counted apart), ``new_elsewhere`` (found outside filled
        places and not before: what filling stirred up at a distance, about 0), ``overlap`` and ``words``.
        The residual regions, columns of `RESIDUAL_COLUMNS`, go back to review.

    Raises:
        InputError: the versions do not hold the same images.
    """
    same_images(raw, cleansed)
    by_image = {str(name): table.to_dict("records") for name, table in found.groupby("image_id")}
    filled: dict[str, list[Box]] = {}
    placed: list[dict[Hashable, Any]] = []
    for image in _images(raw, cleansed, plan, regions):
        name = str(image.record["image_id"])
        filled[name] = [box for box in image.removed if image.overlap(box) > 0]
        for region in by_image.get(name, []):
            box = _box(region)
            placed.append(dict(region) | {"overlap": image.overlap(box), "place": image.place(box)})
    table = pd.DataFrame(placed, columns=list(RESIDUAL_COLUMNS)).astype(RESIDUAL_COLUMNS)
    left = table[table["place"].isin(["mark", "decoy"])].reset_index(drop=True)
    at_marks = left[left["place"] == "mark"]
    counts = {
        "checked_images": len(filled),
        "decoy_images": sum(not boxes for boxes in filled.values()),
        "filled_regions": sum(map(len, filled.values())),
        "still_found": len(at_marks),
        "by_kind": {str(kind): int(count) for kind, count in at_marks["kind"].value_counts().sort_index().items()},
        "share": _share(raw, filled, boxes_by_image(at_marks), seed),
        "at_decoys": len(left) - len(at_marks),
        "neutral_markers": int((table["place"] == "neutral").sum()),
        "new_elsewhere": int((table["place"] == "new").sum()),
        "overlap": OVERLAP,
    }
    return {**counts, "words": _words(counts)}, left


@dataclass(frozen=True)
class _Image:
    """One image in which something was filled; boxes in original pixels."""

    record: Record
    mask: Mask
    marker: Mask | None
    """Pixels of the neutral marker, where one was drawn."""
    removed: Sequence[Box]
    """What the plan fills."""
    kept: Sequence[Box]
    """All other regions."""

    def overlap(self, box: Box) -> float:
        """Share of `box` that was filled, in [0, 1]."""
        return self._share(self.mask, box)

    def place(self, box: Box) -> Place:
        """Where a region lies that a detector found on the cleansed image."""
        if self.marker is not None and self._share(self.marker, box) >= OVERLAP:
            return "neutral"
        if self.overlap(box) < OVERLAP:
            # A line of text that lost a word is found as its rest: inside what was known, not equal to it.
            known = any(box.intersection(other) >= SAME * box.area for other in (*self.removed, *self.kept))
            return "known" if known else "new"
        if any(box.iou(other) >= SAME for other in self.kept):
            return "known"
        return "mark" if any(box.intersection(other) for other in self.removed) else "decoy"

    def _share(self, mask: Mask, box: Box) -> float:
        return float(mask[box_window(box, self.record, 0.0)].mean())


def _images(raw: DatasetVersion, cleansed: DatasetVersion, plan: Plan, regions: pd.DataFrame) -> Iterator[_Image]:
    chosen = regions_to_clean(plan, regions)
    removed, kept = boxes_by_image(chosen), boxes_by_image(regions.drop(chosen.index))
    for row, record in enumerate(raw.images.to_dict("records")):
        mask, name = changed_mask(raw, cleansed, row, neutral=plan.normalises), str(record["image_id"])
        if mask.any():
            marker = marker_mask(record) if plan.normalises else None
            yield _Image(record, mask, marker, removed.get(name, []), kept.get(name, []))


def _box(region: Mapping[Hashable, Any]) -> Box:
    return Box(*(float(region[name]) for name in ("x0", "y0", "x1", "y1")))


def _share(
    raw: DatasetVersion, filled: Mapping[str, Sequence[Box]], left: Mapping[str, Sequence[Box]], seed: int
) -> dict[str, float | None]:
    """Of the filled regions, how many meet a residual one."""
    of = np.array([len(boxes) for boxes in filled.values()], dtype=np.float64)
    if not of.sum():
        return {"mean": None, "low": None, "high": None}
    met = np.array(
        [
            sum(any(box.intersection(other) for other in left.get(name, [])) for box in boxes)
            for name, boxes in filled.items()
        ],
        dtype=np.float64,
    )
    patients = raw.images.set_index("image_id")["patient_id"].loc[list(filled)]
    cluster = clusters(patients, filled)
    weights = resample_weights(cluster, RESAMPLES, numpy_generator(seed, "residual-bootstrap"))
    low, high = percentile_interval(divide(weights @ met, weights @ of), CONFIDENCE)
    return {"mean": float(met.sum() / of.sum()), "low": low, "high": high}


def _words(counts: Mapping[str, Any]) -> list[str]:
    checked = f"on the {counts['checked_images']} images where something was filled"
    if not counts["still_found"]:
        words = [
            f"Detectors looked again {checked}: none of the {counts['filled_regions']} filled regions is still found."
        ]
    else:
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts["by_kind"].items())
        share = counts["share"]
        words = [
            f"Detectors looked again {checked}: {counts['still_found']} regions are still found at filled places "
            f"({kinds}); they go back to review. {share['mean']:.1%} of the {counts['filled_regions']} filled regions "
            f"hold one (95 % interval {share['low']:.1%} to {share['high']:.1%})."
        ]
    if counts["decoy_images"]:
        words.append(
            f"At decoys, filled though nothing had been found there, {counts['at_decoys']} regions are found on "
            f"{counts['decoy_images']} images."
        )
    if counts["neutral_markers"]:
        words.append(f"{counts['neutral_markers']} neutral side markers are found, as they should be.")
    if counts["new_elsewhere"]:
        words.append(f"{counts['new_elsewhere']} regions are found away from filled places that were not found before.")
    return words
