"""Paired comparison of methods over the same images: bootstrap intervals of means and of differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.randomness import numpy_generator
from pipeline.statistics import percentile_interval, resample_weights


def paired_bootstrap(
    values: NDArray[np.float64],
    reference: int,
    *,
    cluster: NDArray[np.int64] | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean of each method, and its difference from the reference, image by image, with percentile intervals.

    All methods share the resamples, so what an image adds to all of them cancels in the differences.

    Args:
        values: (methods, images), finite: one number for each image, the same images for all methods.
        reference: row of `values` that the others are compared with.
        cluster: number of the patient of each image (images,), see `statistics.clusters`; whole patients are
            drawn. Images are independent when None.
        resamples: bootstrap samples.
        confidence: of the intervals.
        seed: of the resamples.

    Returns:
        One row per method, in order: `images`, `mean`, `low`, `high`, `difference` (method less reference),
        `difference_low`, `difference_high`. An interval of differences that leaves out 0 is a difference.

    Raises:
        InputError: values that are not finite (methods, images), no such reference, or clusters of another length.
    """
    values = np.asarray(values, dtype=np.float64)
    _check(values, reference, cluster)
    images = values.shape[1]
    drawn = resample_weights(
        np.arange(images) if cluster is None else np.asarray(cluster),
        resamples,
        numpy_generator(seed, "paired-bootstrap"),
    )
    means = drawn @ values.T / drawn.sum(axis=1, keepdims=True)
    differences = means - means[:, [reference]]
    mean = values.mean(axis=1)
    low, high = zip(*(percentile_interval(column, confidence) for column in means.T), strict=True)
    difference_low, difference_high = zip(
        *(percentile_interval(column, confidence) for column in differences.T), strict=True
    )
    return pd.DataFrame(
        {
            "images": images,
            "mean": mean,
            "low": low,
            "high": high,
            "difference": mean - mean[reference],
            "difference_low": difference_low,
            "difference_high": difference_high,
        }
    )


def _check(values: NDArray[np.float64], reference: int, cluster: NDArray[np.int64] | None) -> None:
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise InputError(
            f"Methods are compared by finite values (methods, images), found {values.shape}"
            f"{'' if np.isfinite(values).all() else ' with NaN or infinity; leave those images out for all methods'}."
        )
    if not 0 <= reference < len(values):
        raise InputError(f"The reference is a row of {len(values)} methods, found {reference}.")
    if cluster is not None and len(cluster) != values.shape[1]:
        raise InputError(f"One cluster per image: {values.shape[1]} images, {len(cluster)} clusters.")
