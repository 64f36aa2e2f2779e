"""Examples for the report: which images, with saliency, regions and cleansed pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from pipeline.artifacts import read_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.types import Box

if TYPE_CHECKING:
    from pipeline.report import Example

EXAMPLES = 3
"""Images shown with a finding."""


def examples(
    run: Path,
    data: DatasetVersion,
    cleansed: DatasetVersion | None,
    findings: list[dict[str, Any]],
    config: AuditConfig,
) -> list[Example]:
    """Pictures for every finding that is not dismissed, explained images first."""
    regions = read_parquet(run / "regions.parquet")
    effects = read_parquet(run / "effects.parquet")
    maps = _Maps(run / "saliency", config.explain.methods[0], data.meta.size)
    shown = []
    for finding in findings:
        if finding["status"] != "not-confirmed":
            ids = _choose(finding, regions, maps.image_ids)
            shown += [_example(finding, name, data, cleansed, regions, effects, maps) for name in ids]
    return shown


class _Maps:
    """Saliency maps of one explainer, enlarged to the pixel store."""

    def __init__(self, folder: Path, method: str, size: int) -> None:
        table = read_parquet(folder / f"{method}.parquet")
        self.method = method
        self.image_ids = table["image_id"].astype(str).tolist()
        self._store = zarr.open_array(folder / f"{method}.zarr", mode="r")
        self._size = size

    def of(self, image_id: str) -> NDArray[np.float32] | None:
        """(S, S), or None for an image that was not explained."""
        if image_id not in self.image_ids:
            return None
        small = np.asarray(self._store[self.image_ids.index(image_id)], dtype=np.float32)
        return np.asarray(cv2.resize(small, (self._size, self._size), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _choose(finding: dict[str, Any], regions: pd.DataFrame, explained: list[str]) -> list[str]:
    """Explained images with such a mark first, then those with the largest effect."""
    marked = set(regions.loc[regions["kind"] == finding["kind"], "image_id"].astype(str))
    strongest = [str(name) for name in finding["examples"]]
    ranked = sorted((name for name in explained if name in marked), key=lambda name: name not in strongest)
    return list(dict.fromkeys([*ranked, *strongest]))[:EXAMPLES]


def _example(
    finding: dict[str, Any],
    image_id: str,
    data: DatasetVersion,
    cleansed: DatasetVersion | None,
    regions: pd.DataFrame,
    effects: pd.DataFrame,
    maps: _Maps,
) -> Example:
    from pipeline.report import make_example

    row = int(np.flatnonzero(data.images["image_id"] == image_id)[0])
    own = regions[(regions["image_id"] == image_id) & (regions["kind"] == finding["kind"])]
    boxes = [Box(*(float(value) for value in corners)) for corners in own[["x0", "y0", "x1", "y1"]].to_numpy()]
    saliency = maps.of(image_id)
    facts: dict[str, Any] = {"explainer": maps.method} if saliency is not None else {}
    tested = effects[(effects["image_id"] == image_id) & (effects["kind"] == finding["kind"])]
    name = data.meta.positive
    if len(tested) and pd.notna(tested.iloc[0][f"effect_{name}"]):
        before = float(tested.iloc[0][f"p_{name}"])
        facts |= {"probability": before, "probability_removed": before - float(tested.iloc[0][f"effect_{name}"])}
    return make_example(data, row, finding["id"], boxes, saliency=saliency, cleansed=cleansed, **facts)
