"""What is measured of an explainer: every number with its protocol and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["faithfulness", "localisation", "sanity", "bias", "cost"]

GROUPS: dict[Group, str] = {
    "faithfulness": "Does the map name what the classifier uses?",
    "localisation": "Does the map point at the mark that decides?",
    "sanity": "Does the map hang on the classifier, and on nothing else?",
    "bias": "Does the map favour bright pixels whatever they mean?",
    "cost": "What does a map cost?",
}


@dataclass(frozen=True)
class Column:
    """One number of a method.

    Attributes:
        key: column of explainers.parquet (`COLUMNS`) and of summary.parquet.
        title: in the head of a table.
        group: the table it stands in.
        better: which way is better; None where neither is.
        protocol: how it is measured, one sentence; numbers of other protocols do not compare.
    """

    key: str
    title: str
    group: Group
    better: Literal["lower", "higher"] | None
    protocol: str


COLUMNS = (
    Column(
        "igos_deletion", "Deletion, iGOS", "faithfulness", "lower",
        "Area under the class probability while the most salient cells of a 28 × 28 map give way to the blurred "
        "image, softly upsampled; corrected right-endpoint sum.",
    ),
    Column(
        "igos_insertion", "Insertion, iGOS", "faithfulness", "higher",
        "The same while they are shown over the blurred image.",
    ),
    Column(
        "rise_deletion", "Deletion, RISE", "faithfulness", "lower",
        "Area under the class probability while the most salient pixels are set to mean grey, hard-edged, at full "
        "resolution; trapezoid sum.",
    ),
    Column(
        "rise_insertion", "Insertion, RISE", "faithfulness", "higher",
        "The same while they are shown over the blurred image; from a lighter blur than the iGOS protocol's.",
    ),
    Column(
        "saliency_metric", "Saliency metric", "faithfulness", "lower",
        "Dabkowski and Gal (2017): log area of the tightest box around the salient region minus log class "
        "probability of that crop.",
    ),
    Column(
        "saliency_fidelity", "Fidelity SF", "faithfulness", "lower",
        "Lu et al. (DANCE, 2021): minus log ratio of the class score under the normalised map and under a constant "
        "map of the same mean.",
    ),
    Column(
        "pointing_game", "Pointing game", "localisation", "higher",
        "Share of images whose map's largest value lies less than 15 pixels from the mark.",
    ),
    Column("mass_inside", "Mass inside", "localisation", "higher", "Share of the positive saliency inside the mark."),
    Column(
        "enrichment", "Enrichment", "localisation", "higher",
        "Mass inside the mark divided by the mark's share of the area; 1 = chance.",
    ),
    Column(
        "localisation_error", "Localisation error", "localisation", "lower",
        "Share of images where the box of the largest component above the mean meets the mark with IoU of at most "
        "0.5.",
    ),
    Column(
        "randomised_first", "Top block randomised", "sanity", "lower",
        "Adebayo et al. (2018): Spearman correlation of |map| with the map after the block nearest to the output "
        "is re-initialised.",
    ),
    Column(
        "randomised_all", "All blocks randomised", "sanity", "lower",
        "The same after the whole cascade: a map that survives it does not show what was learned.",
    ),
    Column(
        "max_sensitivity", "Max-sensitivity", "sanity", "lower",
        "Yeh et al. (2019): largest relative change of the map under 10 uniform perturbations of at most 0.02.",
    ),
    Column(
        "noise_floor", "Seed noise floor", "sanity", "lower",
        "Relative change of the map from another seed alone; what max-sensitivity cannot fall below.",
    ),
    Column(
        "attack_stability", "Stability SS", "sanity", "lower",
        "Lu et al. (DANCE, 2021): change of the map over change of the image, Euclidean, under an attack that weakens "
        "the strongest pixels of the gradient (top-k).",
    ),
    Column(
        "robustness", "Robustness SSIM", "sanity", "higher",
        "Mean structural similarity of maps made under different hyper-parameters (Agarwal and Nguyen, 2020); "
        "none where a method has none that are usually varied.",
    ),
    Column("forward", "Forward passes", "cost", "lower", "Image evaluations of the classifier per map."),
    Column("backward", "Backward passes", "cost", "lower", "Those followed by a backward pass."),
)  # fmt: skip
"""Numbers per image."""

BIAS = (
    Column(
        "bias_index", "Bias index T1", "bias", "lower",
        "Small classifiers of a glyph of one grey value each: 1 minus the least over the median share of |map| on the "
        "glyph; 0 to 0.3 is chance, 1 is blind to one grey value.",
    ),
    Column(
        "shift_error", "Shift error T2", "bias", "lower",
        "Relative change of the map when network input and network are moved in grey value together; 0 without bias.",
    ),
    Column(
        "random_weight_correlation", "Untrained networks T3", "bias", "lower",
        "Spearman correlation of |map| with the size of the network input, mean over untrained networks; 0 without "
        "bias, 1 for the input itself.",
    ),
    Column(
        "dark_bright_ratio", "Dark to bright T4", "bias", None,
        "Attribution per effect of the darkest fifth of patches over that of the brightest, on this classifier; 1 "
        "without bias, 0 if dark places get nothing.",
    ),
)  # fmt: skip
"""Numbers per method, without an interval. The first three are about the method alone, on its own small networks."""
