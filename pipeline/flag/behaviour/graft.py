"""Cutting marks out of one image and pasting them on another: the pictures and the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.controls import content_box
from pipeline.flag.behaviour.outputs import Outputs, classify
from pipeline.flag.behaviour.pairs import Pair
from pipeline.flag.behaviour.removal import Group, filled, groups_of
from pipeline.types import Box

COPIED_KINDS = frozenset({"border", "corner"})
"""Kinds whose pixels are copied; of the others the ink is cut out."""
MIN_INK = 0.02
"""A matte that nowhere reaches this, of full range 1, holds no ink."""

_Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Graft:
    """The transplant test on single pairs; what a pair gives depends on that pair alone."""

    model: nn.Module
    spec: ModelSpec
    dataset: DatasetVersion
    by_image: Mapping[str, pd.DataFrame]
    config: FlagConfig
    seed: int

    def records(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        """One record per pair; `effects` and `logit_effects` hold the single controls' effects."""
        return [self._record(pair) for pair in pairs]

    def _record(self, pair: Pair) -> dict[str, Any]:
        facts = self.dataset.images.iloc[pair.recipient]
        record: dict[str, Any] = {
            "kind": pair.kind,
            "class": pair.target,
            "image_id": str(facts["image_id"]),
            "row": pair.recipient,
            "label": facts["label"],
            "patient_id": None if pd.isna(facts["patient_id"]) else facts["patient_id"],
            **_UNTESTED,
        }
        return record if pair.donor is None else record | self._transplanted(pair, pair.donor)

    def _transplanted(self, pair: Pair, donor: int) -> dict[str, Any]:
        """What is known of a pair once there is a donor."""
        group = self._group(donor, pair.kind)
        reason, patches = self._patches(donor, group)
        record = {
            "donor_id": str(self.dataset.images["image_id"].iloc[donor]),
            "region_ids": "|".join(group.region_ids),
            "n_regions": len(group.region_ids),
            "controls": len(group.controls),
            "reason": reason,
        }
        if reason:
            return record
        image = self.dataset.tensor([pair.recipient])
        targets = [self._target(donor, pair.recipient, box) for box in group.boxes]
        pasted = [_paste(image[0, 0].numpy(), targets, patch, pair.kind) for patch in patches]
        outputs = classify(self.model, self.spec, torch.cat([image, torch.from_numpy(np.stack(pasted)).unsqueeze(1)]))
        return record | {"passes": len(outputs)} | self._answers(pair.target, outputs)

    def _group(self, donor: int, kind: str) -> Group:
        plane = self.dataset.tensor([donor])[0, 0].numpy()
        regions = self.by_image[str(self.dataset.images["image_id"].iloc[donor])]
        return next(groups_of(self.dataset, donor, plane, regions, [kind], self.config.controls, self.seed))

    def _patches(self, donor: int, group: Group) -> tuple[str | None, list[list[_Plane]]]:
        """Why there is nothing to paste, or what is: for the marks, then for each control set, a patch per box."""
        if not group.boxes:
            return "nothing to cut", []
        if len(group.controls) < self.config.controls:
            return "no room for controls", []
        image = self.dataset.tensor([donor])
        places = [group.boxes, *group.controls]
        if group.kind in COPIED_KINDS:
            return None, [[_cut(image[0, 0].numpy(), box) for box in boxes] for boxes in places]
        mattes = image - filled(self.dataset, donor, image, places, self.config.fill, self.seed)
        patches = [
            [_cut(matte, box) for box in boxes] for matte, boxes in zip(mattes[:, 0].numpy(), places, strict=True)
        ]
        empty = max(float(np.abs(patch).max()) for patch in patches[0]) < MIN_INK
        return ("nothing to cut", []) if empty else (None, patches)

    def _target(self, donor: int, recipient: int, box: Box) -> Box:
        """The place on the recipient that lies, relative to the picture, where `box` lies on the donor."""
        old, new = (content_box(self.dataset.transform(row)) for row in (donor, recipient))
        x0, x1 = _moved(box.x0, box.x1, (old.x0, old.x1), (new.x0, new.x1))
        y0, y1 = _moved(box.y0, box.y1, (old.y0, old.y1), (new.y0, new.y1))
        return Box(x0, y0, x1, y1)

    def _answers(self, target: str, outputs: Outputs) -> dict[str, Any]:
        """From the recipient as it was, with the mark, and with each control, in this order."""
        index = self.spec.classes.index(target)
        winners = outputs.probabilities.argmax(axis=1)
        effects = outputs.probabilities[1:, index] - outputs.probabilities[0, index]
        logits = outputs.log_odds[1:, index] - outputs.log_odds[0, index]
        other = bool(winners[0] != index)
        return {
            "predicted": self.spec.classes[int(winners[0])],
            "predicted_pasted": self.spec.classes[int(winners[1])],
            "flip": bool(winners[1] == index) if other else None,
            "control_flip_rate": float((winners[2:] == index).mean()) if other else None,
            "p": float(outputs.probabilities[0, index]),
            "effect": float(effects[0]),
            "effects": effects[1:].tolist(),
            "logit_effect": float(logits[0]),
            "logit_effects": logits[1:].tolist(),
        }


def _cut(plane: _Plane, box: Box) -> _Plane:
    return plane[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]


def _moved(low: float, high: float, old: tuple[float, float], new: tuple[float, float]) -> tuple[int, int]:
    """The span [low, high) of the span `old`, moved to the same share of `new`: whole pixels, at least one, inside."""
    scale = (new[1] - new[0]) / (old[1] - old[0])
    length = max(1, round((high - low) * scale))
    start = min(round(new[0] + (low - old[0]) * scale), round(new[1]) - length)
    return start, start + length


def _paste(plane: _Plane, targets: Sequence[Box], patches: Sequence[_Plane], kind: str) -> _Plane:
    """A copy of `plane`; each patch is resized, then added at its target and clipped, or put there (`COPIED_KINDS`)."""
    result = plane.copy()
    for target, patch in zip(targets, patches, strict=True):
        width, height = int(target.width), int(target.height)
        shrinks = width * height < patch.size
        scaled = cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        place = _cut(result, target)
        place[:] = scaled if kind in COPIED_KINDS else np.clip(place + scaled, 0, 1)
    return result


_UNTESTED: dict[str, Any] = {
    "donor_id": None,
    "region_ids": "",
    "n_regions": 0,
    "controls": 0,
    "passes": 0,
    "reason": "place taken",
    **dict.fromkeys(("predicted", "predicted_pasted", "flip", "control_flip_rate", "p", "effect", "logit_effect")),
    "effects": [],
    "logit_effects": [],
}
"""A record of a pair without a donor."""
