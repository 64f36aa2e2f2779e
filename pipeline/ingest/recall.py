"""Splits of a data set that grows: whom a classifier may have learnt from stays where it was, also when it comes back.

* A known image, file or patient keeps its split, and so does everybody who shares a unit with it.
* A unit that new images joined together out of several splits goes as a whole to the one nearest training.
* What the manifest now pins farther from training than its unit was is left out: it can no longer be held out.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from pipeline.artifacts import read_parquet
from pipeline.dataset import DatasetVersion
from pipeline.errors import ProblemReason
from pipeline.ingest.splits import units

GONE_FILE: Final = "gone.parquet"
"""Of a version: `KEYS` and `split` of images of earlier versions that it does not hold."""
KEYS: Final = ("image_id", "file_sha256", "patient_id")
"""What an image is recognised by."""
_NEAREST_FIRST: Final = ("train", "val", "test")


def recalled(images: pd.DataFrame, previous: DatasetVersion | None) -> pd.Series:
    """Split that each image's unit had in earlier versions, null for units that are new.

    Args:
        images: columns `KEYS` and duplicate_group, before copies are dropped; any unique index.
        previous: the version that the data set grows from, with its memory of those before.
    """
    if previous is None:
        return pd.Series(pd.NA, index=images.index, dtype="string")
    known = _memory(previous)
    nearest = {key: known.dropna(subset=[key]).groupby(key)["nearness"].min() for key in KEYS}
    nearness = pd.DataFrame({key: images[key].map(nearest[key]).astype(float) for key in KEYS}).min(axis=1)
    unit = pd.Series(units(images, "patient_id", "duplicate_group"), index=images.index)
    nearest_of_unit = nearness.groupby(unit).transform("min")
    return nearest_of_unit.map(dict(enumerate(_NEAREST_FIRST))).astype("string")


def drop_learnt(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out images that are held out by the manifest, but whose unit was nearer to training before.

    Args:
        images: columns path, split (pinned or null) and earlier (see `recalled`).

    Returns:
        The rows to use, and the others as problems: path, reason, detail.
    """
    farness = {name: number for number, name in enumerate((*_NEAREST_FIRST, "other_source"))}
    learnt = (images["split"].map(farness) > images["earlier"].map(farness)).fillna(False).astype(bool)
    out = images[learnt]
    details = (
        "pinned to " + out["split"] + ", but this image, its patient or its exposure was in " + out["earlier"] + " in "
        "an earlier audit, and the classifier may have learnt from it; audit without --grow to train anew"
    )
    problems = pd.DataFrame({"path": out["path"], "reason": str(ProblemReason.DUPLICATE), "detail": details})
    return images[~learnt], problems.astype("string")


def gone(images: pd.DataFrame, previous: DatasetVersion | None) -> pd.DataFrame:
    """The memory of a new version: images of earlier versions that are not in `images`, sorted by image id."""
    if previous is None:
        return pd.DataFrame(columns=[*KEYS, "split"], dtype="string")
    known = _memory(previous)
    lost = known[~known["image_id"].isin(images["image_id"])]
    return lost.drop(columns="nearness").sort_values("image_id", ignore_index=True)


def _memory(previous: DatasetVersion) -> pd.DataFrame:
    """`KEYS`, `split` and its nearness to training, of all images that were drawn into a split so far."""
    columns = [*KEYS, "split"]
    path = previous.path / GONE_FILE
    parts = [previous.images[columns], *([read_parquet(path)] if path.exists() else [])]
    known = pd.concat(parts, ignore_index=True).drop_duplicates("image_id")
    nearness = known["split"].map({name: number for number, name in enumerate(_NEAREST_FIRST)})
    return known.assign(nearness=nearness)[nearness.notna()].astype({"nearness": float})
