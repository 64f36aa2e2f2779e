"""What differs between two versions of a data set: images, labels, splits and pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.cleanse.masks import content_window
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.progress import Progress, silent

GROUPS: Final = ("label", "split", "source")
"""Columns of the images table that changes are counted by."""
STATUSES: Final = ("changed", "added", "missing", "same")
"""What can have become of an image."""


@dataclass(frozen=True)
class VersionDiff:
    """What `diff_versions` found.

    Attributes:
        before: version name.
        after: version name.
        images: one row an image of either version, in the order of `before`, then what was added: ``image_id``,
            ``path``, ``label``, ``split``, ``source`` (of `after` where it is there), ``status`` (added, missing,
            changed, same), ``changed_pixels`` and ``content_pixels`` (stored pixels, without padding; null where the
            image is not in both), ``largest`` (largest change, share of the range), ``row_before``, ``row_after``, and
            ``label_before``, ``split_before`` where they differ.
        counts: images by status, relabelled and moved ones, and changed pixels; the statuses add up to ``images``.
        groups: one row a value of each of `GROUPS`: ``group``, ``value``, images by status.
    """

    before: str
    after: str
    images: pd.DataFrame
    counts: dict[str, Any]
    groups: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Counts, groups and the changed, added and missing images, as JSON values; unknown is null."""
        columns = ["image_id", "path", "status", "changed_pixels", "content_pixels", "largest"]
        differing = self.images.loc[self.images["status"] != "same", columns].astype(object)
        return {
            "before": self.before,
            "after": self.after,
            "counts": self.counts,
            "groups": self.groups.to_dict("records"),
            "images": differing.where(differing.notna(), None).to_dict("records"),
        }


def diff_versions(before: DatasetVersion, after: DatasetVersion, *, progress: Progress = silent) -> VersionDiff:
    """Compare two versions image by image; an image is the same one where its `image_id` is.

    Pixels are those of the store, so only versions with stores of one size can be compared. A store of 8 and one of
    16 bits can: 8-bit values count 257-fold, as they do when an 8-bit file is stored in 16.

    Raises:
        InputError: the stores differ in size, or the versions have no image in common.
    """
    if before.meta.size != after.meta.size:
        raise InputError(
            f"Version {before.meta.version} stores {before.meta.size} pixels a side and {after.meta.version} "
            f"{after.meta.size}. Ingest one of them again with the other's `store_size`."
        )
    left, right = _rows(before), _rows(after)
    both = left.index.intersection(right.index)
    if both.empty:
        raise InputError(
            f"Versions {before.meta.version} ({len(before)} images) and {after.meta.version} ({len(after)}) have no "
            "image in common. Compare versions of one data set."
        )
    table = right.combine_first(left).reindex([*left.index, *right.index.difference(left.index, sort=False)])
    table["row_before"], table["row_after"] = left["row"].reindex(table.index), right["row"].reindex(table.index)
    changes = {}
    rows = zip(both, left.loc[both, "row"], right.loc[both, "row"], strict=True)
    for done, (image_id, row, other) in enumerate(rows, start=1):
        changes[image_id] = _changes(before, after, row, other)
        progress("compare pixels", done, len(both))
    for name in ("changed_pixels", "content_pixels", "largest"):
        table[name] = pd.Series({image_id: change[name] for image_id, change in changes.items()}).reindex(table.index)
    for name in ("label", "split"):
        old = left[name].reindex(table.index)
        differs = old.notna() & right[name].reindex(table.index).notna() & (old != table[name])
        table[f"{name}_before"] = old.where(differs.fillna(False).astype(bool))
    table["status"] = [_status(record) for record in table.to_dict("records")]
    kinds: dict[str, str] = dict.fromkeys(("row_before", "row_after", "changed_pixels", "content_pixels"), "Int64")
    images = table.drop(columns="row").reset_index(names="image_id").astype(kinds)
    return VersionDiff(before.meta.version, after.meta.version, images, _counts(images), _groups(images))


def changed_pixels(before: DatasetVersion, after: DatasetVersion, rows: tuple[int, int]) -> NDArray[np.bool_]:
    """Which stored pixels of one image's content differ, bool (h, w); `rows`: of the image in each version."""
    return np.asarray(_difference(before, after, *rows) > 0)


def _rows(version: DatasetVersion) -> pd.DataFrame:
    table = version.images[["image_id", "path", *GROUPS]].assign(row=np.arange(len(version)))
    return table.set_index(table.pop("image_id").astype(str))


def _changes(before: DatasetVersion, after: DatasetVersion, row: int, other: int) -> dict[str, float]:
    difference = _difference(before, after, row, other)
    return {
        "changed_pixels": int(np.count_nonzero(difference)),
        "content_pixels": difference.size,
        "largest": float(difference.max()) / 65535,
    }


def _difference(before: DatasetVersion, after: DatasetVersion, row: int, other: int) -> NDArray[np.int64]:
    window = content_window(before.images.iloc[row].to_dict())
    old, new = (_deep(version.pixels([at])[0])[window] for version, at in ((before, row), (after, other)))
    return np.asarray(np.abs(old - new))


def _deep(pixels: NDArray[Any]) -> NDArray[np.int64]:
    return pixels.astype(np.int64) * (257 if pixels.dtype == np.uint8 else 1)


def _status(record: dict[Any, Any]) -> str:
    if pd.isna(record["row_before"]):
        return "added"
    if pd.isna(record["row_after"]):
        return "missing"
    return "changed" if record["changed_pixels"] else "same"


def _counts(images: pd.DataFrame) -> dict[str, Any]:
    changed, content = int(images["changed_pixels"].sum()), int(images["content_pixels"].sum())
    return {
        "images": len(images),
        **{status: int((images["status"] == status).sum()) for status in STATUSES},
        "relabelled": int(images["label_before"].notna().sum()),
        "moved_to_another_split": int(images["split_before"].notna().sum()),
        "changed_pixels": changed,
        "content_pixels": content,
        "share_of_pixels": changed / content,
    }


def _groups(images: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for group in GROUPS:
        value = images[group].astype(object).where(images[group].notna(), "unknown")
        table = pd.crosstab(value.astype(str), images["status"]).reindex(columns=list(STATUSES), fill_value=0)
        table["images"] = table.sum(axis=1)
        parts.append(table.reset_index(names="value").assign(group=group))
    return pd.concat(parts, ignore_index=True)[["group", "value", "images", *STATUSES]].rename_axis(columns=None)
