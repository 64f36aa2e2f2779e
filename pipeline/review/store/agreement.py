"""Agreement of two readers: Cohen's kappa (Educ Psychol Meas 20(1):37-46, 1960), with a bootstrap over images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics import Floats, divide, percentile_interval, resample_weights

CONFIDENCE = 0.95
RESAMPLES = 1000
_AT_ONCE = 50
"""Resamples held in memory together: an audit may have 100,000 images."""


def cohens_kappa(tables: Floats) -> Floats:
    """(observed - expected) / (1 - expected) agreement.

    Args:
        tables: (n, k, k) counts: row, what the first reader chose; column, the second.

    Returns:
        (n,) in [-1, 1], NaN where nothing is counted or both always chose one and the same category.
    """
    total = tables.sum(axis=(1, 2))
    agreed = np.trace(tables, axis1=1, axis2=2)
    chance = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1)  # x total^2
    return divide(agreed * total - chance, total**2 - chance)


def kappa_interval(
    tables: Floats, generator: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float | None, float | None]:
    """Percentile interval of kappa when images are drawn with replacement; (None, None) where it is never defined.

    Args:
        tables: (images, k, k) counts of each image: subjects of one image are not independent.
        generator: seeded.
        resamples: number of bootstrap samples.
    """
    cells = tables.reshape(len(tables), -1)
    images: NDArray[np.int64] = np.arange(len(tables))
    values = []
    for start in range(0, resamples, _AT_ONCE):
        weights = resample_weights(images, min(_AT_ONCE, resamples - start), generator)
        values.append(cohens_kappa((weights @ cells).reshape(-1, *tables.shape[1:])))
    return percentile_interval(np.concatenate(values), CONFIDENCE)
