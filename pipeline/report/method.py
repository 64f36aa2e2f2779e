"""How the numbers of a report were made, in sentences exact enough to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.content import ReportInput

Paragraphs = list[tuple[str, str]]


def method(content: ReportInput) -> Paragraphs:
    """(heading, text) of the method section; the comparison's only where one was made."""
    paragraphs = [("Splits", _splits(content)), ("Finding shortcuts", _FINDING)]
    if content.comparison is not None:
        paragraphs += [
            ("Arms", _arms(content.comparison)),
            ("Test conditions", _CONDITIONS),
            ("Decisions", _decisions(content.comparison)),
            ("Intervals", _intervals(content.comparison)),
            ("Tests", _TESTS),
            ("Calibration", _CALIBRATION),
            ("Many numbers", _MANY),
        ]
    return paragraphs


def _splits(content: ReportInput) -> str:
    counts = content.images["split"].value_counts().to_dict()
    said = ", ".join(f"{words} {counts[name]:,}" for name, words in _SPLITS.items() if name in counts)
    return (
        f"Images were split by patient, near duplicates kept together, before anything else was computed: {said}. An "
        "image of an unknown patient counts as a patient of its own."
    )


def _arms(comparison: Mapping[str, Any]) -> str:
    words = " ".join(_ARMS.get(arm, f"{arm}.") for arm in comparison["arms"])
    seeds = comparison["seeds"]
    return (
        f"{words} Each arm was trained {len(seeds)} times (seeds {', '.join(map(str, seeds))}) with the same "
        "settings; of each training the epoch of largest validation AUROC was kept. Arms differ in their training "
        "images alone."
    )


def _decisions(comparison: Mapping[str, Any]) -> str:
    rule = f"An image is called {comparison['positive']} when {comparison['decision']}."
    if comparison["thresholds"] is None:
        return f"{rule} AUROC, Brier score and calibration error need no decision."
    return (
        f"{rule} The thresholds, listed below, were chosen without looking at any test image and are the same in "
        "every test condition; the validation images are those of the data the arm was trained on, and no result on "
        "them is reported. No metric at another threshold is mixed in. AUROC, Brier score and calibration error need "
        "none."
    )


def _intervals(comparison: Mapping[str, Any]) -> str:
    interval = comparison["interval"]
    return (
        f"{100 * interval['confidence']:g} % intervals are percentiles over {interval['resamples']:,} bootstrap "
        "samples of patients. A metric is averaged over seeds; all arms and seeds share the samples, so differences "
        "are paired. A rate of exactly 0 or 1 has Wilson's interval over its patients. Intervals cover the choice of "
        "test patients, not that of training images, training chance (see the small dots, one a seed) or thresholds."
    )


_SPLITS = {"train": "training", "val": "validation", "test": "test", "other_source": "another source"}
_ARMS = {
    "before": "Before: trained on the images as they are.",
    "after": "After: trained on the cleansed images.",
    "control": "Control: trained on images from which random regions of equal size were removed in the same way.",
}
_FINDING = (
    "Detectors look for marks, devices and edges in all classes alike. A kind of region is confirmed when removing "
    "or moving it changes the class probability more than the same done to matched control places, with the false "
    "discovery rate controlled over all kinds; saliency and association alone only make a suspect."
)
_CONDITIONS = (
    "Raw: test images as they are. Cleansed: the same images with the marks removed. Marker-swapped: the marks of "
    "positive images moved to the others and the reverse. Other source: images from a place that gave no training "
    "image. A shortcut shows in the loss from raw to marker-swapped and other-source images; a repair is judged "
    "there, beside the control."
)
_TESTS = (
    "McNemar's test (exact mid-p) compares the decisions of two arms on the same images; a patient counts once, for "
    "the arm that is right on more of that patient's images. DeLong's test compares AUROCs and takes images as "
    "independent, so it is given only where each patient has one image. Both are two-sided, for each seed and for "
    "the seeds pooled: taken as one classifier, whose score is their mean and which calls what at least half of them "
    "call."
)
_CALIBRATION = (
    "Expected calibration error over at most ten bins of equally many images, ten or more in each; beside it what "
    "perfectly calibrated probabilities would show by chance on as many images. Resampling adds to the noise of the "
    "bins, so its interval is shifted back onto the observed value. Brier score: mean squared error of the "
    "probability. Reliability plots pool the seeds."
)
_MANY = (
    "Nothing is corrected for the number of conditions, metrics and groups. The claim rests on AUROC under swapped "
    "marks and in another source; tables by group are exploratory."
)
