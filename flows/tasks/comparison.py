"""Every arm on every test condition, and what the difference is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from flows.console import progress
from flows.request import resolve_device
from flows.tasks.policy import stage
from pipeline.artifacts import read_parquet, write_json, write_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion

ARMS = ("before", "after", "control")
"""Trained on the raw data, on the cleansed data, and on data where equally large random regions were filled."""


@stage("evaluate", tags=("gpu",))
def evaluate(
    run: Path, dataset: Path, versions: dict[str, Path], bundles: dict[str, list[Path]], seeds: list[int], device: str
) -> None:
    """Write evaluations.parquet: every arm and seed on every test condition, and on its own validation images."""
    from pipeline.report import VALIDATION
    from pipeline.report import evaluate as ask
    from pipeline.train import load_classifier

    raw, cleansed, control, swapped = (
        DatasetVersion(path)
        for path in (dataset, versions["cleansed"], versions["control"], versions["marker_swapped"])
    )
    trained_on = {"before": raw, "after": cleansed, "control": control}
    where = resolve_device(device)
    classifiers = {}
    for arm in ARMS:
        for seed, bundle in zip(seeds, bundles[arm], strict=True):
            model, spec = load_classifier(bundle)
            classifiers[arm, seed] = (model.to(where), spec)
    asked = [
        (classifiers, "raw", raw, raw.rows("test")),
        (classifiers, "cleansed", cleansed, cleansed.rows("test")),
        (classifiers, "marker_swapped", swapped, np.arange(len(swapped))),
        (classifiers, "other_source", raw, raw.rows("other_source")),
    ]
    for arm, data in trained_on.items():
        own = {key: classifier for key, classifier in classifiers.items() if key[0] == arm}
        asked.append((own, VALIDATION, data, data.rows("val")))
    tables = []
    for number, (these, condition, data, rows) in enumerate(asked, start=1):
        if len(rows):
            tables.append(ask(these, data, rows).assign(condition=condition))
        progress()("evaluate", number, len(asked))
    write_parquet(run / "evaluations.parquet", pd.concat(tables, ignore_index=True))


@stage("compare")
def compare(run: Path, dataset: Path, config: AuditConfig) -> None:
    """Write comparison.json from evaluations.parquet."""
    from pipeline.report import compare as weigh

    meta = DatasetVersion(dataset).meta
    evaluations = read_parquet(run / "evaluations.parquet")
    write_json(run / "comparison.json", weigh(evaluations, meta.positive, meta.classes, config.compare, config.seed))
