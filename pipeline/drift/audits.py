"""The two audits of a comparison, laid on top of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.statistics import Floats, clusters

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Audit:
    """What an audit knows of its data set and its classifier; all tables as in the run and the dataset version.

    Attributes:
        run: its id.
        classifier: what names the classifier's weights.
        classes: of the data set.
        positive: the class that precision and recall are about.
        images: images.parquet.
        looked_at: rows of the images in which marks were sought, ascending.
        regions: regions.parquet: `region_id`, `image_id`, `kind`, `text`.
        traits: traits.parquet: `image_id` and a column a trait.
        predictions: predictions.parquet: `image_id` and ``p_<class>``.
        findings: of findings.json.
    """

    run: str
    classifier: str
    classes: tuple[str, ...]
    positive: str
    images: pd.DataFrame
    looked_at: Ints
    regions: pd.DataFrame
    traits: pd.DataFrame
    predictions: pd.DataFrame
    findings: Sequence[Mapping[str, Any]]

    @property
    def image_ids(self) -> frozenset[str]:
        """Of all images."""
        return frozenset(self.images["image_id"].astype(str))


@dataclass(frozen=True)
class Stacked:
    """Images of both audits in one table: the earlier audit's first, an image of both twice.

    Attributes:
        images: n rows: `image_id`, `patient_id`, and whatever a comparison needs.
        later: (n,) whether the row is of the later audit.
        weight: (n,) how many images a row stands for: a sample speaks for what it was drawn from.
    """

    images: pd.DataFrame
    later: Bools
    weight: Floats

    @classmethod
    def of(cls, then: pd.DataFrame, now: pd.DataFrame) -> Stacked:
        """Lay `now` on `then`; a column `weight` becomes the weights."""
        table = pd.concat([then, now], ignore_index=True)
        weight = table["weight"].to_numpy(dtype=np.float64) if "weight" in table else np.ones(len(table))
        return cls(table, np.arange(len(table)) >= len(then), weight)

    @cached_property
    def cluster(self) -> Ints:
        """(n,) number of the patient of each row, the same in both audits."""
        return clusters(self.images["patient_id"], self.images["image_id"])

    @cached_property
    def fresh(self) -> Bools:
        """(n,) rows of images that the earlier audit did not have."""
        names = self.images["image_id"].astype(str)
        return np.asarray(self.later & ~names.isin(names[~self.later]).to_numpy(dtype=bool))


def sampled(audit: Audit) -> pd.DataFrame:
    """Images in which marks were sought, each with its `weight`: images of its split, class and source per image seen.

    A balanced sample over-represents small sources; so weighted it speaks for the data set.
    """
    strata = [audit.images[name].astype(object).where(audit.images[name].notna(), "") for name in _STRATA]
    number = pd.Series(audit.images.groupby(strata, sort=False).ngroup().to_numpy(), index=audit.images.index)
    seen = number.iloc[audit.looked_at]
    weight = seen.map(number.value_counts()) / seen.map(seen.value_counts())
    return audit.images.iloc[audit.looked_at].assign(weight=weight)


_STRATA = ("split", "label", "source")
"""As `pipeline.flag.looked_at` draws."""
