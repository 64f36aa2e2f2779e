"""Which images of a catalogue fit some filters, and how many have each value of each filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.review.store.catalogue import Catalogue
from pipeline.review.store.status import STATUSES
from pipeline.review.values import Facet, Filters

Chosen = NDArray[np.bool_]
OF_IMAGES = ("label", "source", "split", "saliency_cluster", "explained", "tagged")
TELLING = ("label", "source", "split", "saliency_cluster")
"""Those that a blind reader does not see of an image."""
OF_REGIONS = ("kind", "finding", "status", "cluster", "origin")
_FLAGS = 10_000_000
"""Cells, one byte each, up to which pairs are counted by ticking them off; more are sorted."""
SHOWN = 100
"""Values a facet lists, the most frequent first."""


def matching(catalogue: Catalogue, filters: Filters) -> Chosen:
    """Which images (n,) fit every filter that is given; those about regions must fit on one and the same region."""
    images = _images(catalogue, filters)
    return (
        images & _with_region(catalogue, _regions(catalogue, filters)) if _about_regions(catalogue, filters) else images
    )


def facets(catalogue: Catalogue, filters: Filters, *, hidden: bool = False) -> dict[str, list[Facet]]:
    """For each filter its values and how many images have them, among images that fit all other filters.

    With `hidden` those that tell an image's class or source count the whole audit: other filters may leave one image.
    """
    every = Filters()
    found = {
        name: _image_facet(catalogue, every if hidden and name in TELLING else filters, name) for name in OF_IMAGES
    }
    found |= {name: _region_facet(catalogue, filters, name) for name in OF_REGIONS}
    found["held_back"] = _held_back_facet(catalogue, filters)
    return found


def _images(catalogue: Catalogue, filters: Filters) -> Chosen:
    items = catalogue.items
    fits = np.ones(len(items), dtype=bool)
    for name in OF_IMAGES:
        wanted = getattr(filters, name)
        if wanted is not None:
            fits &= (items[name] == wanted).to_numpy(dtype=bool)
    if filters.score_min is not None:
        fits &= items["score"].to_numpy() >= filters.score_min
    if filters.score_max is not None:
        fits &= items["score"].to_numpy() <= filters.score_max
    if filters.held_back is not None:
        fits &= _held_back(catalogue) == filters.held_back
    if filters.finding in catalogue.named:
        fits &= _named(catalogue, str(filters.finding))
    return fits


def _named(catalogue: Catalogue, finding: str) -> Chosen:
    named = catalogue.named[finding]
    if named.saliency_cluster is not None:
        return (catalogue.items["saliency_cluster"] == named.saliency_cluster).to_numpy(dtype=bool)
    return catalogue.items["image"].isin(named.images).to_numpy(dtype=bool)


def _about_regions(catalogue: Catalogue, filters: Filters) -> bool:
    asked = [name for name in OF_REGIONS if getattr(filters, name) is not None]
    if filters.finding in catalogue.named:
        asked.remove("finding")
    return bool(asked)


def _regions(catalogue: Catalogue, filters: Filters) -> Chosen:
    regions = catalogue.regions
    fits = np.ones(len(regions), dtype=bool)
    for name in ("kind", "cluster", "origin"):
        if getattr(filters, name) is not None:
            fits &= (regions[name] == getattr(filters, name)).to_numpy(dtype=bool)
    if filters.finding is not None and filters.finding not in catalogue.named:
        fits &= (regions["finding"] == filters.finding).to_numpy(dtype=bool)
    if filters.status is not None:
        fits &= catalogue.tally.state == STATUSES.index(filters.status)
    return fits


def _with_region(catalogue: Catalogue, regions: Chosen) -> Chosen:
    """Images that have one of the chosen regions."""
    images = np.zeros(len(catalogue.items), dtype=bool)
    images[catalogue.regions["row"].to_numpy()[regions]] = True
    return images


def _without(filters: Filters, name: str) -> Filters:
    return filters.model_copy(update={name: None})


def _image_facet(catalogue: Catalogue, filters: Filters, name: str) -> list[Facet]:
    values = catalogue.items[name][matching(catalogue, _without(filters, name))]
    if values.dtype == bool:
        return _yes_no(int(values.sum()), len(values))
    return _listed(values.value_counts().to_dict())


def _held_back(catalogue: Catalogue) -> Chosen:
    return _with_region(catalogue, catalogue.regions["held_back"].to_numpy())


def _held_back_facet(catalogue: Catalogue, filters: Filters) -> list[Facet]:
    fits = matching(catalogue, _without(filters, "held_back"))
    return _yes_no(int((fits & _held_back(catalogue)).sum()), int(fits.sum()))


def _yes_no(yes: int, every: int) -> list[Facet]:
    return [Facet(value="true", images=yes), Facet(value="false", images=every - yes)]


def _region_facet(catalogue: Catalogue, filters: Filters, name: str) -> list[Facet]:
    others = _without(filters, name)
    chosen = _regions(catalogue, others)
    rows = catalogue.regions["row"].to_numpy()
    chosen &= _images(catalogue, others)[rows]
    values = (
        pd.Categorical.from_codes(catalogue.tally.state, pd.Index(STATUSES))
        if name == "status"
        else catalogue.regions[name].array
    )
    counts = _images_by_code(values.codes[chosen], rows[chosen], len(values.categories), len(catalogue.items))
    return _listed(dict(zip(map(str, values.categories), counts.tolist(), strict=True)))


def _images_by_code(codes: NDArray[np.int8], rows: NDArray[np.int64], values: int, images: int) -> NDArray[np.int64]:
    """For each code, how many different rows it stands with, (values,); codes below 0 are no value."""
    known = codes >= 0
    pairs = codes[known].astype(np.int64) * images + rows[known]
    if values * images <= _FLAGS:
        seen = np.zeros(values * images, dtype=bool)
        seen[pairs] = True
        return np.asarray(seen.reshape(values, images).sum(axis=1), dtype=np.int64)
    pairs.sort()
    distinct = pairs[np.diff(pairs, prepend=-1) > 0]
    return np.bincount(distinct // images, minlength=values)


def _listed(counts: Mapping[Any, int]) -> list[Facet]:
    ordered = sorted(
        ((value, number) for value, number in counts.items() if number), key=lambda each: (-each[1], each[0])
    )
    return [Facet(value=str(value), images=int(number)) for value, number in ordered[:SHOWN]]
