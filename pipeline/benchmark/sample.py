"""The images that every explainer is tried on: the same images, the same classes, chosen before any map is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.benchmark.truth import Marks, deciding_marks, truth_masks
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError
from pipeline.explain import choose_rows
from pipeline.inference import predict

SURE = 0.5
"""Images whose predicted class has less probability are skipped: what the map should show is not defined."""


@dataclass(frozen=True)
class Sample:
    """N images.

    Attributes:
        rows: row numbers of the data set (N,), ascending.
        targets: predicted class of each, which is explained (N,).
        truth: bool (N, 1, H, W) at input resolution, where the evidence is; all False where nobody knows.
        counts: how the images were come by, for the page: what is counted -> number.
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    truth: Tensor
    counts: dict[str, int]


def choose_sample(
    model: nn.Module, spec: ModelSpec, dataset: DatasetVersion, marks: Marks | None, *, images: int, seed: int
) -> Sample:
    """At most `images` test images, evenly from labels and sources; those that a known mark decides come first.

    Raises:
        EmptyResultError: no test image is predicted with probability `SURE` or more.
    """
    test = dataset.rows("test")
    predicted = predict(model, spec, dataset, test)
    targets = predicted.argmax(axis=1).astype(np.int64)
    sure = predicted.max(axis=1) >= SURE
    boxes = deciding_marks(model, spec, dataset, test, targets, marks or {})
    known = np.array([box is not None for box in boxes])
    # `choose_rows` puts unsure images last within a stratum; images without known evidence are passed as such.
    order = np.where(known[:, None], predicted, np.float32(0)) if known.any() else predicted
    chosen = np.searchsorted(test, choose_rows(dataset, order, images=images, seed=seed))
    kept = chosen[sure[chosen]]
    if len(kept) == 0:
        raise EmptyResultError(
            f"None of {len(chosen)} test images is predicted with probability {SURE} or more: there is nothing to "
            "explain. Is this the classifier of this data set?"
        )
    counts = {
        "test images": len(test),
        "chosen": len(chosen),
        f"skipped, predicted class below {SURE}": len(chosen) - len(kept),
        "explained": len(kept),
        "decided by a mark of known place": int(known[kept].sum()),
    }
    truth = truth_masks([boxes[number] for number in kept], dataset.meta.size, spec)
    return Sample(test[kept], targets[kept], truth, counts)
