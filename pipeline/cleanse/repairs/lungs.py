"""`crop-to-lungs` and `black-out-outside-lungs`: what lies outside the lungs, marks included, is not seen.

As in Teixeira et al., Impact of lung segmentation on the diagnosis and explanation of COVID-19 in chest X-ray images,
Sensors 21:7116 (2021), who also found that a strong bias of the source remains: exposure and texture stay.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from pipeline.cleanse.masks import Mask, content_window
from pipeline.cleanse.repairs.action import Bench, Change, PixelAction, Transform, derived
from pipeline.cleanse.repairs.frame import Window, cut, framed_table
from pipeline.cleanse.repairs.lung_fields import Fields, lung_fields
from pipeline.dataset import DatasetVersion


class _LungAction(PixelAction):
    margin: float = Field(ge=0, le=0.5, description="kept around the lungs, share of the picture's longer side")

    def fitted(self, bench: Bench, version: DatasetVersion) -> Transform:
        """The change; lungs are found on every picture anew, as they would be in use."""
        fields_of = lung_fields(bench, version)
        identity = {
            **{"operation": self.action, "margin": self.margin, "lungs": bench.lungs_name},
            "typical_of": version.meta.version,
        }

        def transform(shown: DatasetVersion) -> DatasetVersion:
            return derived(shown, bench.root, identity, lambda: self._change(shown, fields_of(shown)))

        return transform

    @abstractmethod
    def _change(self, shown: DatasetVersion, fields: Fields) -> Change:
        """How `shown` is changed."""


class CropToLungs(_LungAction):
    """The box around both lungs, enlarged to the size of the store.

    Pictures without plausible lungs are cut to the box of the typical lungs and counted in lineage.json.
    """

    action: Literal["crop-to-lungs"] = "crop-to-lungs"
    margin: float = Field(0.05, ge=0, le=0.5, description="kept around the lungs, share of the picture's longer side")

    def _change(self, shown: DatasetVersion, fields: Fields) -> Change:
        records = {str(record["image_id"]): record for record in shown.images.to_dict("records")}
        windows = {name: _around(fields(record)[0], self.margin) for name, record in records.items()}
        framed = framed_table(shown, windows)

        def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
            pictures = [
                cut(image, records[str(new["image_id"])], new, windows[str(new["image_id"])], _same)
                for image, new in zip(images, table.to_dict("records"), strict=True)
            ]
            return torch.stack(pictures)

        return Change(framed, np.arange(len(shown)), edit, _counts(shown, fields))


class BlackOutOutsideLungs(_LungAction):
    """Everything further from the lungs than the margin is black.

    Pictures without plausible lungs keep what lies in the typical lungs and are counted in lineage.json.
    """

    action: Literal["black-out-outside-lungs"] = "black-out-outside-lungs"
    margin: float = Field(0.02, ge=0, le=0.5, description="kept around the lungs, share of the picture's longer side")

    def _change(self, shown: DatasetVersion, fields: Fields) -> Change:
        def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
            kept = torch.zeros_like(images)
            for position, record in enumerate(table.to_dict("records")):
                window = (position, slice(None), *content_window(record))
                kept[window] = images[window] * torch.from_numpy(_grown(fields(record)[0], self.margin))
            return kept

        return Change(shown, np.arange(len(shown)), edit, _counts(shown, fields))


def _around(lungs: Mask, margin: float) -> Window:
    """The box of `lungs` and a margin, within the picture."""
    grow = round(margin * max(lungs.shape))
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    return (
        max(int(rows[0]) - grow, 0),
        min(int(rows[-1]) + 1 + grow, lungs.shape[0]),
        max(int(columns[0]) - grow, 0),
        min(int(columns[-1]) + 1 + grow, lungs.shape[1]),
    )


def _grown(lungs: Mask, margin: float) -> Mask:
    """`lungs` and everything closer to them than the margin."""
    away = cv2.distanceTransform((~lungs).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= margin * max(lungs.shape))


def _counts(shown: DatasetVersion, fields: Fields) -> dict[str, Any]:
    missed = sum(not fields(record)[1] for record in shown.images.to_dict("records"))
    return {"images": len(shown), "lungs_not_found": missed}


def _same(content: Tensor) -> Tensor:
    return content
