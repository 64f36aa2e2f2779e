"""What a report is made of. Everything after the findings is optional: an audit awaiting review has no comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetMeta, DatasetVersion
from pipeline.types import Box

Numbers = Mapping[str, Any]
"""A value with its interval: ``mean`` (or ``value``), ``low``, ``high`` and, known, ``n``. Unknown is null."""


@dataclass(frozen=True)
class Example:
    """One image shown with a finding. All arrays have the same (H, W); boxes are in their pixels."""

    finding: str
    """Id of the finding it illustrates."""
    image_id: str
    label: str
    image: NDArray[np.float32]
    """(H, W) in [0, 1]."""
    boxes: tuple[Box, ...]
    saliency: NDArray[np.float32] | None = None
    """(H, W), larger = matters more for the positive class."""
    cleansed: NDArray[np.float32] | None = None
    """(H, W) in [0, 1]."""
    explainer: str | None = None
    source: str | None = None
    split: str | None = None
    probability: float | None = None
    """Probability of the positive class before the regions were removed."""
    probability_removed: float | None = None
    """The same after removal."""


@dataclass(frozen=True)
class EvidenceTable:
    """One kind of evidence that is about the data set or the classifier as a whole, not about one region.

    Attributes:
        title: heading.
        meaning: what it measures and how to read it; a sentence or two.
        columns: heads.
        rows: cells: texts, numbers, `Numbers` or null.
        figure: data addresses of the same picture for light and dark pages, or None.
    """

    title: str
    meaning: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    figure: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ReportInput:
    """Content of one report; see `render_report`."""

    run_id: str
    dataset: DatasetMeta
    images: pd.DataFrame
    """images.parquet of the audited version: `label`, `source`, `split`, `patient_id` are counted."""
    findings: Sequence[Mapping[str, Any]]
    """findings.json. Shown where present: `id`, `kind`, `text`, `status`, `title` (else made of kind and text),
    `summary` (a sentence), and each other entry that is a number, text or a mapping (`Numbers`, or name to value)."""
    problems: pd.DataFrame | None = None
    """problems.parquet: `reason` is counted."""
    checks: Sequence[Mapping[str, Any]] = ()
    """Data quality, one line each: `check`, `value` (number, text or `Numbers`), `meaning`. For example near
    duplicates across splits, or the AUROC of a probe that sees only file format and size (container leakage)."""
    model: Mapping[str, Any] | None = None
    """Facts about the classifier: `name`, `input_size`, ...; `metrics` maps names to a number or `Numbers`."""
    explanations: Sequence[Mapping[str, Any]] = ()
    """One line per explainer: `method`, `deletion`, `insertion` (`Numbers`), `n`, `evaluations` per image."""
    evidence: Sequence[EvidenceTable] = ()
    examples: Sequence[Example] = ()
    plan: Mapping[str, Any] | None = None
    """`Plan.model_dump()`, and `decoys`: whether images without marks were filled at borrowed places as well."""
    held_back: pd.DataFrame | None = None
    """held_back.parquet: `image_id`, `kind`, `reason` are counted."""
    fingerprint: Mapping[str, Any] | None = None
    """fingerprint.json: `verdict`, `classes` (AUROC of the class at filled places), `trace` (what `cleansing_probe`
    returned), `words`."""
    residual: Mapping[str, Any] | None = None
    """residual.json: what detectors still find at filled places, and `words`."""
    comparison: Mapping[str, Any] | None = None
    """comparison.json."""
    repairs: Mapping[str, Any] | None = None
    """repairs.json: `ranking` (see `pipeline.report.ranking.rank`) and `words`."""
    grown: Mapping[str, Any] | None = None
    """grown.json, of an audit that went on from an earlier one."""
    drift: Mapping[str, Any] | None = None
    """drift.json, of an audit that was compared with an earlier one: `baseline`, `rows`, `words`."""
    review_hint: str | None = None
    """How to review, when the audit awaits review: a command or an address."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Command, versions, hashes, settings: nested mappings are shown as nested tables."""


def make_example(
    dataset: DatasetVersion,
    row: int,
    finding: str,
    boxes: Sequence[Box],
    *,
    saliency: NDArray[np.float32] | None = None,
    cleansed: DatasetVersion | None = None,
    **facts: Any,
) -> Example:
    """An `Example` from stored pixels: letterbox padding cut off, boxes moved along.

    Args:
        dataset: where the image is.
        row: its row number.
        finding: id of the finding.
        boxes: regions to outline, in original pixels.
        saliency: (S, S) at store size.
        cleansed: version whose row `row` is the same image, cleansed.
        facts: further fields of `Example`.
    """
    place, record = dataset.transform(row), dataset.images.iloc[row]
    top, left = int(place.pad_y), int(place.pad_x)
    height, width = round(place.height * place.scale), round(place.width * place.scale)
    window = (slice(top, top + height), slice(left, left + width))

    def stored(version: DatasetVersion) -> NDArray[np.float32]:
        return np.asarray(version.tensor([row])[0, 0].numpy()[window])

    moved = [place.to_store(box) for box in boxes]
    return Example(
        finding=finding,
        image_id=str(record["image_id"]),
        label=str(record["label"]),
        image=stored(dataset),
        boxes=tuple(Box(box.x0 - left, box.y0 - top, box.x1 - left, box.y1 - top) for box in moved),
        saliency=None if saliency is None else saliency[window],
        cleansed=None if cleansed is None else stored(cleansed),
        source=None if pd.isna(record["source"]) else str(record["source"]),
        split=None if pd.isna(record["split"]) else str(record["split"]),
        **facts,
    )
