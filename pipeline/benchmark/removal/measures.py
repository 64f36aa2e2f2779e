"""The three claims of Agarwal and Nguyen (ACCV 2020), as numbers: what each is, and which way the claim goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Claim = Literal["plausible", "accurate", "robust"]

CLAIMS: dict[Claim, str] = {
    "plausible": "1. The perturbed images are more plausible",
    "accurate": "2. The maps localise better and are more faithful",
    "robust": "3. The maps depend less on hyper-parameters",
}


@dataclass(frozen=True)
class Measure:
    """One number.

    Attributes:
        key: of the table images.parquet; of "auroc", of the scores that it is computed from.
        title: in the tables.
        claim: which it is about.
        better: which way the claim says that the generative variant goes.
        protocol: how it is measured, one sentence.
        over: how images are summed up: their mean, the root of their mean (variances), or the area under the ROC curve
            of scores of perturbed against unperturbed images.
    """

    key: str
    title: str
    claim: Claim
    better: Literal["lower", "higher"]
    protocol: str
    over: Literal["mean", "root", "auroc"] = "mean"


MEASURES = (
    Measure(
        "distance", "distance to real x-rays", "plausible", "lower",
        "Distance of a perturbed image from its 5 nearest real x-rays of other patients, in features of the judge, "
        "over that of the unperturbed image; 1 = as near as a real one.",
    ),
    Measure(
        "probe", "probe's AUROC", "plausible", "lower",
        "How well a logistic regression on the judge's features, out of fold by patient, tells perturbed images from "
        "the unperturbed; 0.5 = not at all.", "auroc",
    ),
    Measure(
        "likeness", "SSIM to the original", "plausible", "higher",
        "Structural similarity of a perturbed image with the unperturbed one (Gaussian window of 1.5 pixels).",
    ),
    Measure(
        "localisation", "localisation error", "accurate", "lower",
        "Share of the thresholds 0.10, 0.15, ... 0.50 of the maximum at which the box of all salient pixels meets the "
        "mark with IoU of at most 0.5.",
    ),
    Measure(
        "localisation_tuned", "localisation error, tuned", "accurate", "lower",
        "The same at one threshold for each method, for each image that with the fewest errors on the other images.",
    ),
    Measure(
        "iou", "IoU of the box", "accurate", "higher",
        "Intersection over union of that box and the mark's, mean over the same thresholds: tells maps apart where all "
        "boxes are in error.",
    ),
    Measure(
        "pointing", "pointing game", "accurate", "higher",
        "Share of images whose map's largest value lies within 15/224 of the side of the mark.",
    ),
    Measure(
        "enrichment", "enrichment", "accurate", "higher",
        "Share of the positive saliency inside the mark, over the mark's share of the area; 1 = chance.",
    ),
    Measure(
        "rise_deletion", "deletion, RISE", "accurate", "lower",
        "Area under the class probability while the most salient pixels are set to mean grey, 28 blocks.",
    ),
    Measure(
        "igos_deletion", "deletion, iGOS", "accurate", "lower",
        "The same with soft masks towards the blurred image, 25 blocks.",
    ),
    Measure(
        "saliency_metric", "saliency metric", "accurate", "lower",
        "Dabkowski and Gal (2017): log area of the box around the largest part above the mean, less log class "
        "probability of that crop.",
    ),
    Measure(
        "ssim", "SSIM of maps", "robust", "higher",
        "Mean over pairs of settings: structural similarity of maps, window of 5 pixels.",
    ),
    Measure("hog", "HOG of maps", "robust", "higher", "The same: Pearson correlation of oriented gradients."),
    Measure("spearman", "rank correlation of maps", "robust", "higher", "The same: Spearman correlation of pixels."),
    Measure(
        "variance_localisation", "spread of the localisation error", "robust", "lower",
        "Root of the mean over images of the variance over settings.", "root",
    ),
    Measure(
        "variance_rise_deletion", "spread of deletion, RISE", "robust", "lower", "The same of deletion.", "root",
    ),
    Measure(
        "variance_saliency_metric", "spread of the saliency metric", "robust", "lower",
        "The same of the saliency metric.", "root",
    ),
)  # fmt: skip
"""In the order of the tables."""
