"""Spectral relevance analysis: the strategies behind one class's saliency maps, so that unknown shortcuts show too.

Source: S. Lapuschkin et al., Nature Communications 10:1096, 2019. A cluster is no proof: what its maps point at must be
confirmed by intervention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import EmptyResultError, InputError
from pipeline.flag.behaviour.spray_clusters import Cluster, MapSet, describe
from pipeline.flag.behaviour.spray_graph import partition, pooled, squared_distances
from pipeline.statistics import Floats

MIN_MAPS = 12
"""With fewer maps no gap could be told from chance."""
MAX_MAPS = 2000
"""More make the eigenproblem slow and add nothing: give a sample."""
WITHOUT_SALIENCY = -1
"""Label of a map without any saliency."""


@dataclass(frozen=True)
class Clustering:
    """The strategies of one class.

    Attributes:
        image_ids: of the maps, as given.
        labels: (n,) cluster of each map, 0 the largest; `WITHOUT_SALIENCY` where a map is zero everywhere.
        clusters: what is known about each, by number.
        eigenvalues: the smallest of the graph's Laplacian; empty when there were too few maps.
        gap: number of clusters that the eigenvalues suggest, None with too few maps.
        gap_ratio: of the eigenvalues before and after the gap, in [0, 1]; 0 is a clean break.
        gap_p_value: chance of so small a ratio when there is one strategy that varies continuously. Up to
            `spray_graph.ALPHA` the gap counts; above it there is one cluster.
        fisher: scatter between over scatter within clusters; 0 for one cluster. Classes are ranked by it.
        note: in words, how the number of clusters came about.
    """

    image_ids: tuple[str, ...]
    labels: NDArray[np.int64]
    clusters: tuple[Cluster, ...]
    eigenvalues: Floats
    gap: int | None
    gap_ratio: float | None
    gap_p_value: float | None
    fisher: float
    note: str

    def records(self) -> dict[str, Any]:
        """JSON-ready: the clusters' records under ``clusters`` beside what concerns them all."""
        return {
            "images": len(self.image_ids),
            "without_saliency": int((self.labels == WITHOUT_SALIENCY).sum()),
            "eigenvalues": [round(float(value), 6) for value in self.eigenvalues],
            "gap": self.gap,
            "gap_ratio": self.gap_ratio,
            "gap_p_value": self.gap_p_value,
            "fisher": self.fisher,
            "note": self.note,
            "clusters": [cluster.record() for cluster in self.clusters],
        }


def cluster_maps(
    maps: NDArray[np.floating],
    image_ids: Sequence[str],
    metadata: pd.DataFrame,
    *,
    seed: int,
    lungs: NDArray[np.bool_] | None = None,
    regions: pd.DataFrame | None = None,
) -> Clustering:
    """Cluster the saliency maps of one class; the result does not depend on their order.

    Maps are clamped at 0 from below, divided by their sum and pooled to 28 x 28 cells; their nearest-neighbour graph is
    cut where the eigenvalues of its Laplacian leave a gap that chance does not explain. No such gap: one strategy.

    Args:
        maps: (n, h, w), larger = matters more; take the absolute value first where negative values matter as much.
        image_ids: of the maps, all different.
        metadata: one row an image with column `image_id`; every other column (source, view, marker present) is
            compared with the clusters, missing values left out. `patient_id`, where there, keeps patients together.
        seed: of k-means, permutations and bootstrap.
        lungs: (n, H, W) of any resolution; all false where unknown.
        regions: columns image_id, kind, x0, y0, x1, y1 in pixels of the maps; see `on_maps`.

    Raises:
        EmptyResultError: there is no map, or none has any saliency.
        InputError: shapes, ids or columns do not fit, values are not finite, or more than `MAX_MAPS` maps.
    """
    _check(maps, image_ids, metadata, lungs)
    order = np.argsort(np.asarray(image_ids, dtype=str), kind="stable")
    positive = np.maximum(maps[order].astype(np.float64), 0)
    mass = positive.sum(axis=(1, 2))
    salient = mass > 0
    if not salient.any():
        raise EmptyResultError(f"None of the {len(maps)} maps has any saliency. Explain the images again.")
    chosen = order[salient]
    shares = positive[salient] / mass[salient, None, None]
    ids = [str(image_ids[number]) for number in chosen]
    table = metadata.assign(image_id=metadata["image_id"].astype(str)).set_index("image_id").loc[ids]
    found, facts = _partition(pooled(shares).reshape(len(ids), -1), seed)
    known = MapSet(ids, shares, pooled(shares), table, None if lungs is None else lungs[chosen], regions)
    labels = np.full(len(maps), WITHOUT_SALIENCY, dtype=np.int64)
    labels[chosen] = found
    fisher = fisher_ratio(known.cells.reshape(len(ids), -1), found)
    return Clustering(tuple(map(str, image_ids)), labels, describe(known, found, seed), fisher=fisher, **facts)


