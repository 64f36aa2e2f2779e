"""Train, validation and test: by patient, near duplicates together, stratified by class and source.

What must not be torn apart (images that share a patient or show one exposure) forms a unit. Within a class the units
of every source are spread evenly over one line, and the line is cut: test first, then validation, the rest is train.
The order within a source comes from hashes of unit and seed, so adding images moves few others. Units that have been
in a split before (`pipeline.ingest.recall`) stay there, and new ones fill up what each split lacks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.config import IngestConfig
from pipeline.errors import InputError
from pipeline.ingest.duplicates import components

_DRAWN = ("train", "val", "test")


def units(images: pd.DataFrame, *keys: str) -> NDArray[np.int32]:
    """Number of the unit each image belongs to, int32 (n,): images with an equal, known value of any key share one."""
    links: list[tuple[int, int]] = []
    for key in keys:
        groups = images.reset_index(drop=True).groupby(key, dropna=True).indices
        links += [pair for members in groups.values() for pair in pairwise(map(int, members))]
    return components(len(images), links)


def draw_splits(images: pd.DataFrame, classes: tuple[str, ...], config: IngestConfig, seed: int) -> pd.Series:
    """Split of every image: what the manifest pins, its unit's pin, where its unit was before, or a draw.

    Args:
        images: columns image_id, label, source, split (pinned or null), patient_id, unit (see `units`) and, where the
            data set grows, earlier (split of the unit in earlier versions, or null).
        classes: the manifest's classes; each must end up in train, val and test.
        config: fractions of the units of a class that go to val and test.
        seed: another seed gives another draw.

    Raises:
        InputError: a unit is pinned to several splits, or a class cannot be in every split.
    """
    _check_classes(images, classes)
    made = list(_units(images, seed))
    split_of = {unit.number: unit.pin for unit in made if unit.pin}
    for name in classes:
        split_of |= _draw([unit for unit in made if unit.label == name], config)
    splits = images["unit"].map(split_of).astype("string")
    _check_coverage(images, splits, classes)
    return splits


@dataclass(frozen=True)
class _Unit:
    number: int
    label: str
    source: str
    pin: str | None
    earlier: str | None
    order: str


def _units(images: pd.DataFrame, seed: int) -> Iterator[_Unit]:
    _check_pins(images)
    frequency = Counter(images["label"])
    for number, rows in images.groupby("unit", sort=True):
        # A patient with several classes counts for the rarest, which has the fewest units to spread.
        label, source = min(
            zip(rows["label"], rows["source"], strict=True), key=lambda pair: (frequency[pair[0]], pair)
        )
        pin = _first(rows["split"])
        earlier = _first(rows["earlier"]) if "earlier" in rows else None
        name = min(rows["image_id"])
        order = hashlib.sha256(f"{seed}|{name}".encode()).hexdigest()
        yield _Unit(int(str(number)), label, source, pin, earlier, order)


def _first(values: pd.Series) -> str | None:
    known = values.dropna()
    return str(known.iloc[0]) if len(known) else None


def _draw(made: list[_Unit], config: IngestConfig) -> dict[int, str]:
    """Splits of the units of one class that the manifest leaves open; a split that it pins is not drawn into."""
    pinned = {unit.pin for unit in made}
    left = [unit for unit in made if unit.pin is None]
    kept = {unit.number: unit.earlier for unit in left if unit.earlier}
    there = Counter(kept.values())
    counts = {
        name: 0 if name in pinned else max(0, max(1, round(fraction * len(left))) - there[name])
        for name, fraction in (("test", config.test_fraction), ("val", config.val_fraction))
    }
    line = _spread([unit for unit in left if unit.number not in kept])
    names = ["test"] * counts["test"] + ["val"] * counts["val"]
    names += ["train"] * (len(line) - len(names))
    return kept | {unit.number: name for unit, name in zip(line, names, strict=False)}


def _spread(open_units: list[_Unit]) -> list[_Unit]:
    """Units in an order in which every stretch holds each source in its share."""
    sizes = Counter(unit.source for unit in open_units)
    met: Counter[str] = Counter()
    placed: list[tuple[float, str, _Unit]] = []
    for unit in sorted(open_units, key=lambda unit: unit.order):
        placed.append(((met[unit.source] + 0.5) / sizes[unit.source], unit.order, unit))
        met[unit.source] += 1
    return [unit for _, _, unit in sorted(placed, key=lambda item: item[:2])]


def _check_classes(images: pd.DataFrame, classes: tuple[str, ...]) -> None:
    usable = images[images["split"].ne("other_source").fillna(True)]
    counts = {name: int((usable["label"] == name).sum()) for name in classes}
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        raise InputError(
            f"No usable image of class {', '.join(map(repr, empty))} outside the other-source test set; found {counts}."
            " A classifier needs every class: check labels and data root, or take the class out of the manifest."
        )


def _check_pins(images: pd.DataFrame) -> None:
    pins = images.groupby("unit")["split"].nunique()
    torn = images[images["unit"].isin(pins.index[pins > 1])]
    if len(torn):
        patients = torn["patient_id"].nunique()
        where = ", ".join(sorted(torn["split"].dropna().unique()))
        raise InputError(
            f"{patients} patients ({len(torn)} images) are pinned to more than one of {where}. "
            "A patient may be in one split only. Correct the split column, or leave it out of the manifest "
            "and let cxr-audit draw splits by patient."
        )


def _check_coverage(images: pd.DataFrame, splits: pd.Series, classes: tuple[str, ...]) -> None:
    counts = pd.crosstab(images["label"], splits).reindex(index=list(classes), columns=list(_DRAWN), fill_value=0)
    if (counts > 0).all(axis=None):
        return
    table = "; ".join(f"{name}: {', '.join(f'{row[s]} {s}' for s in _DRAWN)}" for name, row in counts.iterrows())
    largest = int(images["unit"].value_counts().iloc[0])
    raise InputError(
        f"Every class needs images in train, val and test, found {table}. That takes 3 patients a class at least; the "
        f"largest patient (with duplicates) has {largest} of {len(images)} images. Add images, or check patient ids: "
        "one constant id makes all images one patient."
    )
