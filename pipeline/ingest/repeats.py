"""What is done about pictures that are there more than once.

* identical pixels under different labels: nobody can say which is right, none is used;
* nothing that shows a patient or an exposure of the other-source test set stays beside it;
* near duplicates that the manifest pins to different splits: those in the split farthest from training are used;
* other near duplicates: all are used and share a split (`pipeline.ingest.splits`);
* identical pixels otherwise: one copy is used, a pinned one first, then one whose patient is known.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from pipeline.errors import ProblemReason
from pipeline.ingest.splits import units

PINS: Final = ("other_source", "test", "val", "train")
"""Splits a manifest may pin, farthest from training first."""
_OTHER_SOURCE: Final = PINS.index("other_source")


def drop_repeats(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Apply the rules above.

    Args:
        images: columns path, label, split (pinned or null), image_id, patient_id and duplicate_group, which is equal
            for all pictures of one exposure; any unique index.

    Returns:
        The rows to use, in their order, with a column `unit` (images that must share a split, see `units`) and with
        `duplicate_group` null where one row of a group is left; and the other rows as problems: path, reason, detail.
    """
    images, conflicting = _drop_conflicting(images)
    images, leaking = _drop_leaking(images)
    # Units are drawn up before copies go: two patients that own copies of one picture are one person.
    images, identical = _drop_identical(images.assign(unit=units(images, "patient_id", "duplicate_group")))
    alone = ~images["duplicate_group"].duplicated(keep=False)
    images = images.assign(duplicate_group=images["duplicate_group"].mask(alone))
    return images, pd.concat([conflicting, leaking, identical], ignore_index=True)


def _drop_conflicting(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    bad = images.groupby("image_id")["label"].transform("nunique") > 1
    seen = images[bad].groupby("image_id")["label"].agg(lambda names: ", ".join(sorted(set(names))))
    details = "the same pixels are labelled " + images.loc[bad, "image_id"].map(seen)
    return images[~bad], _problems(images[bad], ProblemReason.CONFLICTING_LABEL, details)


def _drop_leaking(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    rank = _rank(images["split"])
    unit = pd.Series(units(images, "patient_id", "duplicate_group"), index=images.index)
    beside = images["split"].isna() & (rank.groupby(unit).transform("min") == _OTHER_SOURCE)
    nearer = images["split"].notna() & (rank > rank.groupby(images["duplicate_group"]).transform("min"))
    leak = beside | nearer
    held_out = images[~leak].assign(unit=unit, rank=rank).sort_values(["rank", "path"]).groupby("unit")["path"].first()
    details = "same exposure or patient as the held-out " + unit[leak].map(held_out)
    return images[~leak], _problems(images[leak], ProblemReason.DUPLICATE, details)


def _drop_identical(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = pd.DataFrame(
        {"rank": _rank(images["split"]), "anonymous": images["patient_id"].isna(), "path": images["path"]}
    )
    best_first = images.loc[order.sort_values(["rank", "anonymous", "path"], kind="stable").index]
    used = best_first.drop_duplicates("image_id").set_index("image_id")["path"]
    extra = best_first["image_id"].duplicated().reindex(images.index)
    details = "the same pixels as " + images.loc[extra, "image_id"].map(used)
    return images[~extra], _problems(images[extra], ProblemReason.DUPLICATE, details)


def _rank(split: pd.Series) -> pd.Series:
    return split.map({name: number for number, name in enumerate(PINS)}).fillna(len(PINS)).astype(int)


def _problems(rows: pd.DataFrame, reason: ProblemReason, details: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({"path": rows["path"], "reason": str(reason), "detail": details}, dtype="string")
