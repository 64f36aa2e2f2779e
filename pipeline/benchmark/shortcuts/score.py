"""The audit of one trial against what was planted: data set, image and region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import zarr
from numpy.typing import NDArray

from pipeline.artifacts import read_parquet
from pipeline.benchmark.shortcuts.audit import Audited
from pipeline.benchmark.shortcuts.plant import Sheet
from pipeline.dataset import DatasetVersion
from pipeline.explain.metrics import pointing_game
from pipeline.flag.behaviour.evidence import coverage
from pipeline.types import Box

FOUND_IOU = 0.3
"""A planted mark is found where a detected box overlaps it by at least this: true boxes are as tight as ink."""
SAME_BOX = 0.9
"""IoU from which on two boxes of one detector are the same mark."""

Record = dict[str, Any]


_TRAIT = "trait/"
"""How the kinds of findings on image-wide traits begin."""


def kind_of(finding: Mapping[str, Any]) -> str:
    """The planted kind that a finding names: a region kind, or the bare name of an image-wide trait."""
    return str(finding["kind"]).removeprefix(_TRAIT)


def data_set_score(planted: str | None, findings: Sequence[Mapping[str, Any]]) -> Record:
    """What the audit says of the data set.

    `confirmed`: the planted kind is confirmed, or, where nothing went with a class, anything is (`planted` None);
    `status`, `effect` (mean excess effect of removal) and `q`: of the finding of the planted kind.
    """
    confirmed = [kind_of(finding) for finding in findings if finding["status"] == "confirmed"]
    own = next((finding for finding in findings if kind_of(finding) == planted), None)
    effect = own["effect"] if own else {}
    excess = effect.get("excess") or {}
    return {
        "confirmed": planted in confirmed if planted else bool(confirmed),
        "confirmed_kinds": "|".join(confirmed),
        "status": own["status"] if own else None,
        "effect": excess.get("mean"),
        "effect_low": excess.get("low"),
        "q": effect.get("q"),
    }


def image_score(sheet: Sheet, plain: pd.DataFrame, confirmed: Sequence[str]) -> Record:
    """Precision and recall of flagged images, those with a region of a confirmed kind.

    `image_precision_new` leaves out images flagged for nothing but marks that they had before planting.

    Args:
        sheet: the trial's images, truth and regions.
        plain: regions of the same images before planting.
        confirmed: kinds of the confirmed findings, as these spell them.
    """
    flagged = sheet.regions[sheet.regions["kind"].isin(confirmed)]
    there = set(sheet.truth["image_id"])
    ids = set(flagged["image_id"])
    new = ids & there | {str(name) for name in ids - there if not _known_before(str(name), flagged, plain)}
    return {
        "images_planted": len(there),
        "images_flagged": len(ids),
        "image_precision": len(ids & there) / len(ids) if ids else None,
        "image_precision_new": len(new & there) / len(new) if new else None,
        "image_recall": len(ids & there) / len(there) if there else None,
    }


def _known_before(image_id: str, flagged: pd.DataFrame, plain: pd.DataFrame) -> bool:
    now, before = (_boxes(table[table["image_id"] == image_id]) for table in (flagged, plain))
    return all(any(box.iou(old) >= SAME_BOX for old in before) for box in now)


def region_score(sheet: Sheet, confirmed: Sequence[str]) -> Record:
    """Detected boxes against planted ones; for image-wide traits only `mark_confirmed`, 1 if any trait is confirmed.

    `mark_iou`: mean over planted marks of the best IoU with a detected box; `mark_found`: share with at least
    `FOUND_IOU`; `mark_named`: share whose best box has the planted kind; `mark_confirmed`: share whose best box has a
    confirmed kind, whatever its name; `found_as`: the kind that most best boxes have.
    """
    truth = sheet.truth.dropna(subset=["x0"])
    if truth.empty:
        unknown = dict.fromkeys(("mark_iou", "mark_found", "mark_named", "found_as"))
        return {**unknown, "mark_confirmed": float(any(kind.startswith(_TRAIT) for kind in confirmed))}
    by_image = {str(name): part for name, part in sheet.regions.groupby("image_id")}
    best = [_best(planted, by_image.get(str(planted["image_id"]))) for planted in truth.to_dict("records")]
    names = pd.Series([name for _, name in best], dtype="object")
    counts = names.value_counts()
    return {
        "mark_iou": float(np.mean([iou for iou, _ in best])),
        "mark_found": float(names.notna().mean()),
        "mark_named": float((names == truth["kind"].iloc[0]).mean()),
        "mark_confirmed": float(names.isin(confirmed).mean()),
        "found_as": str(counts.index[0]) if len(counts) else None,
    }


def _best(planted: Mapping[Any, Any], found: pd.DataFrame | None) -> tuple[float, str | None]:
    """Largest IoU of a planted mark with a box on its image, and the kind of that box; None where it is no find."""
    if found is None:
        return 0.0, None
    ious = [_box(planted).iou(box) for box in _boxes(found)]
    number = int(np.argmax(ious))
    return ious[number], str(found["kind"].iloc[number]) if ious[number] >= FOUND_IOU else None


def pointing_score(sheet: Sheet, audit: Audited, method: str, target: str) -> Record:
    """Pointing game of `method` on explained images that carry the mark and are predicted as `target`."""
    table = read_parquet(audit.maps / f"{method}.parquet")
    maps = zarr.open_array(audit.maps / f"{method}.zarr", mode="r")
    boxes = {str(mark["image_id"]): _box(mark) for mark in sheet.truth.dropna(subset=["x0"]).to_dict("records")}
    index = sheet.version.meta.classes.index(target)
    shown = [
        number
        for number, (name, explained) in enumerate(zip(table["image_id"], table["target"], strict=True))
        if str(name) in boxes and explained == index
    ]
    if not shown:
        return {"pointing": None, "pointing_n": 0}
    saliency = torch.from_numpy(np.stack([np.asarray(maps[number]) for number in shown])[:, None])
    places = [
        _on_map(sheet.version, int(table["row"].iloc[number]), boxes[str(table["image_id"].iloc[number])], saliency)
        for number in shown
    ]
    hits = pointing_game(saliency.float(), torch.from_numpy(np.stack(places)[:, None]))
    return {"pointing": float(hits.float().mean()), "pointing_n": len(shown)}


def _on_map(dataset: DatasetVersion, row: int, box: Box, saliency: torch.Tensor) -> NDArray[np.bool_]:
    """Pixels of the map that `box` touches, bool (h, w)."""
    height, width = saliency.shape[-2:]
    stored, size = dataset.transform(row).to_store(box), dataset.meta.size
    across, down = width / size, height / size
    scaled = Box(stored.x0 * across, stored.y0 * down, stored.x1 * across, stored.y1 * down)
    return np.asarray(coverage(scaled, (height, width)) > 0)


def _box(record: Mapping[Any, Any]) -> Box:
    return Box(float(record["x0"]), float(record["y0"]), float(record["x1"]), float(record["y1"]))


def _boxes(table: pd.DataFrame) -> list[Box]:
    return [_box(record) for record in table[["x0", "y0", "x1", "y1"]].to_dict("records")]