def fisher_ratio(features: Floats, labels: NDArray[np.int64]) -> float:
    """trace(S_B) / trace(S_W): scatter of the clusters' means over scatter about them; 0 for one cluster.

    With it classes are ranked, after C. Anders et al., Information Fusion 77, 2022: classes whose strategies lie far
    apart first. Identical maps in each of several clusters leave no scatter within; the ratio is then capped at 1e6.
    """
    total = ((features - features.mean(axis=0)) ** 2).sum()
    within = sum(((part - part.mean(axis=0)) ** 2).sum() for part in (features[labels == k] for k in np.unique(labels)))
    between = max(float(total - within), 0.0) if labels.max() > 0 else 0.0
    return min(between / max(float(within), 1e-300), 1e6) if between else 0.0


def rank_classes(clusterings: Mapping[str, Clustering]) -> list[str]:
    """Names of classes, those with the most sharply separated strategies first; ties by name."""
    return sorted(clusterings, key=lambda name: (-clusterings[name].fisher, name))


def _partition(features: Floats, seed: int) -> tuple[NDArray[np.int64], dict[str, Any]]:
    count = len(features)
    facts: dict[str, Any] = {"eigenvalues": np.empty(0), "gap": None, "gap_ratio": None, "gap_p_value": None}
    one = np.zeros(count, dtype=np.int64)
    if count < MIN_MAPS:
        return one, {**facts, "note": f"{count} maps are too few to be divided; at least {MIN_MAPS} are needed."}
    if float(squared_distances(features).max()) <= 1e-12 * float((features**2).sum(axis=1).max()):
        return one, {**facts, "note": f"All {count} maps are identical: one strategy."}
    found = partition(features, seed)
    clusters, ratio = found.gap
    beyond = found.labels.max() > 0
    verdict = f"{clusters} strategies" if beyond else "no more than chance makes: one strategy"
    note = f"Eigenvalue ratio {ratio:.3g} at {clusters} clusters, p = {found.gap_p_value:.3g} by simulation: {verdict}."
    facts.update(eigenvalues=found.eigenvalues, gap=clusters, gap_ratio=ratio, gap_p_value=found.gap_p_value)
    return found.labels, {**facts, "note": note}


def _check(
    maps: NDArray[np.floating], image_ids: Sequence[str], metadata: pd.DataFrame, lungs: NDArray[np.bool_] | None
) -> None:
    if maps.ndim != 3 or len(maps) != len(image_ids):
        raise InputError(f"Give maps (n, h, w) and n image ids, found {maps.shape} and {len(image_ids)}.")
    if not len(maps):
        raise EmptyResultError("There are no saliency maps to cluster. Explain some images of this class first.")
    if len(maps) > MAX_MAPS:
        raise InputError(f"{len(maps)} maps are more than {MAX_MAPS}. Give a random sample of them.")
    if not np.isfinite(maps).all():
        raise InputError("Some saliency maps hold NaN or infinity. Explain these images again.")
    if len(set(image_ids)) < len(image_ids):
        raise InputError("Some image ids stand there twice. Give one map an image.")
    missing = set(map(str, image_ids)) - set(metadata.get("image_id", pd.Series(dtype=str)).astype(str))
    if missing or metadata["image_id"].duplicated().any():
        raise InputError(
            f"metadata needs a column image_id with every image once; {len(missing)} of {len(image_ids)} are missing."
        )
    if lungs is not None and (lungs.ndim != 3 or len(lungs) != len(maps)):
        raise InputError(f"Give lungs (n, H, W) for n = {len(maps)} maps, found {lungs.shape}.")
