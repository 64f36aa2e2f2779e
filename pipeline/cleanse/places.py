"""Where cleansing changed an image, read off the pixels of the two versions: whatever plan, decoy or fill did it."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.cleanse.masks import Mask, Piece, content_window, pieces
from pipeline.cleanse.normalise import marker_mask
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError

GAP = 7
"""Gaps up to this width, pixels, belong to the place around them: a fill may hit the old value by chance."""
MIN_PIXELS = 9
"""Smaller places are not read: nothing is printed that small."""


def same_images(raw: DatasetVersion, cleansed: DatasetVersion) -> None:
    """Check that row i of both versions is the same image.

    Raises:
        InputError: it is not.
    """
    if raw.images["image_id"].to_list() != cleansed.images["image_id"].to_list():
        raise InputError(
            f"Versions {raw.meta.version} ({len(raw)} images) and {cleansed.meta.version} ({len(cleansed)}) do not "
            "hold the same images in the same order. Compare a version with the one it was cleansed from."
        )


def changed_mask(raw: DatasetVersion, cleansed: DatasetVersion, row: int, *, neutral: bool = False) -> Mask:
    """Which pixels of the content of `row` were filled, bool (h, w); all False where the two versions agree.

    Args:
        raw: before cleansing.
        cleansed: what was made of `raw`; same rows.
        row: which image.
        neutral: a neutral marker was drawn in every image; its place, the same in all, does not count.
    """
    record = raw.images.iloc[row].to_dict()
    rows, columns = content_window(record)
    before, after = (version.pixels([row])[0, rows, columns] for version in (raw, cleansed))
    changed = np.asarray(before != after, dtype=np.bool_)
    if neutral:
        changed &= ~marker_mask(record)
    if not changed.any():
        return changed
    closed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((GAP, GAP), dtype=np.uint8))
    return np.asarray(closed, dtype=np.bool_)


def changed_places(raw: DatasetVersion, cleansed: DatasetVersion, row: int, *, neutral: bool = False) -> list[Piece]:
    """The connected parts of `changed_mask`, largest first, without specks."""
    mask = changed_mask(raw, cleansed, row, neutral=neutral)
    return [piece for piece in pieces(mask) if piece.pixels >= MIN_PIXELS]
