"""Can a simple classifier tell a cleansed place from an untouched one? If so, cleansing left a mark of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.cleanse.holes import MaskOf, marks
from pipeline.cleanse.masks import Mask, Piece, Record, content_size, content_window, free_place, pieces
from pipeline.cleanse.places import changed_mask
from pipeline.cleanse.plan import Plan, regions_to_clean
from pipeline.dataset import DatasetVersion
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.statistics import clusters, percentile_interval, resample_weights, weighted_auroc

RING = 6
"""Width of the surroundings a place is compared with, stored pixels."""
FOLDS = 5
RESAMPLES = 1000
CONFIDENCE = 0.95
MIN_PATCHES = 20
"""Fewer cleansed and untouched patches together give no result."""
TRIES = 50
"""Images looked at for an untouched patch at the same place."""

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class _Patch:
    image_id: str
    patient_id: Any
    cleansed: bool
    same_place: bool
    features: Plane


def cleansing_probe(
    raw: DatasetVersion,
    cleansed: DatasetVersion,
    plan: Plan,
    regions: pd.DataFrame,
    *,
    max_patches: int = 400,
    seed: int = 0,
) -> dict[str, Any]:
    """AUROC of a logistic regression that tells filled places of `cleansed` from untouched places of `raw`.

    Each cleansed image gives the largest filled place; its counterpart is the same shape at the same relative
    place of another image that has no mark there, or, where none of `TRIES` images is free there, at a free
    place of the same image. Features are texture inside, around, and their difference (standard deviation,
    gradient, Laplacian, all logarithmic) and the step at the border. Scores are out of fold, folds by patient.

    Args:
        raw: before cleansing.
        cleansed: `apply_plan` of `raw`; same rows.
        plan: what was applied; what it names but left as it was, held back, is not read.
        regions: all detected regions.
        max_patches: at most so many cleansed places, drawn at random.
        seed: draws places and bootstrap samples.

    Returns:
        ``auroc`` ``{mean, low, high}`` (null with fewer than `MIN_PATCHES` patches), ``cleansed``, ``untouched``,
        ``same_place``, ``images``, ``patients``. 0.5: cannot be told apart; near 1: cleansing leaves a trace
        a classifier could read, harmless only while it is equally frequent in all classes.
    """
    patches = list(_patches(raw, cleansed, plan, regions, max_patches, seed))
    cluster = clusters([p.patient_id for p in patches], [p.image_id for p in patches])
    return {
        "auroc": _auroc(patches, cluster, seed),
        "cleansed": sum(p.cleansed for p in patches),
        "untouched": sum(not p.cleansed for p in patches),
        "same_place": sum(p.same_place for p in patches if not p.cleansed),
        "images": len({p.image_id for p in patches}),
        "patients": len(set(cluster.tolist())),
    }


def _auroc(patches: list[_Patch], cluster: NDArray[np.int64], seed: int) -> dict[str, float | None]:
    if len(patches) < MIN_PATCHES or len(set(cluster.tolist())) < FOLDS:
        return {"mean": None, "low": None, "high": None}
    features = np.stack([p.features for p in patches])
    target = np.array([p.cleansed for p in patches])
    scores = np.empty(len(patches))
    for fit, held_out in GroupKFold(FOLDS).split(features, target, cluster):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        probe.fit(features[fit], target[fit])
        scores[held_out] = probe.predict_proba(features[held_out])[:, 1]
    weights = resample_weights(cluster, RESAMPLES, numpy_generator(seed, "probe-bootstrap"))
    low, high = percentile_interval(weighted_auroc(scores, target, weights), CONFIDENCE)
    return {"mean": float(weighted_auroc(scores, target, np.ones((1, len(target))))[0]), "low": low, "high": high}


def _patches(
    raw: DatasetVersion, cleansed: DatasetVersion, plan: Plan, regions: pd.DataFrame, limit: int, seed: int
) -> Iterator[_Patch]:
    filled, detected = marks(plan, regions_to_clean(plan, regions)), marks(plan, regions)
    records = raw.images.to_dict("records")
    shuffled = sorted(range(len(records)), key=lambda row: derive_seed(seed, "probe", records[row]["image_id"]))
    taken = 0
    for row in shuffled:
        wanted = filled(records[row])
        # What the plan names may have been held back.
        piece = None if wanted is None else next(pieces(wanted & changed_mask(raw, cleansed, row)), None)
        if piece is None:
            continue
        yield _describe(cleansed, row, records[row], piece, cleansed_here=True, same_place=True)
        others = [shuffled[(taken + step) % len(shuffled)] for step in range(1, min(TRIES, len(shuffled)))]
        yield _untouched(raw, row, others, records, piece, detected, seed)
        taken += 1
        if taken == limit:
            return


def _untouched(
    raw: DatasetVersion,
    row: int,
    others: list[int],
    records: list[dict[Any, Any]],
    piece: Piece,
    detected: MaskOf,
    seed: int,
) -> _Patch:
    """The counterpart of `piece` of image `row`: see `cleansing_probe`."""
    home = content_size(records[row])
    for other in (candidate for candidate in others if candidate != row):
        size = content_size(records[other])
        if piece.shape.shape[0] > size[0] or piece.shape.shape[1] > size[1]:
            continue
        there = Piece(*piece.same_place(home, size), piece.shape)
        mask = detected(records[other])
        if mask is None or not mask[surroundings(there, size)].any():
            return _describe(raw, other, records[other], there, cleansed_here=False, same_place=True)
    mask = detected(records[row])
    blocked = np.zeros(home, dtype=np.bool_) if mask is None else mask
    generator = numpy_generator(seed, "probe-place", str(records[row]["image_id"]))
    there = Piece(*free_place(piece, blocked, generator), piece.shape)
    return _describe(raw, row, records[row], there, cleansed_here=False, same_place=False)


def _describe(
    dataset: DatasetVersion, row: int, record: Record, piece: Piece, *, cleansed_here: bool, same_place: bool
) -> _Patch:
    rows, columns = content_window(record)
    content = dataset.tensor([row])[0, 0, rows, columns].numpy().astype(np.float64)
    mask = np.zeros(content.shape, dtype=np.bool_)
    mask[piece.window(piece.y, piece.x)] = piece.shape
    window = surroundings(piece, content.shape)
    features = texture(content[window], mask[window])
    return _Patch(str(record["image_id"]), record["patient_id"], cleansed_here, same_place, features)


def texture(patch: Plane, inside: Mask) -> Plane:
    """Features (10,) of a patch (h, w) in [0, 1]: texture where `inside`, texture around, and how they differ."""
    gradient = ndimage.gaussian_gradient_magnitude(patch, 1.0)
    laplacian = np.abs(ndimage.laplace(patch))
    step = float(patch[inside].mean() - patch[~inside].mean())

    def logs(where: Mask) -> Plane:
        values = [patch[where].std(), gradient[where].mean(), laplacian[where].mean()]
        return np.log(np.array(values) + 1e-4)

    within, around = logs(inside), logs(~inside)
    return np.concatenate([within, around, within - around, [abs(step)]])


def surroundings(piece: Piece, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of the box of `piece` and `RING` pixels around it, within an image of (h, w) `size`."""
    height, width = piece.shape.shape
    return (
        slice(max(piece.y - RING, 0), min(piece.y + height + RING, size[0])),
        slice(max(piece.x - RING, 0), min(piece.x + width + RING, size[1])),
    )
