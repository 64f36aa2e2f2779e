"""Classifiers trained to tell filled from untouched places; 0.5 is a fill that leaves no trace they can read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from pipeline.benchmark.fills.subjects import Plane
from pipeline.cleanse.masks import Mask
from pipeline.cleanse.probe import texture
from pipeline.randomness import derive_seed, numpy_generator, torch_generator
from pipeline.statistics import percentile_interval, resample_weights, weighted_auroc

FOLDS = 4
RESAMPLES = 1000
CONFIDENCE = 0.95
LEAST = 40
"""Fewer places, filled and untouched together, give no result."""
CROP = 32
"""Side of what the network sees at once, pixels."""
CROPS = 3
"""Crops of a place: around its deepest pixel and around two of its border. Its score is their mean."""
CONTRAST, GRAIN = 0.02, 0.002
"""Added to the deviation that a crop, and its fine detail, is divided by, of 1; for the grain half a grey level."""
FINE = 1.5
"""Gaussian that parts fine detail from the picture, pixels."""
STRONGEST = 5.0
"""Fine detail is cut there, deviations of that around the hole."""
EPOCHS, BATCH, RATE = 10, 64, 2e-3

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Sight:
    """What the probes see of one place.

    Attributes:
        features: of `texture`, (10,).
        crops: (CROPS, 3, CROP, CROP): the picture, mean 0 and deviation about 1; its fine detail in units of that
            around the hole; where the hole is.
    """

    features: Values
    crops: Tensor

    @classmethod
    def of(cls, plane: Plane, mask: Mask, window: tuple[slice, slice], name: str) -> Sight:
        """The place under `mask` on the picture `plane` (h, w); `window` is its box and some surroundings.

        `name` draws the crops: a hole and its counterpart share it, so that they are looked at alike.
        """
        features = texture(plane[window].astype(np.float64), mask[window])
        return cls(features, torch.stack(list(_crops(plane, mask, name))))


def _crops(plane: Plane, mask: Mask, name: str) -> Iterator[Tensor]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inner = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)  # alike wherever it stands
    depth = cv2.distanceTransform(inner.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    border = np.argwhere((depth > 0) & (depth < 2))
    drawn = numpy_generator(derive_seed("crops", name)).integers(len(border), size=CROPS - 1)
    half = CROP // 2
    # No crop reaches farther than half its side from the box of the hole.
    seen = tuple(slice(each[0], each[-1] + 1 + CROP) for each in (rows, columns))
    image, hole = np.pad(plane, half, mode="symmetric")[seen], np.pad(mask, half, mode="symmetric")[seen]
    detail = image - ndimage.gaussian_filter(image, FINE)
    for y, x in (np.unravel_index(depth.argmax(), depth.shape), *border[drawn]):
        top, left = int(y) - 1, int(x) - 1  # `inner` has a border of one pixel, `image` one of half a crop
        place = (slice(top, top + CROP), slice(left, left + CROP))
        crop, fine, inside = image[place], detail[place], hole[place]
        grain = detail[~hole] if inside.all() else fine[~inside]
        channels = (
            (crop - crop.mean()) / (crop.std() + CONTRAST),
            (fine / (grain.std() + GRAIN)).clip(-STRONGEST, STRONGEST),
            inside,
        )
        yield torch.from_numpy(np.stack([channel.astype(np.float32) for channel in channels]))


Probe = Callable[[Sequence[Sight], NDArray[np.bool_], Sequence[Sight], int], Values]
"""(places to learn from, which of them are filled, other places, seed) -> scores of the others, larger = filled."""


def texture_probe(fit: Sequence[Sight], filled: NDArray[np.bool_], held_out: Sequence[Sight], _: int) -> Values:
    """Logistic regression on texture inside and around a place, as the check of a cleansing does."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(np.stack([sight.features for sight in fit]), filled)
    return np.asarray(probe.predict_proba(np.stack([sight.features for sight in held_out]))[:, 1])


def network_probe(fit: Sequence[Sight], filled: NDArray[np.bool_], held_out: Sequence[Sight], seed: int) -> Values:
    """A small convolutional network on crops: it can read edges, grain and repeats that no feature was made for."""
    crops = torch.cat([sight.crops for sight in fit])
    target = torch.from_numpy(filled.astype(np.float32)).repeat_interleave(CROPS)
    network = _trained(crops, target, seed)
    with torch.no_grad():
        scores = network(torch.cat([sight.crops for sight in held_out]))
    return np.asarray(scores.view(-1, CROPS).mean(dim=1).double().numpy())


class _Network(nn.Module):
    """Three convolutions; mean and largest value of every map decide."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 16, 1), (16, 32, 2), (32, 32, 2))
        layers = [
            layer
            for inputs, outputs, stride in sizes
            for layer in (nn.Conv2d(inputs, outputs, 3, stride, 1), nn.ReLU())
        ]
        self.maps = nn.Sequential(*layers)
        self.decide = nn.Linear(64, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (n, 3, CROP, CROP) -> logits (n,)."""
        maps = self.maps(crops)
        logits: Tensor = self.decide(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))
        return logits.squeeze(1)


def _trained(crops: Tensor, target: Tensor, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "network probe"))
        network = _Network()
    generator = torch_generator(seed, "network probe order")
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(crops), generator=generator).split(BATCH):  # type: ignore[no-untyped-call]
            flips = [axis for axis in (2, 3) if torch.rand((), generator=generator) < 0.5]
            logits = network(crops[batch].flip(flips))
            loss = nn.functional.binary_cross_entropy_with_logits(logits, target[batch])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network.eval()


PROBES: dict[str, Probe] = {"texture": texture_probe, "network": network_probe}
"""By name."""


def probe_auroc(
    probe: Probe, filled: Sequence[Sight], untouched: Sequence[Sight], cluster: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """AUROC with which `probe` tells `filled` from `untouched` places; out of fold, folds by patient.

    Args:
        probe: of `PROBES`.
        filled: places.
        untouched: places.
        cluster: patient of each place, first those of `filled`.
        seed: of the probe and the bootstrap.

    Returns:
        ``auroc``, ``low``, ``high`` (95 % interval over patients; null with fewer than `LEAST` places), ``filled``,
        ``untouched``, ``patients``.
    """
    sights = [*filled, *untouched]
    truth = np.arange(len(sights)) < len(filled)
    counts = {"filled": len(filled), "untouched": len(untouched), "patients": len(set(cluster.tolist()))}
    if len(sights) < LEAST or counts["patients"] < FOLDS:
        return {"auroc": None, "low": None, "high": None, **counts}
    scores = np.empty(len(sights))
    for fit, held_out in GroupKFold(FOLDS).split(truth, truth, cluster):
        scores[held_out] = probe([sights[i] for i in fit], truth[fit], [sights[i] for i in held_out], seed)
    weights = resample_weights(cluster, RESAMPLES, numpy_generator(seed, "fill-probe bootstrap"))
    low, high = percentile_interval(weighted_auroc(scores, truth, weights), CONFIDENCE)
    auroc = float(weighted_auroc(scores, truth, np.ones((1, len(sights))))[0])
    return {"auroc": auroc, "low": low, "high": high, **counts}
