"""How much of each class a plan changes: images, regions, pixels, and pixels inside the lungs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.artifacts import content_hash
from pipeline.cleanse.balance import imbalances
from pipeline.cleanse.holes import HolesOf, holes, records
from pipeline.cleanse.lungs import Lungs
from pipeline.cleanse.masks import Mask, Record, content_size
from pipeline.cleanse.normalise import marker_mask
from pipeline.cleanse.plan import FILLING, ClassImpact, Exceptions, Plan, policies
from pipeline.dataset import DatasetVersion


def recounted(plan: Plan, judged: pd.DataFrame, dataset: DatasetVersion, lungs: Lungs | None) -> Plan:
    """`plan` with its counts made anew, and the exceptions that the regions hold.

    Args:
        plan: whose counts may be those of an earlier version of it.
        judged: regions as `hold_back` returns them.
        dataset: what they were found on.
        lungs: its lung fields.
    """
    labels = judged["image_id"].map(dataset.images.set_index("image_id")["label"]).astype(str)
    decided, excepted = policies(plan, judged), judged["exception"].notna()
    by_line = [
        _by_class(labels[decided["line"].isin([number]) & ~excepted], dataset) for number in range(len(plan.lines))
    ]
    lines = tuple(line.model_copy(update={"regions": counts}) for line, counts in zip(plan.lines, by_line, strict=True))
    held = judged["held_back"].notna()
    cleaned = decided["policy"].isin(FILLING) & ~held
    changed = changes(dataset.images, holes(plan, judged[cleaned]), plan, lungs)
    regions, back = _by_class(labels[cleaned], dataset), _by_class(labels[held], dataset)
    impact = {
        name: ClassImpact(**counts, regions=regions[name], held_back=back[name])
        for name, counts in by_class(changed, dataset).items()
    }
    made = plan.model_copy(update={"lines": lines, "impact": impact, "exceptions": exceptions(judged, dataset)})
    return made if plan.edited else made.model_copy(update={"made_as": made.identity()})


def exceptions(judged: pd.DataFrame, dataset: DatasetVersion) -> Exceptions:
    """Counts of what a person decided region by region, other than the lines would.

    Args:
        judged: regions as `hold_back` returns them.
        dataset: what they were found on.
    """
    own = judged[judged["exception"].notna()]
    if own.empty:
        return Exceptions()
    labels = own["image_id"].map(dataset.images.set_index("image_id")["label"]).astype(str)
    counts = {name: _by_class(labels[own["exception"] == name], dataset) for name in ("removed", "kept", "review")}
    return Exceptions(
        **counts,
        decided_by={str(who): int(count) for who, count in own["decided_by"].value_counts().sort_index().items()},
        warnings=imbalances(judged, dataset),
        made_of=content_hash(sorted(zip(own["region_id"], own["exception"], strict=True))),
    )


def changes(images: pd.DataFrame, holes_of: HolesOf, plan: Plan, lungs: Lungs | None) -> pd.DataFrame:
    """What filling `holes_of`, and the neutral marker where `plan` wants one, change in each row of an images table.

    Returns:
        `pixels` (Int64): stored pixels filled or drawn over; `in_lungs` (Int64): of these inside lung fields, null
        where the lungs are unknown; `content` (Int64): stored pixels of the image, padding not counted.
    """
    rows: list[tuple[Any, ...]] = []
    for record in records(images):
        mask = _changed(record, holes_of, plan)
        height, width = content_size(record)
        if mask is None:
            rows.append((0, 0, height * width))
            continue
        field = None if lungs is None else lungs.field(record)
        inside = pd.NA if field is None else int((mask & field).sum())
        rows.append((int(mask.sum()), inside, height * width))
    return pd.DataFrame(rows, columns=["pixels", "in_lungs", "content"], index=images.index).astype("Int64")


def by_class(changed: pd.DataFrame, dataset: DatasetVersion) -> dict[str, dict[str, int | float | None]]:
    """Sums of `changes` over the images of each class: `images`, `of`, `pixels`, `share`, `in_lungs`.

    `in_lungs` is null where the lungs of every changed image are unknown, else the sum over the others.
    """
    sums = {}
    for name in dataset.meta.classes:
        own = changed[(dataset.images["label"] == name).to_numpy(dtype=bool)]
        touched = own[own["pixels"] > 0]
        known = len(touched) == 0 or touched["in_lungs"].notna().any()
        sums[name] = {
            "images": len(touched),
            "of": len(own),
            "pixels": int(own["pixels"].sum()),
            "share": round(float(own["pixels"].sum() / max(own["content"].sum(), 1)), 6),
            "in_lungs": int(touched["in_lungs"].sum()) if known else None,
        }
    return sums


def _changed(record: Record, holes_of: HolesOf, plan: Plan) -> Mask | None:
    filled = holes_of(record)
    mask = None if filled is None else filled > 0
    if plan.normalises:
        drawn = marker_mask(record)
        mask = drawn if mask is None else mask | drawn
    return mask


def _by_class(labels: pd.Series[str], dataset: DatasetVersion) -> dict[str, int]:
    return {name: int((labels == name).sum()) for name in dataset.meta.classes}
