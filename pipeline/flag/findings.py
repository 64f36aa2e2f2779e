"""One finding per kind of mark: what the table, the saliency and the intervention say, and what follows.

Honesty rule 3: only the causal test confirms. A finding that saliency or association points at, but the causal test
does not carry, stays suspected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.profile.association import CONFIDENCE, POOLED, wilson
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters, percentile_interval, resample_weights
from pipeline.types import FindingStatus

RESAMPLES = 2000
PERMUTATIONS = 10_000
EXAMPLES = 8
"""Images a finding names."""
TEXTS = 4
"""Printed texts a finding names."""

WORDS: dict[str, str] = {
    "side": "side markers",
    "position": "position words",
    "word": "other words",
    "panel": "panel letters",
    "date": "dates and times",
    "number": "numbers",
    "identifier": "burned-in identifiers",
    "arrow": "arrows",
    "ruler": "rulers and dash lines",
    "border": "borders and blank bands",
    "corner": "corners",
    "device": "devices and wires",
    "glyph": "unread glyphs",
    "mark": "printed marks",
}
"""Kind of mark -> how a sentence calls it."""

_RANK: dict[FindingStatus, int] = {"confirmed": 0, "suspected": 1, "not-confirmed": 2}


def build_findings(
    dataset: DatasetVersion,
    association: pd.DataFrame,
    evidence: pd.DataFrame,
    effects: pd.DataFrame,
    config: FlagConfig,
    seed: int,
) -> list[dict[str, Any]]:
    """One JSON-ready finding per kind of mark, strongest first, for the class the kind is tied to.

    That class is the one with the largest mean excess effect (effect of removal − mean effect of its controls) where
    that reaches `config.min_effect`, otherwise the one with the largest odds ratio: noise must not choose it.
    p is a one-sided sign-flip permutation over patients, multiplied by the number of classes to pay for having chosen
    the class; q is Benjamini-Hochberg over the findings. Intervals of excess, share and enrichment are bootstraps over
    patients.

    * confirmed: q <= `config.fdr`, mean excess >= `config.min_effect` and its interval above 0;
    * suspected: not confirmed, but an association with q <= `config.fdr` and an odds ratio interval above 1, or an
      enrichment interval above 1;
    * not-confirmed: neither.

    Args:
        dataset: classes and patients.
        association: from `mark_association`.
        evidence: from `region_evidence`.
        effects: from `intervene`, for the classes of `dataset`.
        config: thresholds.
        seed: of the run.
    """
    build = _Builder(dataset, association, evidence, effects, config, seed)
    findings = [build.finding(kind) for kind in build.kinds()]
    _add_q(findings)
    for finding in findings:
        finding["status"] = _status(finding, config)
        finding["title"], finding["summary"] = _title(finding), _summary(finding)
    findings.sort(key=_strength)
    return [{"id": f"F{number:02d}", **finding} for number, finding in enumerate(findings, start=1)]


class _Builder:
    """The three tables and the numbers of one kind taken from them."""

    def __init__(
        self,
        dataset: DatasetVersion,
        association: pd.DataFrame,
        evidence: pd.DataFrame,
        effects: pd.DataFrame,
        config: FlagConfig,
        seed: int,
    ) -> None:
        self.classes = dataset.meta.classes
        self.association = association[association["text"].isna()]
        self._by_text = association[association["text"].notna()]
        self.evidence = evidence
        self.effects = effects
        self.config = config
        self.seed = seed
        self._patients = dataset.images.set_index("image_id")["patient_id"]

    def kinds(self) -> list[str]:
        """Kinds met anywhere; the pooled one only where a detector itself reports it."""
        pooled = set(self.association["kind"]) - {POOLED}
        return sorted(pooled | set(self.evidence["kind"]) | set(self.effects["kind"]))

    def finding(self, kind: str) -> dict[str, Any]:
        """A finding without id, status and words."""
        groups = self.effects[self.effects["kind"] == kind]
        tested = groups[groups["predicted_removed"].notna()]
        chosen = self._class(kind, tested)
        return {
            "kind": kind,
            "text": None,
            "class": chosen,
            "association": self._association(kind, chosen),
            "texts": self._texts(kind, chosen),
            "saliency": self._saliency(kind),
            "effect": self._effect(kind, chosen, tested, untestable=len(groups) - len(tested)),
            "examples": _examples(tested, chosen),
        }

    def _class(self, kind: str, tested: pd.DataFrame) -> str:
        """The class with the largest effect, or, where no effect is worth confirming, with the largest odds ratio."""
        if len(tested):
            mean = {name: float(excess(tested, name).mean()) for name in self.classes}
            strongest = max(self.classes, key=lambda name: mean[name])
            if mean[strongest] >= self.config.min_effect:
                return strongest
        ratios = self.association[self.association["kind"] == kind].set_index("class")["odds_ratio"]
        return max(self.classes, key=lambda name: float(ratios.get(name, -np.inf)))

    def _association(self, kind: str, chosen: str) -> dict[str, Any] | None:
        rows = self.association[self.association["kind"] == kind].set_index("class")
        if chosen not in rows.index:
            return None
        row: dict[str, Any] = {str(name): value for name, value in rows.loc[chosen].items()}
        ratio = _numbers(row["odds_ratio"], row["odds_low"], row["odds_high"], int(row["total"] + row["total_other"]))
        prevalence = {
            str(name): _numbers(each["prevalence"], each["prevalence_low"], each["prevalence_high"], int(each["total"]))
            for name, each in rows.iterrows()
        }
        return {"odds_ratio": ratio, "q": float(row["q_value"]), "prevalence": prevalence}

    def _texts(self, kind: str, chosen: str) -> list[dict[str, Any]]:
        """What is printed, for texts of the public vocabulary: most closely tied to the class first."""
        rows = self._by_text[(self._by_text["kind"] == kind) & (self._by_text["class"] == chosen)]
        ranked = rows.sort_values(["odds_ratio", "text"], ascending=[False, True]).head(TEXTS)
        return [
            {
                "text": str(row["text"]),
                "odds_ratio": _numbers(
                    row["odds_ratio"], row["odds_low"], row["odds_high"], int(row["total"] + row["total_other"])
                ),
            }
            for row in ranked.to_dict("records")
        ]

    def _saliency(self, kind: str) -> dict[str, Any]:
        """By method: the kind's regions taken together on each image."""
        part = self.evidence[(self.evidence["kind"] == kind) & self.evidence["share"].notna()]
        found = {}
        for method, rows in part.groupby("method", sort=True):
            sums = rows.groupby("image_id", sort=True)[["share", "area_fraction"]].sum().astype(float)
            share, area = sums["share"].to_numpy(), sums["area_fraction"].to_numpy()
            patients = self._patients.reindex(sums.index)
            found[str(method)] = {
                name: self._mean(values, patients, sums.index, f"{kind}-{method}-{name}")
                for name, values in (("share", share), ("enrichment", share / area))
            }
        return found

    def _effect(self, kind: str, chosen: str, tested: pd.DataFrame, *, untestable: int) -> dict[str, Any]:
        if not len(tested):
            return {"mean": None, "control_mean": None, "excess": None, "p": None, "flip_rate": None} | {
                "untestable": untestable
            }
        values = excess(tested, chosen)
        generator = numpy_generator(self.seed, "sign-flip", kind)
        p = sign_flip_p(values, clusters(tested["patient_id"], tested["image_id"]), generator)
        flips, n = int(tested["flip"].sum()), len(tested)
        return {
            "mean": float(tested[f"effect_{chosen}"].mean()),
            "control_mean": float(tested[f"control_mean_{chosen}"].mean()),
            "excess": self._mean(values, tested["patient_id"], tested["image_id"], f"{kind}-excess"),
            "p": min(1.0, p * len(self.classes)),
            "flip_rate": _numbers(flips / n, *wilson(flips, n), n),
            "untestable": untestable,
        }

    def _mean(self, values: Floats, patients: Any, images: Any, purpose: str) -> dict[str, Any]:
        """Mean over images with its bootstrap interval over patients."""
        # In id order: the draw must not depend on the order of the table.
        order = np.argsort(np.asarray(images, dtype=str), kind="stable")
        cluster = clusters(patients, images)[order]
        generator = numpy_generator(self.seed, "findings-bootstrap", purpose)
        weights = resample_weights(cluster, RESAMPLES, generator)
        low, high = percentile_interval(weights @ values[order] / weights.sum(axis=1), CONFIDENCE)
        return _numbers(values.mean(), low, high, len(values))


