"""The profile of a table: what gives the label away, and what its splits tear apart, before any model and any pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset import DatasetVersion
from pipeline.flag.profile import verdict as words
from pipeline.flag.profile.columns import level_table
from pipeline.flag.profile.estimates import Estimates, Study
from pipeline.flag.profile.features import feature
from pipeline.flag.profile.roles import Roles, compared, guess_roles
from pipeline.flag.profile.splits import repeated_rows, split_checks


@dataclass(frozen=True)
class Profile:
    """What `profile_table` found.

    Attributes:
        roles: of the columns.
        rows: read = repeated + unlabelled + used.
        patients: known, rows_without, and the number of the smaller of the positive class and the rest.
        classes: images of each class that is compared.
        associations: see `columns.ASSOCIATION_COLUMNS`; the strongest first.
        levels: see `columns.LEVEL_COLUMNS`.
        classifiers: one dict a family of columns: family, columns, auroc ({mean, low, high, n} or None), p, q, meaning.
        splits: see `splits.split_checks`.
        records: ready to become findings, the strongest first.
        verdict: in sentences.
    """

    roles: Roles
    rows: dict[str, int]
    patients: dict[str, int]
    classes: dict[str, int]
    associations: pd.DataFrame
    levels: pd.DataFrame
    classifiers: list[dict[str, Any]]
    splits: list[dict[str, Any]]
    records: list[dict[str, Any]]
    verdict: list[str]

    def checks(self) -> list[dict[str, Any]]:
        """One line a check for a report: check, value ({mean, low, high, n} or None), meaning."""
        source = [record for record in self.records if record["kind"] == "table/source"]
        lines = [
            {
                "check": "label and source: Cramér's V",
                "value": source[0]["association"]["cramers_v"] if source else None,
                "meaning": "0: every source holds the same mix of classes; 1: the source decides the label, so a "
                "classifier that recognises the source looks accurate."
                if source
                else "Not computed: there is only one source, or none is known.",
            }
        ]
        return lines + [
            {"check": f"label from {row['family']}", "value": row["auroc"], "meaning": row["meaning"]}
            for row in self.classifiers
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values; unknown is null."""
        return {
            "roles": asdict(self.roles),
            "rows": self.rows,
            "patients": self.patients,
            "classes": self.classes,
            "thresholds": {
                **{"gives away": words.GIVES_AWAY, "tells much": words.TELLS_MUCH},
                **{"tells something": words.TELLS_SOMETHING, "fdr": words.FDR, "few patients": words.FEW_PATIENTS},
            },
            "verdict": self.verdict,
            "associations": plain_rows(self.associations),
            "classifiers": self.classifiers,
            "splits": self.splits,
            "records": self.records,
            "checks": self.checks(),
        }


def profile_dataset(dataset: DatasetVersion, seed: int) -> Profile:
    """The profile of a dataset version's images table, all splits together."""
    images = dataset.images
    roles = guess_roles(images, label="label", positive=dataset.meta.positive, group="patient_id", split="split")
    return profile_table(images, roles, seed, names=images["image_id"].astype(str).tolist(), pseudonyms=True)


def profile_table(
    table: pd.DataFrame, roles: Roles, seed: int, *, names: Sequence[str] | None = None, pseudonyms: bool = False
) -> Profile:
    """Profile a table with one row an image. The order of its rows does not matter.

    Args:
        table: cells of any type; unknown is null.
        roles: of its columns.
        seed: of folds, bootstrap and permutations.
        names: what to call each row in examples; by number, from 1, when None.
        pseudonyms: whether patient ids may be shown.

    Raises:
        EmptyResultError: fewer than two classes are left among the labelled rows.
    """
    known = table[roles.label].notna()
    repeated = repeated_rows(table)
    used = _sorted(table[known & ~repeated])
    roles = _without_constant(roles, used)
    study = Study.of(used, roles)
    features = [feature(used[name], family) for name, family in roles.features.items()]
    estimates = Estimates(features, study, seed)

    associations, classifiers = estimates.associations(), estimates.classifiers(roles.positive)
    levels = level_table(features, study.positive)
    told = table.assign(**{roles.label: compared(table[roles.label], roles.positive)})
    splits = split_checks(told, roles, names or [f"row {n}" for n in range(1, len(table) + 1)], pseudonyms=pseudonyms)
    smaller = study.patients()
    records = words.ranked(
        [
            words.column_record(
                row, levels[levels["column"] == row["column"]], roles.positive, smaller, list(study.classes)
            )
            for row in plain_rows(associations)
        ]
        + [
            words.family_record(row, roles.positive, smaller)
            for row in classifiers
            if row["auroc"] and len(row["columns"]) > 1
        ]
    )
    return Profile(
        roles=roles,
        rows={
            "read": len(table),
            "repeated": int(repeated.sum()),
            "unlabelled": int((~known & ~repeated).sum()),
            "used": len(used),
        },
        patients=_patients(used, roles) | {"smaller_class": smaller},
        classes=study.classes,
        associations=_ranked(associations),
        levels=levels,
        classifiers=classifiers,
        splits=splits,
        records=records,
        verdict=words.verdict(records, splits, roles.positive),
    )


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain values, null as None."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]


def _without_constant(roles: Roles, used: pd.DataFrame) -> Roles:
    constant = [name for name in roles.features if used[name].nunique(dropna=False) < 2]
    features = {name: family for name, family in roles.features.items() if name not in constant}
    return replace(
        roles, features=features, left_out=roles.left_out | dict.fromkeys(constant, "the same in every labelled row")
    )


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of a hash of their content: what follows is drawn by row number."""
    keys = pd.util.hash_pandas_object(table.astype("string"), index=False).to_numpy()
    return table.iloc[np.argsort(keys, kind="stable")].reset_index(drop=True)


def _patients(used: pd.DataFrame, roles: Roles) -> dict[str, int]:
    ids = used[roles.group] if roles.group else pd.Series(dtype="string")
    return {"known": int(ids.nunique()), "rows_without": len(used) - int(ids.notna().sum())}


def _ranked(associations: pd.DataFrame) -> pd.DataFrame:
    return associations.sort_values(["auroc_low", "cramers_v"], ascending=False, kind="stable", ignore_index=True)
