"""How good a saliency map is, by named protocols: numbers for each image, (B,), on one footing for all methods.

No metric is enough. Faithfulness (deletion and insertion, saliency metric) must come with localisation where the
truth is known, with `parameter_randomisation`, and with trivial maps in the same table; the protocols' numbers
are not comparable with each other. The iGOS papers' deletion and insertion is `pipeline.explain.deletion_insertion`.
"""

from __future__ import annotations

from pipeline.explain.metrics.boxes import THRESHOLDS, saliency_box
from pipeline.explain.metrics.intervals import paired_bootstrap
from pipeline.explain.metrics.localisation import (
    border,
    enrichment,
    localisation_error,
    mass_inside,
    peak_inside,
    pointing_game,
)
from pipeline.explain.metrics.randomisation import parameter_randomisation
from pipeline.explain.metrics.rise_curves import rise_deletion_insertion
from pipeline.explain.metrics.robustness import (
    HYPERPARAMETERS,
    Similarity,
    accuracy_spread,
    hyperparameters,
    similarity,
)
from pipeline.explain.metrics.saliency_metric import saliency_metric
from pipeline.explain.metrics.stability import max_sensitivity, noise_floor

__all__ = [
    "HYPERPARAMETERS",
    "THRESHOLDS",
    "Similarity",
    "accuracy_spread",
    "border",
    "enrichment",
    "hyperparameters",
    "localisation_error",
    "mass_inside",
    "max_sensitivity",
    "noise_floor",
    "paired_bootstrap",
    "parameter_randomisation",
    "peak_inside",
    "pointing_game",
    "rise_deletion_insertion",
    "saliency_box",
    "saliency_metric",
    "similarity",
]