def excess(effects: pd.DataFrame, name: str) -> Floats:
    """Effect of removal on class `name` beyond the mean effect of the matched controls, (n,)."""
    return (effects[f"effect_{name}"] - effects[f"control_mean_{name}"]).to_numpy(dtype=np.float64)


def sign_flip_p(values: Floats, cluster: Any, generator: np.random.Generator) -> float:
    """One-sided p-value of mean(values) > 0: the signs of whole clusters are flipped at random.

    (1 + #{permuted sum >= observed}) / (1 + `PERMUTATIONS`); valid when a cluster's values are symmetric around 0
    under the null (R. A. Fisher, The Design of Experiments, 1935, section 21).

    Args:
        values: (n,).
        cluster: number of the patient of each value, (n,).
        generator: draws the signs.
    """
    sums = np.bincount(cluster, weights=values)
    # Equal sums in another order of addition must count as ties.
    observed = sums.sum() - 1e-12 * np.abs(sums).sum()
    as_large = 0
    for _ in range(PERMUTATIONS // 1000):
        signs = generator.integers(0, 2, size=(1000, len(sums))) * 2 - 1
        as_large += int((signs @ sums >= observed).sum())
    return (1 + as_large) / (1 + PERMUTATIONS)


def _examples(tested: pd.DataFrame, chosen: str) -> list[str]:
    """Images with the largest excess first."""
    ranked = sorted(zip(-excess(tested, chosen), tested["image_id"].astype(str), strict=True)) if len(tested) else []
    return [image_id for _, image_id in ranked[:EXAMPLES]]


def _add_q(findings: Sequence[dict[str, Any]]) -> None:
    tested = [finding["effect"] for finding in findings if finding["effect"]["p"] is not None]
    q = stats.false_discovery_control([effect["p"] for effect in tested]) if tested else []
    for finding in findings:
        finding["effect"]["q"] = None
    for effect, value in zip(tested, q, strict=True):
        effect["q"] = float(value)


def _status(finding: dict[str, Any], config: FlagConfig) -> FindingStatus:
    effect, association = finding["effect"], finding["association"]
    size = effect["excess"]
    if size and effect["q"] <= config.fdr and size["mean"] >= config.min_effect and size["low"] > 0:
        return "confirmed"
    tied = bool(association) and association["q"] <= config.fdr and association["odds_ratio"]["low"] > 1
    salient = any(method["enrichment"]["low"] > 1 for method in finding["saliency"].values())
    return "suspected" if tied or salient else "not-confirmed"


def _strength(finding: dict[str, Any]) -> tuple[int, float, float, str]:
    """Sort key: status, then excess effect, then odds ratio, largest first."""
    size, association = finding["effect"]["excess"], finding["association"]
    ratio = association["odds_ratio"]["mean"] if association else 0.0
    return _RANK[finding["status"]], -(size["mean"] if size else -np.inf), -ratio, finding["kind"]


def _title(finding: dict[str, Any]) -> str:
    what, name = WORDS.get(finding["kind"], finding["kind"]), finding["class"]
    tied = [f"“{entry['text']}”" for entry in finding["texts"] if entry["odds_ratio"]["low"] > 1]
    what += f" ({', '.join(tied)})" if tied else ""
    match finding["status"]:
        case "confirmed":
            return f"The classifier reads {what} as evidence for {name}"
        case "suspected":
            return f"The classifier may read {what} as evidence for {name}"
        case _:
            return f"No sign that the classifier uses {what}"


def _summary(finding: dict[str, Any]) -> str:
    what = WORDS.get(finding["kind"], finding["kind"])
    effect, association = finding["effect"], finding["association"]
    parts = []
    if effect["excess"] is None:
        parts.append(f"Removing {what} could not be tested: {effect['untestable']} images had too little room for it.")
    else:
        parts.append(
            f"Removing {what} changes the probability of {finding['class']} by {-effect['excess']['mean']:+.3f} "
            f"beyond removing matched places without a mark (the fall is {_shown(effect['excess'])} images, "
            f"q = {effect['q']:.2g}); the predicted class changes in {_percent(effect['flip_rate'])}, "
            f"{effect['untestable']} more images could not be tested."
        )
    if association:
        shares = ", ".join(f"{_percent(value)} of {name}" for name, value in association["prevalence"].items())
        parts.append(
            f"They stand on {shares}: odds ratio for {finding['class']} {_shown(association['odds_ratio'], 2)}, "
            f"q = {association['q']:.2g}."
        )
    tied = [entry for entry in finding["texts"] if entry["odds_ratio"]["low"] > 1]
    if tied:
        named = "; ".join(f"“{entry['text']}” {_shown(entry['odds_ratio'], 1)}" for entry in tied)
        parts.append(f"Tied most closely, by odds ratio: {named}.")
    parts += [
        f"{method} puts {_shown(found['enrichment'], 2)} times the saliency there that their area would get."
        for method, found in finding["saliency"].items()
    ]
    return " ".join(parts)


def _shown(numbers: dict[str, Any], digits: int = 3) -> str:
    low, high = numbers["low"], numbers["high"]
    return f"{numbers['mean']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f}), N = {numbers['n']:,}"


def _percent(numbers: dict[str, Any]) -> str:
    if numbers["mean"] is None:
        return "none (N = 0)"
    return f"{numbers['mean']:.0%} ({numbers['low']:.0%} to {numbers['high']:.0%}, N = {numbers['n']:,})"


def _numbers(mean: Any, low: Any, high: Any, n: int) -> dict[str, Any]:
    """{mean, low, high, n}, null where undefined."""
    values = {"mean": mean, "low": low, "high": high}
    return {name: None if pd.isna(value) else float(value) for name, value in values.items()} | {"n": n}
