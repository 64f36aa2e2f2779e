"""Do decisions about single regions treat the classes alike?

Lines of a plan cannot see a class; a person who decides region by region may. Marks removed more often in one class
than in another can tell the classes as well as the marks did, so this is said. It is a warning: a person may have
reasons, and `check_fingerprint` measures afterwards what can be read from the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.dataset import DatasetVersion
from pipeline.statistics import clusters

CONFIDENCE = 0.95
ALARM = 0.05
"""Largest q value (Benjamini & Hochberg 1995, over all kinds and classes) that is told."""

Outcome = Literal["removed", "kept"]


@dataclass(frozen=True)
class Imbalance:
    """How often regions of one kind were decided otherwise than the lines do, in one class and in the others.

    Counted are patients, for the images of one patient are not independent: in how many at least one region was, of
    those with a region that the lines leave (removed) or fill (kept).
    """

    kind: str
    outcome: Outcome
    name: str
    """The class."""
    inside: tuple[int, int]
    """Patients with such a decision, of how many, in the class."""
    outside: tuple[int, int]
    """The same in all other classes."""

    def test(self) -> float:
        """Fisher's exact test, two-sided: p."""
        return float(stats.fisher_exact(self._table()).pvalue)

    def words(self, q: float) -> str:
        """A sentence for the person who decided."""
        ratio = stats.contingency.odds_ratio(self._table(), kind="conditional")
        low, high = ratio.confidence_interval(CONFIDENCE)
        done, of, others, of_others = *self.inside, *self.outside
        return (
            f"Decisions about single regions treat the classes differently: they {_DID[self.outcome]} {self.kind} in "
            f"{done} of {of} patients of {self.name} ({done / of:.0%}) and in {others} of {of_others} of the other "
            f"classes ({others / of_others:.0%}); odds ratio {ratio.statistic:.3g} ({CONFIDENCE:.0%} interval "
            f"{low:.3g} to {high:.3g}), q = {q:.2g}, Fisher's exact test. What is left can tell the classes: decide "
            "about the finding, or about the same regions in every class."
        )

    def _table(self) -> list[list[int]]:
        return [[done, of - done] for done, of in (self.inside, self.outside)]


_DID: dict[Outcome, str] = {"removed": "remove", "kept": "keep"}


def imbalances(judged: pd.DataFrame, dataset: DatasetVersion) -> tuple[str, ...]:
    """A sentence for every kind whose regions were removed, or kept, by exception more often in one class.

    Args:
        judged: as `hold_back` returns it.
        dataset: with labels and patients.
    """
    if judged["exception"].isna().all():
        return ()
    patient = clusters(dataset.images["patient_id"], dataset.images["image_id"])
    about = pd.DataFrame({"patient": patient, "label": dataset.images["label"].astype(str)})
    about.index = pd.Index(dataset.images["image_id"].astype(str))
    found = list(_counted(judged.join(about, on="image_id"), dataset))
    if not found:
        return ()
    q = stats.false_discovery_control([each.test() for each in found])
    return tuple(each.words(value) for each, value in zip(found, q, strict=True) if value < ALARM)


def _counted(regions: pd.DataFrame, dataset: DatasetVersion) -> Iterator[Imbalance]:
    classes = dataset.meta.classes if len(dataset.meta.classes) > 2 else (dataset.meta.positive,)
    outcomes: tuple[tuple[Outcome, bool], ...] = (("removed", False), ("kept", True))
    for outcome, by_rule in outcomes:
        candidates = regions[regions["by_rule"] == by_rule]
        done = (candidates["exception"] == outcome).fillna(False).astype(bool)
        for kind in sorted(candidates.loc[done, "kind"].unique()):
            of_kind = candidates.assign(done=done)[candidates["kind"] == kind]
            units = of_kind.groupby(["patient", "label"])["done"].any()
            labels = units.index.get_level_values("label")
            for name in classes:
                own = np.asarray(labels == name)
                inside, outside = units[own], units[~own]
                if len(inside) and len(outside):
                    counts = [(int(part.sum()), len(part)) for part in (inside, outside)]
                    yield Imbalance(str(kind), outcome, name, counts[0], counts[1])
