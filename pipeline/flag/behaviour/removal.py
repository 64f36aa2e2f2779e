"""Removing all marks of one kind from one image, and matched places that hold none: the pictures and the answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.fills import fill
from pipeline.flag.behaviour.controls import box_mask, content_box, control_sets, removal_box
from pipeline.flag.behaviour.outputs import Outputs, classify
from pipeline.randomness import numpy_generator, torch_generator
from pipeline.types import Box

DILATION = 2.0
"""Stored pixels by which a region grows before it is removed."""
MARGIN = 3.0
"""Stored pixels a control keeps from every detected region."""


@dataclass(frozen=True)
class Group:
    """All marks of one kind on one image: what is removed, and what is removed instead.

    Attributes:
        kind: of the marks.
        region_ids: their ids, sorted.
        boxes: grown by `DILATION`, whole stored pixels inside the content; empty where nothing is left of them.
        controls: sets of one matched place per box.
    """

    kind: str
    region_ids: list[str]
    boxes: list[Box]
    controls: list[list[Box]]


def groups_of(
    dataset: DatasetVersion, row: int, plane: Any, regions: pd.DataFrame, kinds: Collection[str], count: int, seed: int
) -> Iterator[Group]:
    """The groups of one image, by kind, each with up to `count` control sets that touch no region of any kind.

    Args:
        dataset: where the image is.
        row: which.
        plane: its pixels, float32 (S, S).
        regions: all regions of this image.
        kinds: which groups are wanted.
        count: control sets per group.
        seed: of the run.
    """
    content, size = content_box(dataset.transform(row)), dataset.meta.size
    image_id = str(dataset.images["image_id"].iloc[row])
    stored = stored_boxes(dataset, row, regions)
    guarded = [removal_box(box, content, MARGIN) for box in stored.values()]
    forbidden = box_mask([box for box in guarded if box is not None], size)
    for kind, part in regions[regions["kind"].isin(list(kinds))].sort_values("region_id").groupby("kind", sort=True):
        ids = [str(name) for name in part["region_id"]]
        grown = [removal_box(stored[name], content, DILATION) for name in ids]
        boxes = [box for box in grown if box is not None]
        generator = numpy_generator(seed, "controls", image_id, str(kind))
        yield Group(
            str(kind), ids, boxes, control_sets(plane, boxes, forbidden, count, generator, content) if boxes else []
        )


def stored_boxes(dataset: DatasetVersion, row: int, regions: pd.DataFrame) -> dict[str, Box]:
    """Region id -> box in stored pixels, for the regions of one image."""
    place = dataset.transform(row)
    corners = regions[["x0", "y0", "x1", "y1"]].to_numpy(dtype=float).tolist()
    return {str(name): place.to_store(Box(*box)) for name, box in zip(regions["region_id"], corners, strict=True)}


def filled(
    dataset: DatasetVersion, row: int, image: Tensor, removals: Sequence[Sequence[Box]], name: str, seed: int
) -> Tensor:
    """The image (1, 1, S, S) once for each list of boxes, with those filled; the fill never sees letterbox padding."""
    where = torch.from_numpy(np.stack([box_mask(boxes, dataset.meta.size) for boxes in removals])).unsqueeze(1)
    content = content_box(dataset.transform(row))
    window = (..., slice(int(content.y0), int(content.y1)), slice(int(content.x0), int(content.x1)))
    pictures = image.repeat(len(removals), 1, 1, 1)
    generator = torch_generator(seed, "fill", str(dataset.images["image_id"].iloc[row]))
    pictures[window] = fill(name)(pictures[window], where[window], generator)
    return pictures


@dataclass(frozen=True)
class Removal:
    """The erase test on single images; what an image gives depends on that image alone."""

    model: nn.Module
    spec: ModelSpec
    dataset: DatasetVersion
    config: FlagConfig
    seed: int
    classes: tuple[str, ...]

    def chunk(
        self, part: Sequence[tuple[int, Collection[str]]], regions: Mapping[int, pd.DataFrame]
    ) -> list[dict[str, Any]]:
        """Records of the given (row, kinds); `regions` holds the regions of each row."""
        return [record for row, kinds in part for record in self.records(row, regions[row], kinds)]

    def records(self, row: int, regions: pd.DataFrame, kinds: Collection[str]) -> list[dict[str, Any]]:
        """One record for each of the image's `kinds`; ``effects_<class>`` holds the single controls' effects."""
        facts = self.dataset.images.iloc[row]
        image = self.dataset.tensor([row])
        before = classify(self.model, self.spec, image)
        common = {
            "image_id": str(facts["image_id"]),
            "row": row,
            "label": facts["label"],
            "patient_id": None if pd.isna(facts["patient_id"]) else facts["patient_id"],
        }
        found = groups_of(self.dataset, row, image[0, 0].numpy(), regions, kinds, self.config.controls, self.seed)
        records = [{**common, **self._record(row, image, before, group)} for group in found]
        for record in records[:1]:
            record["passes"] += 1  # of the unchanged image
        return records

    def _record(self, row: int, image: Tensor, before: Outputs, group: Group) -> dict[str, Any]:
        after = None
        if group.boxes and len(group.controls) >= self.config.controls:
            removals = [group.boxes, *group.controls]
            pictures = filled(self.dataset, row, image, removals, self.config.fill, self.seed)
            after = classify(self.model, self.spec, pictures)
        record: dict[str, Any] = {
            "kind": group.kind,
            "region_ids": "|".join(group.region_ids),
            "n_regions": len(group.region_ids),
            "controls": len(group.controls),
            "passes": 0 if after is None else len(after),
            "predicted": self.spec.classes[int(before.probabilities[0].argmax())],
            "predicted_removed": None if after is None else self.spec.classes[int(after.probabilities[0].argmax())],
        }
        for name in self.classes:
            record |= self._effects(name, before, after)
        return record

    def _effects(self, name: str, before: Outputs, after: Outputs | None) -> dict[str, Any]:
        index = self.spec.classes.index(name)
        found: dict[str, Any] = {f"p_{name}": float(before.probabilities[0, index])}
        for stem in ("probabilities", "log_odds"):
            prefix = "" if stem == "probabilities" else "logit_"
            falls = [] if after is None else (getattr(before, stem)[0, index] - getattr(after, stem)[:, index]).tolist()
            found[f"{prefix}effect_{name}"] = falls[0] if falls else None
            found[f"{prefix}effects_{name}"] = falls[1:]
        return found
