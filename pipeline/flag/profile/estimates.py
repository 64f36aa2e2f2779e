"""Statistics of all columns of a table at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from pipeline.errors import EmptyResultError
from pipeline.flag.profile.aliases import Family
from pipeline.flag.profile.association import wilson
from pipeline.flag.profile.columns import Jobs, association_row, association_table, column_jobs
from pipeline.flag.profile.contingency import entropy
from pipeline.flag.profile.features import Feature
from pipeline.flag.profile.leakage import counted_auroc, patient_folds, score_by_columns
from pipeline.flag.profile.resampling import Counted, Ints, bootstrap, interval, p_value, permuted
from pipeline.flag.profile.roles import Roles, class_names, compared
from pipeline.flag.profile.verdict import FAMILY_WORDS
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters

FAMILIES: Final[tuple[Family, ...]] = ("source", "container", "metadata")


@dataclass(frozen=True)
class Study:
    """Labels and patients of the rows that are used.

    Attributes:
        labels: number of the class of each row, (n,).
        classes: rows of each class, in the order of the numbers.
        positive: (n,).
        cluster: number of the patient, (n,).
    """

    labels: Ints
    classes: dict[str, int]
    positive: NDArray[np.bool_]
    cluster: Ints

    @classmethod
    def of(cls, used: pd.DataFrame, roles: Roles) -> Study:
        """From rows with a label.

        Raises:
            EmptyResultError: they are all of the positive class, or none is.
        """
        cells = compared(used[roles.label], roles.positive)
        positive = (cells == roles.positive).to_numpy(dtype=bool)
        if not positive.any() or positive.all():
            found = ", ".join(class_names(cells)) or "none"
            raise EmptyResultError(
                f"Two classes are needed, {roles.positive} and others; the {len(used):,} labelled rows of column "
                f"{roles.label!r} hold: {found}. Give another --label or --positive."
            )
        names = class_names(cells)
        labels = pd.Categorical(cells, categories=names).codes.astype(np.int64)
        counts = np.bincount(labels, minlength=len(names)).tolist()
        patients = used[roles.group] if roles.group else [None] * len(used)
        return cls(labels, dict(zip(names, counts, strict=True)), positive, clusters(patients, range(len(used))))

    def patients(self) -> int:
        """Patients with an image of the positive class, or with another one: the fewer of the two."""
        return min(len(np.unique(self.cluster[part])) for part in (self.positive, ~self.positive))


class Estimates:
    """All statistics with their intervals and p-values: one bootstrap and one permutation serve them all."""

    def __init__(self, features: Sequence[Feature], study: Study, seed: int) -> None:
        fold = patient_folds(study.cluster, study.positive, numpy_generator(seed, "profile-folds"))
        jobs = {
            each.name: column_jobs(each, study.labels, len(study.classes), study.positive, fold) for each in features
        }
        groups = {family: [each for each in features if each.family == family] for family in FAMILIES}
        sets = {family: _set_job(part, jobs, study, fold, seed) for family, part in groups.items()}
        self._jobs, self._sets, self._study, self._features, self._groups = jobs, sets, study, features, groups
        counted = {(name, what): job for name, part in jobs.items() for what, job in part.items()}
        counted |= {("", family): job for family, job in sets.items() if job is not None}
        drawn = bootstrap(list(counted.values()), study.cluster, seed)
        self._intervals = {key: self._interval(key[1], values) for key, values in zip(counted, drawn, strict=True)}
        tested = {key: job for key, job in counted.items() if key[0] == "" or key[1] == "cramers_v"}
        null = permuted(list(tested.values()), study.cluster, seed)
        self._null = dict(zip(tested, null, strict=True))

    def associations(self) -> pd.DataFrame:
        """See `columns.ASSOCIATION_COLUMNS`."""
        known = entropy(np.bincount(self._study.labels).astype(np.float64))
        rows = []
        for each in self._features:
            jobs = self._jobs[each.name]
            rows.append(association_row(each, jobs, {what: self._intervals[each.name, what] for what in jobs}, known))
        null = [self._null[each.name, "cramers_v"] for each in self._features]
        p = np.array([p_value(row["cramers_v"], draws) for row, draws in zip(rows, null, strict=True)])
        return association_table(rows, p, np.array([np.nanmean(draws) for draws in null]))

    def classifiers(self, positive: str) -> list[dict[str, Any]]:
        """How well the columns of each family tell the class together; see `Profile.classifiers`."""
        rows = [self._classifier(family, positive) for family in FAMILIES]
        tested = [row for row in rows if row["p"] is not None]
        q = stats.false_discovery_control([row["p"] for row in tested]) if tested else []
        for row, value in zip(tested, q, strict=True):
            row["q"] = float(value)
        return rows

    def _classifier(self, family: Family, positive: str) -> dict[str, Any]:
        columns, job = [each.name for each in self._groups[family]], self._sets[family]
        row: dict[str, Any] = {"family": family, "columns": columns, "auroc": None, "p": None, "q": None}
        if job is None:
            few = f"fewer than two patients are {positive}, or fewer than two are not"
            none = "no such column is known, or it is the same in every row"
            return row | {"meaning": f"Not computed: {few if columns else none}."}
        low, high = self._intervals["", family]
        return row | {
            "auroc": {"mean": job.value(), "low": low, "high": high, "n": len(self._study.labels)},
            "p": p_value(job.value(), self._null["", family]),
            "meaning": f"Cross-validated AUROC of telling {positive} from the rest by {FAMILY_WORDS[family]} alone "
            f"({', '.join(columns)}); 0.5 is chance.",
        }

    def _interval(self, what: str, drawn: Floats) -> tuple[float | None, float | None]:
        low, high = interval(drawn)
        if low == high == 1.0 and what not in ("cramers_v", "mutual_information"):
            # Complete separation: no resample can break it, the next patient may.
            low = wilson(self._study.patients(), self._study.patients())[0]
        return low, high


def _set_job(
    part: Sequence[Feature], jobs: Mapping[str, Jobs], study: Study, fold: Ints | None, seed: int
) -> Counted | None:
    """AUROC of several columns together; None without columns or folds."""
    if fold is None or not part:
        return None
    if len(part) == 1:
        return jobs[part[0].name]["auroc"]
    return counted_auroc(score_by_columns(part, study.positive, fold, seed), study.positive, fold)
