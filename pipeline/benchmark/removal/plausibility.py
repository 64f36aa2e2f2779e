"""How much the perturbed images that a method shows the classifier look like real x-rays, to a network of its own.

The judge is another network, from another seed, trained on the same images without any planted mark. An image is
described by the mean and the standard deviation over space of every channel of each of its stages: texture and edges
from the first, anatomy from the last. The real x-rays are the marked test and validation images of other patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from models.errors import ModelError
from models.spec import ModelSpec
from pipeline.dataset import DatasetVersion, to_unit
from pipeline.explain.metrics.likeness import ssim

NEIGHBOURS = 5
"""Real images to which the distance is measured."""
FOLDS = 5
PENALTY = 0.01
"""Inverse strength of the probe's ridge: hundreds of features, of few images."""

Floats = NDArray[np.float64]
Pictures = NDArray[np.uint8]


class Judge:
    """Describes pictures (n, S, S) uint8."""

    def __init__(self, model: nn.Module, spec: ModelSpec) -> None:
        """Args: `model`: a `models.small.SmallNet`; `spec`: its contract."""
        stages = getattr(model, "features", None)
        if not isinstance(stages, nn.Sequential):
            raise ModelError(f"The judge needs a network of stages (small), found {type(model).__name__}.")
        self._stages = stages
        self._spec = spec

    def describe(self, pictures: Pictures) -> Floats:
        """Features (n, D): mean and standard deviation over space of all channels of all stages."""
        device = next(self._stages.parameters()).device
        parts = [
            self._described(to_unit(pictures[start : start + 32]).to(device)) for start in range(0, len(pictures), 32)
        ]
        return np.concatenate(parts)

    def _described(self, images: Tensor) -> Floats:
        values, features = self._spec.preprocess(images), list[Tensor]()
        with torch.no_grad():
            for stage in self._stages:
                values = stage(values)
                features += [values.mean(dim=(2, 3)), values.std(dim=(2, 3))]
        return np.asarray(torch.cat(features, dim=1).double().cpu().numpy())


def real_pictures(dataset: DatasetVersion, rows: NDArray[np.int64], spec: ModelSpec) -> Pictures:
    """Images of `rows` at the size of network input, (n, H, W) uint8."""
    images = spec.resize(dataset.tensor(rows))[:, 0].clamp(0, 1)
    return np.asarray(np.rint(images.numpy() * 255), dtype=np.uint8)


def distances(described: Floats, real: Floats) -> Floats:
    """Mean distance (n,) to the `NEIGHBOURS` nearest of `real` (m, D): Euclidean, in their standard deviations."""
    scale = real.std(axis=0)
    kept = scale > 0
    apart = np.linalg.norm((described[:, None] - real[None])[:, :, kept] / scale[kept], axis=2)
    return np.asarray(np.sort(apart, axis=1)[:, :NEIGHBOURS].mean(axis=1))


def probe_scores(
    images: Sequence[tuple[Floats, Floats]], cluster: NDArray[np.int64], real: Floats
) -> list[tuple[float, Floats]]:
    """Out-of-fold scores of a probe that tells perturbed from real: for each image its own and those of its queries.

    A logistic regression; folds keep patients together; `real` is always learned from.

    Args:
        images: for each explained image its own features (D,) and those of its queries (n, D).
        cluster: number of its patient.
        real: features (m, D) of x-rays of other patients.
    """
    folds = GroupKFold(min(FOLDS, len(set(cluster.tolist()))))
    scores: dict[int, tuple[float, Floats]] = {}
    for fitted, held_out in folds.split(np.zeros(len(images)), groups=cluster):
        originals = np.stack([images[number][0] for number in fitted])
        perturbed = np.concatenate([images[number][1] for number in fitted])
        rows = np.concatenate([real, originals, perturbed])
        answers = np.arange(len(rows)) >= len(real) + len(originals)
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=1000))
        probe.fit(rows, answers)
        for number in held_out.tolist():
            own, queries = images[number]
            values = probe.decision_function(np.vstack([own, queries]))
            scores[number] = (float(values[0]), np.asarray(values[1:]))
    return [scores[number] for number in range(len(images))]


def likeness(pictures: Pictures, original: Pictures) -> Floats:
    """Structural similarity (n,) of pictures (n, H, W) with the image they were made from (H, W); 1 = the same."""
    first, second = (to_unit(each) for each in (pictures, np.broadcast_to(original, pictures.shape).copy()))
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return ssim(first, second, [1.0] * len(pictures), **window)
