"""`drop-images` and `drop-duplicates`: what is learned from loses images; test images all stay."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from pipeline.artifacts import content_hash
from pipeline.cleanse.repairs.action import Bench, Change, DataAction, derived
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.types import PRINTED_KINDS, RegionKind

LEARNED = ("train", "val")
"""Splits that a classifier learns from: one for its weights, one for its epoch."""


class Where(BaseModel):
    """Which images: those with a region of one of `kinds`, and those named. Kind `mark` is every printed kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[RegionKind, ...] = ()
    image_ids: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.kinds or self.image_ids):
            raise ValueError("`where` needs kinds (of regions) or image_ids")
        return self


class DropImages(DataAction):
    """Images that carry a suspected artefact are not learned from: the plainest repair, and the costliest in data."""

    action: Literal["drop-images"] = "drop-images"
    where: Where

    def learned_from(self, bench: Bench, version: DatasetVersion) -> DatasetVersion:
        """`version` without the training and validation images that `where` names.

        Raises:
            InputError: an image id is not in the data set.
        """
        known = set(bench.dataset.images["image_id"].astype(str))
        unknown = [name for name in self.where.image_ids if name not in known]
        if unknown:
            raise InputError(
                f"drop-images: {len(unknown)} of {len(self.where.image_ids)} image ids are not in data set "
                f"{bench.dataset.meta.name} (first: {unknown[0]}). Take them from its images.parquet."
            )
        kinds = PRINTED_KINDS | set(self.where.kinds) if "mark" in self.where.kinds else set(self.where.kinds)
        marked = bench.regions.loc[bench.regions["kind"].isin(kinds), "image_id"].astype(str)
        unwanted = {*marked, *self.where.image_ids}
        identity = {"operation": "drop-images", "selection": content_hash(sorted(unwanted & known))}
        return _without(version, version.images["image_id"].astype(str).isin(unwanted), identity, bench)


class DropDuplicates(DataAction):
    """Of each group of near duplicates the image of the smallest id is learned from (Barz & Denzler, 2020: duplicates
    weigh what they show several times, and reward memorising)."""

    action: Literal["drop-duplicates"] = "drop-duplicates"

    def learned_from(self, bench: Bench, version: DatasetVersion) -> DatasetVersion:
        """`version` with one training or validation image of each group; groups never span splits."""
        ranked = version.images.sort_values("image_id", kind="stable")
        again = ranked["duplicate_group"].notna() & ranked.duplicated(["duplicate_group", "split"])
        return _without(version, again.sort_index(), {"operation": "drop-duplicates"}, bench)


def only(version: DatasetVersion, rows: NDArray[np.int64], bench: Bench) -> DatasetVersion:
    """A version of `rows` of `version` alone."""
    images = version.images["image_id"].iloc[rows].astype(str).tolist()
    identity = {"operation": "only", "selection": content_hash(images)}
    return derived(version, bench.root, identity, lambda: Change(version, rows, _unchanged))


def _without(
    version: DatasetVersion, unwanted: pd.Series[bool], identity: dict[str, Any], bench: Bench
) -> DatasetVersion:
    gone = unwanted.to_numpy(dtype=bool) & version.images["split"].isin(LEARNED).to_numpy(dtype=bool)
    if not gone.any():
        return version
    dropped = version.images.loc[gone, "label"].value_counts()
    facts = {"dropped": {name: int(dropped.get(name, 0)) for name in version.meta.classes}}
    rows = np.flatnonzero(~gone).astype(np.int64)
    return derived(version, bench.root, identity, lambda: Change(version, rows, _unchanged, facts))


def _unchanged(_: pd.DataFrame, images: Tensor) -> Tensor:
    return images
