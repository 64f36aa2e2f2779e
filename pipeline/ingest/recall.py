"""Splits of a data set that grows: whom a classifier may have learnt from stays where it was, also when it comes back.

* A known image, file or patient keeps its split, and so does everybody who shares a unit with it; so does a new picture
  of an exposure that vanished, which is recognised as copies are.
* A unit that new images joined together out of several splits goes as a whole to the one nearest training.
* What the manifest now pins farther from training than its unit was is left out: it can no longer be held out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.artifacts import read_parquet
from pipeline.dataset import DatasetVersion
from pipeline.errors import ProblemReason
from pipeline.ingest.decode import to_8_bits, unletterbox
from pipeline.ingest.duplicates import SAME_PICTURE, THUMBNAIL, fine_structure, similarity, thumbnail
from pipeline.ingest.splits import units
from pipeline.types import StoreTransform

GONE_FILE: Final = "gone.parquet"
"""Of a version: `KEYS`, `split` and `_LOOKS` of images of earlier versions that it does not hold."""
KEYS: Final = ("image_id", "file_sha256", "patient_id")
"""What an image is recognised by."""
_LOOKS: Final = ("phash", "look")
"""What another picture of an image's exposure is recognised by; `look` is its thumbnail, `THUMBNAIL` squared bytes."""
_NEAREST_FIRST: Final = ("train", "val", "test")

Picture = Callable[[int], NDArray[Any]]


def recalled(images: pd.DataFrame, previous: DatasetVersion | None, picture: Picture, distance: int) -> pd.Series:
    """Split that each image's unit had in earlier versions, null for units that are new.

    Args:
        images: columns `KEYS`, phash and duplicate_group, before copies are dropped; any unique index.
        previous: the version that the data set grows from, with its memory of those before.
        picture: grey pixels (height, width) of image i; called for what may be another picture of a vanished one.
        distance: Hamming distance up to which two perceptual hashes are worth comparing.
    """
    if previous is None:
        return pd.Series(pd.NA, index=images.index, dtype="string")
    known = _memory(previous)
    nearest = {key: known.dropna(subset=[key]).groupby(key)["nearness"].min() for key in KEYS}
    by = {key: images[key].map(nearest[key]).astype(float) for key in KEYS}
    by["look"] = pd.Series(_nearest_alike(images["phash"], known, picture, distance), index=images.index)
    nearness = pd.DataFrame(by).min(axis=1)
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
        return pd.DataFrame(columns=[*KEYS, "split", *_LOOKS], dtype="string")
    known = _memory(previous)
    lost = known[~known["image_id"].isin(images["image_id"])]
    rows = {name: row for row, name in enumerate(previous.images["image_id"])}
    looks = [
        _look(previous, rows[name]) if name in rows else look
        for name, look in zip(lost["image_id"], lost["look"], strict=True)
    ]
    told = lost.assign(look=pd.Series(looks, index=lost.index, dtype=object)).drop(columns="nearness")
    return told.sort_values("image_id", ignore_index=True)


def _look(version: DatasetVersion, row: int) -> bytes:
    facts = version.images.iloc[row]
    placed = StoreTransform(facts["scale"], facts["pad_x"], facts["pad_y"], int(facts["width"]), int(facts["height"]))
    return thumbnail(to_8_bits(unletterbox(version.pixels([row])[0], placed))).tobytes()


def _nearest_alike(hashes: pd.Series, known: pd.DataFrame, picture: Picture, distance: int) -> NDArray[np.float64]:
    """Nearness to training, of the vanished images that an image shows the exposure of; NaN where it shows none."""
    found = np.full(len(hashes), np.nan)
    ours = np.array([int(text, 16) for text in hashes], dtype=np.uint64)
    for phash, look, nearness in known.loc[known["look"].notna(), [*_LOOKS, "nearness"]].itertuples(index=False):
        vanished = fine_structure(np.frombuffer(look, dtype=np.uint8).reshape(THUMBNAIL, THUMBNAIL))
        for row in np.flatnonzero(np.bitwise_count(ours ^ np.uint64(int(phash, 16))) <= distance):
            if similarity(fine_structure(picture(int(row))), vanished) >= SAME_PICTURE:
                found[row] = np.fmin(found[row], nearness)
    return found


def _memory(previous: DatasetVersion) -> pd.DataFrame:
    """`KEYS`, `split` and its nearness to training, of all images that were drawn into a split so far.

    Of those that `previous` does not hold any more also `_LOOKS`.
    """
    columns = [*KEYS, "split", "phash"]
    path = previous.path / GONE_FILE
    vanished = [read_parquet(path).reindex(columns=[*columns, "look"])] if path.exists() else []
    known = pd.concat([previous.images[columns].assign(look=None), *vanished], ignore_index=True)
    known = known.drop_duplicates("image_id").astype({"look": object})
    nearness = known["split"].map({name: number for number, name in enumerate(_NEAREST_FIRST)})
    return known.assign(nearness=nearness)[nearness.notna()].astype({"nearness": float})
