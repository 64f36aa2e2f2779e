"""What the maps of one cluster point at, and what should make a person look."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.flag.behaviour.evidence import coverage
from pipeline.flag.behaviour.spray_graph import resampled
from pipeline.flag.behaviour.spray_purity import Purity, purities
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters, percentile_interval, resample_weights
from pipeline.types import Box

SMALL = 0.05
"""Share of the maps below which a pure cluster is called small."""
PURE = 0.8
FOCUS_CELLS = 0.05
FOCUSED = 0.6
"""Share of the mean map's mass in its densest `FOCUS_CELLS` from which it is focused; evenly spread it is 0.05."""
OUTSIDE = 0.5
P_VALUE = 0.05
NEAREST = 8
CONFIDENCE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class MapSet:
    """Maps with saliency and what is known about their images; row i of everything is image i.

    `shares` (n, h, w) and `cells` (n, 28, 28) each sum to 1 per map; `table` is the metadata, `lungs` (n, H, W),
    `regions` boxes in pixels of the maps.
    """

    image_ids: list[str]
    shares: Floats
    cells: Floats
    table: pd.DataFrame
    lungs: NDArray[np.bool_] | None
    regions: pd.DataFrame | None


@dataclass(frozen=True)
class Mean:
    """A mean over `n` images with its 95 % interval by bootstrap over patients; null where n is 0."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Composition:
    """How much of the saliency lies in regions of one kind; images without such a region count with 0.

    Attributes:
        kind: of the regions.
        images: of the cluster that have such a region.
        mass: share of a map's mass in regions of this kind.
        area: share of the map that they cover.
        enrichment: mean mass / mean area; 1 is what a map without preference gives, None without any area.
    """

    kind: str
    images: int
    mass: Mean
    area: float
    enrichment: float | None


@dataclass(frozen=True)
class Cluster:
    """One strategy.

    Attributes:
        number: 0 is the largest.
        size: images.
        share: of the images with saliency.
        mean_map: (28, 28), sums to 1.
        image_ids: of all members.
        nearest: image ids of the members nearest to the mean map, nearest first.
        concentration: share of the mean map's mass in its densest 5 % of cells.
        outside_lungs: share of a map's mass outside the lungs; None without lungs.
        area_outside_lungs: share of the map that lies outside the lungs: what a map without preference would give.
        composition: by region kind, most enriched first.
        purity: by metadata column, most surprising first.
        flags: of ``small-pure``, ``pure``, ``focused``, ``outside-lungs``.
    """

    number: int
    size: int
    share: float
    mean_map: Floats
    image_ids: tuple[str, ...]
    nearest: tuple[str, ...]
    concentration: float
    outside_lungs: Mean | None
    area_outside_lungs: float | None
    composition: tuple[Composition, ...]
    purity: tuple[Purity, ...]
    flags: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {**asdict(self), "mean_map": [[float(f"{cell:.4g}") for cell in row] for row in self.mean_map.tolist()]}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def describe(maps: MapSet, labels: NDArray[np.int64], seed: int) -> tuple[Cluster, ...]:
    """Every cluster of `labels` (n,), 0..k-1, by number."""
    pure = purities(maps.table, labels, maps.image_ids, seed)
    outside, area_outside = _outside(maps)
    in_kinds = _in_kinds(maps)
    patients = maps.table["patient_id"] if "patient_id" in maps.table else [None] * len(labels)
    patient = clusters(patients, maps.image_ids)
    found = []
    for number, purity in enumerate(pure):
        rows = np.flatnonzero(labels == number)
        rng = numpy_generator(seed, "spray bootstrap", number)
        mean_map = maps.cells[rows].mean(axis=0)
        distance = ((maps.cells[rows] - mean_map) ** 2).sum(axis=(1, 2))
        beyond = None if outside is None else _mean(outside[rows], patient[rows], rng)
        kinds = [_composition(kind, *values, rows, patient, rng) for kind, values in in_kinds.items()]
        concentration = _concentration(mean_map)
        found.append(
            Cluster(
                number=number,
                size=len(rows),
                share=len(rows) / len(labels),
                mean_map=mean_map,
                image_ids=tuple(maps.image_ids[row] for row in rows),
                nearest=tuple(maps.image_ids[row] for row in rows[np.argsort(distance, kind="stable")[:NEAREST]]),
                concentration=concentration,
                outside_lungs=beyond,
                area_outside_lungs=None if area_outside is None else _known_mean(area_outside[rows]),
                composition=tuple(sorted(kinds, key=lambda each: (-(each.enrichment or 0.0), each.kind))),
                purity=tuple(purity),
                flags=tuple(_flags(len(rows) / len(labels), purity, concentration, beyond)),
            )
        )
    return tuple(found)


def _flags(share: float, purity: list[Purity], concentration: float, outside: Mean | None) -> list[str]:
    flags = []
    if any(each.share >= PURE and each.share > each.expected and each.p_value <= P_VALUE for each in purity):
        flags.append("small-pure" if share < SMALL else "pure")
    if concentration >= FOCUSED:
        flags.append("focused")
    if outside is not None and outside.low is not None and outside.low > OUTSIDE:
        flags.append("outside-lungs")
    return flags


def _concentration(mean_map: Floats) -> float:
    densest = np.sort(mean_map.ravel())[::-1]
    return float(densest[: max(round(FOCUS_CELLS * densest.size), 1)].sum() / densest.sum())


def _outside(maps: MapSet) -> tuple[Floats | None, Floats | None]:
    """Share of each map's mass, and of its area, outside the lungs; NaN where the lungs are unknown."""
    if maps.lungs is None:
        return None, None
    lung = resampled(maps.lungs, (maps.shares.shape[1], maps.shares.shape[2]))
    mass = (maps.shares * lung).sum(axis=(1, 2))
    unknown = ~maps.lungs.any(axis=(1, 2))
    return np.where(unknown, np.nan, 1 - mass), np.where(unknown, np.nan, 1 - lung.mean(axis=(1, 2)))


