"""What expected gradients compare with: images of the same data set without the disease."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from models.spec import ModelSpec
from pipeline.dataset import DatasetVersion
from pipeline.randomness import numpy_generator

REFERENCES = 200
"""As many as DeGrave et al. (Nature Machine Intelligence 3, 2021) took."""


def reference_images(dataset: DatasetVersion, spec: ModelSpec, *, seed: int, count: int = REFERENCES) -> Tensor | None:
    """Network input (n, C, H, W), n <= `count`: training images of the other classes than the positive one.

    None when the training split has none.
    """
    rows = dataset.rows("train")
    negative = rows[dataset.images["label"].iloc[rows].to_numpy() != dataset.meta.positive]
    if len(negative) == 0:
        return None
    chosen = numpy_generator(seed, "references").permutation(len(negative))[:count]
    return spec.preprocess(dataset.tensor(np.sort(negative[chosen])))
