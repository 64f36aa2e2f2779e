"""One finding per kind of region: what the table, the saliency and the interventions say about it.

Honesty rule 3: only the causal test confirms. A finding that saliency or association points at, but the causal test
does not carry, stays suspected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.estimates import Estimate, estimate, mean_estimate
from pipeline.flag.behaviour.summaries import erase_summary, transplant_summary
from pipeline.flag.findings.effects import class_effect
from pipeline.flag.findings.where import where
from pipeline.flag.profile.association import POOLED
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters

EXAMPLES = 8
"""Images a finding names."""
TEXTS = 4
"""Printed texts a finding names."""


@dataclass(frozen=True)
class RegionEvidence:
    """The tables a region finding rests on."""

    regions: pd.DataFrame
    association: pd.DataFrame
    """From `mark_association`."""
    saliency: pd.DataFrame
    """From `region_evidence`."""
    effects: pd.DataFrame
    """From `intervene`, for the classes of the data set."""
    transplants: pd.DataFrame
    """From `transplant`."""


def region_findings(
    dataset: DatasetVersion, gathered: RegionEvidence, config: FlagConfig, seed: int
) -> list[dict[str, Any]]:
    """One JSON-ready finding per kind of region, without id, q, status and words.

    A finding speaks for the class with the largest mean excess effect (effect of removal − mean effect of its controls)
    where that is worth confirming, otherwise for the one with the largest odds ratio: noise must not choose it.
    `p` and the intervals of effects have paid for choosing among classes and scales and for every look of the
    sequential test (`summaries`); intervals of share and enrichment are bootstraps over patients.

    Args:
        dataset: classes and patients.
        gathered: the tables.
        config: thresholds.
        seed: of the run.
    """
    build = _Builder(dataset, gathered, config, seed)
    return [build.finding(kind) for kind in build.kinds()]


class _Builder:
    """The numbers of one kind, taken from the tables."""

    def __init__(self, dataset: DatasetVersion, gathered: RegionEvidence, config: FlagConfig, seed: int) -> None:
        association = gathered.association
        self.dataset, self.gathered, self.config, self.seed = dataset, gathered, config, seed
        self.classes = dataset.meta.classes
        self.by_kind = association[association["text"].isna()]
        self.by_text = association[association["text"].notna()]
        self.erased = {each["kind"]: each for each in erase_summary(gathered.effects, self.classes, seed)}
        self.pasted = {(each["kind"], each["class"]): each for each in transplant_summary(gathered.transplants, seed)}
        self.patients = dataset.images.set_index("image_id")["patient_id"]

    def kinds(self) -> list[str]:
        """Kinds met anywhere; the pooled one only where a detector itself reports it."""
        pooled = set(self.by_kind["kind"]) - {POOLED}
        return sorted(pooled | set(self.gathered.saliency["kind"]) | set(self.gathered.effects["kind"]))

    def finding(self, kind: str) -> dict[str, Any]:
        """A finding without id, q, status and words."""
        groups = self.gathered.effects[self.gathered.effects["kind"] == kind]
        tested = groups[groups["predicted_removed"].notna()].sort_values("image_id")
        chosen = self._class(kind, tested)
        regions = self.gathered.regions[self.gathered.regions["kind"] == kind]
        return {
            "kind": kind,
            "text": None,
            "class": chosen,
            "where": where(self.dataset, regions),
            "images": int(regions["image_id"].nunique()),
            "association": self._association(kind, chosen),
            "texts": self._texts(kind, chosen),
            "saliency": self._saliency(kind),
            "effect": class_effect(self.erased.get(kind), chosen, tested),
            "transplant": self.pasted.get((kind, chosen)),
            "examples": _examples(tested, chosen),
        }

    def _class(self, kind: str, tested: pd.DataFrame) -> str:
        """The class with the largest effect, in units of the smallest worth confirming, on either scale.

        Where no effect is worth confirming, the class with the largest odds ratio: noise must not choose it.
        """
        if len(tested):
            size = {name: self._size(self.erased[kind]["classes"][name]) for name in self.classes}
            strongest = max(self.classes, key=lambda name: size[name])
            if size[strongest] >= 1:
                return strongest
        ratios = self.by_kind[self.by_kind["kind"] == kind].set_index("class")["odds_ratio"]
        return max(self.classes, key=lambda name: float(ratios.get(name, -np.inf)))

    def _size(self, effect: dict[str, Any]) -> float:
        smallest = {"excess": self.config.min_effect, "logit_excess": self.config.min_logit_effect}
        return max(float(effect[scale]["mean"]) / max(least, 1e-9) for scale, least in smallest.items())

    def _association(self, kind: str, chosen: str) -> dict[str, Any] | None:
        rows = self.by_kind[self.by_kind["kind"] == kind].set_index("class")
        if chosen not in rows.index:
            return None
        row: dict[str, Any] = {str(name): value for name, value in rows.loc[chosen].items()}
        prevalence = {
            str(name): estimate(each["prevalence"], each["prevalence_low"], each["prevalence_high"], int(each["total"]))
            for name, each in rows.iterrows()
        }
        return {"odds_ratio": _odds_ratio(row), "q": float(row["q_value"]), "prevalence": prevalence}

    def _texts(self, kind: str, chosen: str) -> list[dict[str, Any]]:
        """What is printed, for texts of the public vocabulary: most closely tied to the class first."""
        rows = self.by_text[(self.by_text["kind"] == kind) & (self.by_text["class"] == chosen)]
        ranked = rows.sort_values(["odds_ratio", "text"], ascending=[False, True]).head(TEXTS)
        return [{"text": str(row["text"]), "odds_ratio": _odds_ratio(row)} for row in ranked.to_dict("records")]

    def _saliency(self, kind: str) -> dict[str, Any]:
        """By method: the kind's regions taken together on each image."""
        saliency = self.gathered.saliency
        part = saliency[(saliency["kind"] == kind) & saliency["share"].notna()]
        found = {}
        for method, rows in part.groupby("method", sort=True):
            sums = rows.groupby("image_id", sort=True)[["share", "area_fraction"]].sum().astype(float)
            share, area = sums["share"].to_numpy(), sums["area_fraction"].to_numpy()
            cluster = clusters(self.patients.reindex(sums.index), sums.index)
            found[str(method)] = {
                name: mean_estimate(values, cluster, self._generator(kind, str(method), name))
                for name, values in (("share", share), ("enrichment", share / area))
            }
        return found

    def _generator(self, *purpose: str) -> np.random.Generator:
        return numpy_generator(self.seed, "findings", *purpose)


def excess(effects: pd.DataFrame, name: str) -> Floats:
    """Effect of removal on class `name` beyond the mean effect of the matched controls, (n,)."""
    return (effects[f"effect_{name}"] - effects[f"control_mean_{name}"]).to_numpy(dtype=np.float64)


def _odds_ratio(row: dict[Any, Any]) -> Estimate:
    return estimate(row["odds_ratio"], row["odds_low"], row["odds_high"], int(row["total"] + row["total_other"]))


def _examples(tested: pd.DataFrame, chosen: str) -> list[str]:
    """Images with the largest excess first."""
    ranked: Sequence[tuple[float, str]] = (
        sorted(zip(-excess(tested, chosen), tested["image_id"].astype(str), strict=True)) if len(tested) else []
    )
    return [image_id for _, image_id in ranked[:EXAMPLES]]
