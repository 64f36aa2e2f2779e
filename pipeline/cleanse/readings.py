"""What an image shows at the places that cleansing changed: the features of the fingerprint check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.cleanse.masks import (
    Mask,
    Piece,
    Record,
    boxes_by_image,
    content_size,
    content_window,
    free_place,
    mark_mask,
)
from pipeline.cleanse.places import changed_places
from pipeline.cleanse.probe import Plane, surroundings, texture
from pipeline.dataset import DatasetVersion
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.types import Box

LARGEST = 4
"""So many places of an image are read, the largest first."""


@dataclass(frozen=True)
class Reading:
    """What one image shows; features (12,): `texture`, and the grey levels inside and around, means over its places."""

    row: int
    changed: bool
    """False: nothing was filled here, the places are borrowed."""
    before: Plane
    after: Plane
    elsewhere: Plane
    """Raw pixels of places of the same kind where nothing was found or filled."""


def readings(
    raw: DatasetVersion, cleansed: DatasetVersion, regions: pd.DataFrame, max_images: int, seed: int, *, neutral: bool
) -> list[Reading]:
    """Read at most `max_images` images, drawn without looking at their class, in table order.

    An image in which nothing was filled is read at the places of one in which something was, drawn by image id and
    moved to the same relative places. `elsewhere` is read at such borrowed places too, moved to a free place of the
    image where they meet something detected or filled. Images whose places leave nothing to see around them are left
    out. `neutral`: see `changed_mask`.
    """
    places, detected = _places(raw, cleansed, max_images, seed, neutral), boxes_by_image(regions)
    read = (_read(raw, cleansed, row, places, detected, seed) for row in sorted(places.rows))
    return [reading for reading in read if reading is not None]


@dataclass(frozen=True)
class _Places:
    """Where each image is read, by row."""

    rows: Sequence[int]
    """The images that are read, in a fixed random order."""
    changed: Mapping[int, Sequence[Piece]]
    """Of those that cleansing changed, where; in the same order."""
    records: Sequence[Record]


def _places(raw: DatasetVersion, cleansed: DatasetVersion, max_images: int, seed: int, neutral: bool) -> _Places:
    records = raw.images.to_dict("records")
    shuffled = sorted(range(len(raw)), key=lambda row: derive_seed(seed, "fingerprint", _name(records[row])))
    rows = shuffled[:max_images]
    found = {row: changed_places(raw, cleansed, row, neutral=neutral)[:LARGEST] for row in rows}
    return _Places(rows, {row: there for row, there in found.items() if there}, records)


def _name(record: Record) -> str:
    return str(record["image_id"])


def _read(
    raw: DatasetVersion,
    cleansed: DatasetVersion,
    row: int,
    places: _Places,
    detected: Mapping[str, list[Box]],
    seed: int,
) -> Reading | None:
    record = places.records[row]
    donors = [donor for donor in places.changed if donor != row]
    if not donors:
        return None
    borrowed = _borrowed(places, donors[derive_seed(seed, "fingerprint-donor", _name(record)) % len(donors)], record)
    own = places.changed.get(row, borrowed)
    rows, columns = content_window(record)
    before, after = (
        version.tensor([row])[0, 0, rows, columns].numpy().astype(np.float64) for version in (raw, cleansed)
    )
    blocked = mark_mask(detected.get(_name(record), []), record, 0.0) | _drawn(
        places.changed.get(row, []), before.shape
    )
    free = _freed(borrowed, blocked, numpy_generator(seed, "fingerprint-free", _name(record)))
    before_here, after_here, before_there = _seen(before, own), _seen(after, own), _seen(before, free)
    if before_here is None or after_here is None or before_there is None:
        return None
    return Reading(row, row in places.changed, before_here, after_here, before_there)


def _borrowed(places: _Places, donor: int, record: Record) -> list[Piece]:
    home, size = content_size(places.records[donor]), content_size(record)
    fitting = [piece.fitted(size) for piece in places.changed[donor]]
    return [Piece(*piece.same_place(home, size), piece.shape) for piece in fitting]


def _freed(borrowed: Sequence[Piece], blocked: Mask, generator: np.random.Generator) -> list[Piece]:
    """`borrowed`, with the pieces that meet something `blocked` moved to a free place."""
    freed = []
    for piece in borrowed:
        taken = blocked[piece.window(piece.y, piece.x)].any()
        freed.append(Piece(*free_place(piece, blocked, generator), piece.shape) if taken else piece)
    return freed


def _drawn(chosen: Sequence[Piece], size: tuple[int, ...]) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    for piece in chosen:
        mask[piece.window(piece.y, piece.x)] |= piece.shape
    return mask


def _seen(content: Plane, chosen: Sequence[Piece]) -> Plane | None:
    mask = _drawn(chosen, content.shape)
    windows = [surroundings(piece, content.shape) for piece in chosen]
    readable = [window for window in windows if mask[window].any() and not mask[window].all()]
    if not readable:
        return None
    features = [_features(content[window], mask[window]) for window in readable]
    return np.asarray(np.mean(features, axis=0), dtype=np.float64)


def _features(patch: Plane, inside: Mask) -> Plane:
    return np.append(texture(patch, inside), [patch[inside].mean(), patch[~inside].mean()])