def _in_kinds(maps: MapSet) -> dict[str, tuple[Floats, Floats]]:
    """Region kind -> share of each map's mass, and of its area, in regions of that kind; overlaps count once."""
    if maps.regions is None:
        return {}
    row_of = {image_id: row for row, image_id in enumerate(maps.image_ids)}
    shape = (maps.shares.shape[1], maps.shares.shape[2])
    found: dict[str, tuple[Floats, Floats]] = {}
    here = maps.regions[maps.regions["image_id"].isin(row_of)]
    for (kind, image_id), part in here.groupby(["kind", "image_id"], sort=True):
        mass, area = found.setdefault(str(kind), (np.zeros(len(row_of)), np.zeros(len(row_of))))
        covered = np.zeros(shape)
        for box in part[["x0", "y0", "x1", "y1"]].to_numpy(dtype=float):
            covered = np.maximum(covered, coverage(Box(*box), shape))
        mass[row_of[str(image_id)]] = (maps.shares[row_of[str(image_id)]] * covered).sum()
        area[row_of[str(image_id)]] = covered.mean()
    return found


def _composition(
    kind: str,
    mass: Floats,
    area: Floats,
    rows: NDArray[np.int64],
    patient: NDArray[np.int64],
    rng: np.random.Generator,
) -> Composition:
    covered = float(area[rows].mean())
    share = _mean(mass[rows], patient[rows], rng)
    enrichment = share.mean / covered if share.mean is not None and covered > 0 else None
    return Composition(kind, int((area[rows] > 0).sum()), share, covered, enrichment)


def _mean(values: Floats, patient: NDArray[np.int64], rng: np.random.Generator) -> Mean:
    known = ~np.isnan(values)
    if not known.any():
        return Mean(None, None, None, 0)
    cluster = np.unique(patient[known], return_inverse=True)[1]
    weights = resample_weights(cluster, RESAMPLES, rng)
    low, high = percentile_interval(weights @ values[known] / weights.sum(axis=1), CONFIDENCE)
    return Mean(float(values[known].mean()), low, high, int(known.sum()))


def _known_mean(values: Floats) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


def on_maps(regions: pd.DataFrame, dataset: DatasetVersion, shape: tuple[int, int]) -> pd.DataFrame:
    """`regions` (boxes in original pixels: image_id, kind, x0, y0, x1, y1) in pixels of maps (h, w) of the store.

    Raises:
        InputError: a region's image is not in `dataset`.
    """
    row_of = {str(image_id): row for row, image_id in enumerate(dataset.images["image_id"])}
    unknown = set(regions["image_id"].astype(str)) - set(row_of)
    if unknown:
        raise InputError(f"{len(unknown)} images with regions are not in {dataset.path}. Detect its marks again.")
    across, down = shape[1] / dataset.meta.size, shape[0] / dataset.meta.size
    moved = regions[["image_id", "kind", "x0", "y0", "x1", "y1"]].copy()
    boxes = []
    for image_id, *box in zip(*(regions[name] for name in ("image_id", "x0", "y0", "x1", "y1")), strict=True):
        stored = dataset.transform(row_of[str(image_id)]).to_store(Box(*map(float, box)))
        boxes.append((stored.x0 * across, stored.y0 * down, stored.x1 * across, stored.y1 * down))
    moved[["x0", "y0", "x1", "y1"]] = np.array(boxes, dtype=float).reshape(-1, 4)
    return moved
