"""Testing until the verdict is clear, and not one image longer.

A group-sequential test. Images come in blocks; a kind of mark is looked at after `first`, 2·`first`, 4·`first`, ... of
its images, and at the end. Looking K times gives chance K opportunities, so every look pays: its p-value is multiplied
by K and its interval widened to the level 1 − (1 − confidence) / K. This is the Bonferroni member of the alpha-spending
family (Lan and DeMets, Biometrika 70, 1983): equal shares α/K, like Pocock's equal boundaries (Biometrika 64, 1977)
without crediting the correlation between looks, hence a little conservative. In return it needs no distribution, holds
for every α at once (so the adjusted p-values may go into Benjamini-Hochberg), and for *any* reason to stop: of the K
p-values each is below α/K with probability at most α/K, so whichever is reported, α holds. The widened intervals are
the repeated confidence intervals of Jennison and Turnbull (J. R. Stat. Soc. B 51, 1989): all K hold at once.

Means after an early stop for effect overshoot a little (the lucky ones stop first); the widened interval allows for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.flag.behaviour.estimates import CONFIDENCE, weighted_mean_interval
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters

PERMUTATIONS = 10_000
BLOCK = 1000

Verdict = Literal["effect", "no effect"]


def planned_looks(available: int, first: int) -> tuple[int, ...]:
    """After how many images a kind is looked at: `first` and its doublings below `available`, then `available`.

    The last doubling is left out where the end is less than half of it away: that look would buy little.
    """
    looks = []
    size = first
    while size * 1.5 <= available:
        looks.append(size)
        size *= 2
    return (*looks, available)


def sign_flip_p_values(
    values: Floats, cluster: NDArray[np.int64], generator: np.random.Generator, permutations: int = PERMUTATIONS
) -> Floats:
    """One-sided p-values of mean > 0 for every column, adjusted for choosing among the columns, (m,).

    Signs of whole patients are flipped at random (R. A. Fisher, The Design of Experiments, 1935, section 21). The
    statistic of a column, its sum over the root of its summed squared patient sums (which flipping leaves as it is), is
    compared with the largest of all columns (max-T of Westfall and Young, Resampling-based multiple testing, 1993).
    So the column with the smallest p-value may be picked afterwards: its p-value has paid for that. Valid when the
    values of a patient are symmetric around 0 under the null.

    Args:
        values: (n, m), n > 0: m effects measured on the same n images.
        cluster: number of the patient of each image, (n,).
        generator: draws the signs.
        permutations: how many sign patterns.
    """
    sums = np.stack([np.bincount(cluster, weights=column) for column in values.T], axis=1)
    length = np.sqrt((sums**2).sum(axis=0))
    units = sums / np.where(length > 0, length, 1)
    observed = units.sum(axis=0)
    as_large = np.zeros(units.shape[1])
    for start in range(0, permutations, BLOCK):
        count = min(BLOCK, permutations - start)
        signs = generator.integers(0, 2, size=(count, len(units)), dtype=np.int8) * 2.0 - 1
        # Equal sums in another order of addition must count as ties.
        as_large += ((signs @ units).max(axis=1)[:, None] >= observed - 1e-9).sum(axis=0)
    return np.asarray((1 + as_large) / (1 + permutations))


@dataclass(frozen=True)
class StoppingRule:
    """When the verdict on a kind is clear.

    * effect: for some measure, p·K·`kinds` <= `alpha` (it would survive any false-discovery correction over the kinds)
      and the widened interval lies above the smallest effect worth confirming;
    * no effect: for every measure the widened interval lies below that smallest effect.

    Attributes:
        smallest: (m,) smallest mean effect worth confirming, by measure.
        alpha: error rate over all kinds.
        kinds: how many kinds are tested side by side.
        permutations: sign patterns for a p-value.
    """

    smallest: Floats
    alpha: float
    kinds: int
    permutations: int = PERMUTATIONS

    def verdict(
        self, values: Floats, cluster: NDArray[np.int64], looks: int, generator: np.random.Generator
    ) -> Verdict | None:
        """What `values` (n, m) say at one of `looks` planned looks; None while it is not clear."""
        level = 1 - (1 - CONFIDENCE) / looks
        low, high = weighted_mean_interval(values, cluster, generator, level)
        if (high < self.smallest).all():
            return "no effect"
        large = low > self.smallest
        if large.any():
            p = sign_flip_p_values(values, cluster, generator, self.permutations)
            if (p[large] * looks * self.kinds <= self.alpha).any():
                return "effect"
        return None


@dataclass
class _Kind:
    looks: tuple[int, ...]
    images: list[str] = field(default_factory=list)
    patients: list[Any] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    taken: int = 0
    stopped: Verdict | None = None


class SequentialTest:
    """Which kinds still need images. The state follows from the added images alone, so a replay ends in the same."""

    def __init__(self, available: Mapping[str, int], first: int, rule: StoppingRule, seed: int) -> None:
        """Plan the looks.

        Args:
            available: kind -> how many images could be tested.
            first: images before the first look.
            rule: when to stop.
            seed: of the run.
        """
        self._kinds = {name: _Kind(planned_looks(count, first)) for name, count in available.items()}
        self._rule, self._seed = rule, seed

    def open(self, kind: str) -> bool:
        """Whether `kind` takes further images."""
        return self._kinds[kind].stopped is None

    def add(self, kind: str, image: str, patient: Any, values: Floats) -> None:
        """One more tested image of `kind`: its effects (m,) beyond the controls'."""
        state = self._kinds[kind]
        state.images.append(image)
        state.patients.append(None if pd.isna(patient) else patient)
        state.values.append(values)

    def look(self) -> None:
        """Stop every open kind that has reached its next look (not the last) and whose verdict is clear."""
        for name, state in self._kinds.items():
            reached = sum(len(state.values) >= size for size in state.looks[:-1])
            if state.stopped is None and reached > state.taken:
                state.taken = reached
                generator = numpy_generator(self._seed, "look", name, reached)
                cluster = clusters(state.patients, state.images)
                state.stopped = self._rule.verdict(np.stack(state.values), cluster, len(state.looks), generator)

    def summary(self, kind: str) -> dict[str, Any]:
        """`kind_available`, `kind_tested` (images), `kind_looks` (planned: K) and `kind_stopped` (why no more)."""
        state = self._kinds[kind]
        return {
            "kind_available": state.looks[-1],
            "kind_tested": len(state.values),
            "kind_looks": len(state.looks),
            "kind_stopped": state.stopped or "all tested",
        }
