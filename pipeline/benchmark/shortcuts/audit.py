"""The audit of one trial, exactly as a user's: it sees pictures, labels and the classifier, never what was planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from models.spec import ModelSpec
from pipeline.artifacts import write_json
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.explain import choose_rows, explain_dataset
from pipeline.flag import BEFORE_MAPS, WITH_MAPS, Inspection, Stage
from pipeline.inference import Held, predict

_LEFT_OUT: dict[str, dict[str, Any] | None] = {
    "regions.parquet": None,
    "lungs": None,
    "lung_shares.json": None,
    "features.json": None,
    "subgroups.parquet": None,
    "slices.json": None,
    "profile.json": {"records": []},
    "blackout.json": {"records": []},
    "clusters.json": {"classes": {}},
}
"""Artifacts that no trial makes, and what is concluded from in their place. Regions were found on the sheets; the
others can suspect, but never confirm, and cost more than all the rest."""


@dataclass(frozen=True)
class Audited:
    """What an audit left: its findings, and the maps that they rest on."""

    findings: list[dict[str, Any]]
    maps: Path
    """Folder with ``<method>.zarr`` and ``<method>.parquet``."""

    def confirmed(self) -> list[dict[str, Any]]:
        """Findings that the causal test carries, strongest first."""
        return [finding for finding in self.findings if finding["status"] == "confirmed"]


def audited(
    dataset: DatasetVersion, model: nn.Module, spec: ModelSpec, regions: pd.DataFrame, config: AuditConfig, folder: Path
) -> Audited:
    """Every stage of an audit that a confirmed finding may rest on, in `folder`; see `_LEFT_OUT`."""
    inspection = Inspection(dataset, folder, config, Held(model, spec))
    inspection.write("regions", regions)
    for artifact, empty in _LEFT_OUT.items():
        if empty is not None:
            write_json(folder / artifact, empty)
    rows = dataset.rows("train", "val", "test")
    probabilities = predict(model, spec, dataset, rows)
    predictions = dataset.images.iloc[rows][["image_id", "split", "label"]].reset_index(drop=True)
    columns = {f"p_{name}": probabilities[:, number] for number, name in enumerate(spec.classes)}
    inspection.write("predictions", predictions.assign(**columns))
    _run(BEFORE_MAPS, inspection)
    tested = probabilities[(predictions["split"] == "test").to_numpy(dtype=bool)]
    chosen = choose_rows(dataset, tested, images=config.explain.images, seed=config.seed)
    targets = probabilities[rows.searchsorted(chosen)].argmax(axis=1)
    explain_dataset(model, spec, dataset, chosen, targets, config.explain, seed=config.seed, out_dir=folder)
    _run(WITH_MAPS, inspection)
    findings: list[dict[str, Any]] = inspection.records("findings")["findings"]
    return Audited(findings, folder / "saliency")


def _run(stages: Sequence[Stage], inspection: Inspection) -> None:
    for stage in stages:
        if stage.artifact not in _LEFT_OUT:
            stage.work(inspection)
