"""What speaks for and against a shortcut: marks, saliency, interventions, findings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from flows.console import progress
from flows.request import resolve_device
from flows.tasks.policy import stage
from pipeline.artifacts import read_parquet, write_json, write_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion


@stage("detect marks")
def detect(dataset: Path, run: Path, workers: int) -> None:
    """Write regions.parquet: printed characters and markers of every image."""
    from pipeline.flag import detect_dataset

    detect_dataset(DatasetVersion(dataset), run / "regions.parquet", workers=workers, progress=progress())


@stage("explain", tags=("gpu",))
def explain(dataset: Path, bundle: Path, config: AuditConfig, device: str, run: Path) -> None:
    """Write saliency/: maps of a sample of test images, for the class predicted on each."""
    from pipeline.explain import choose_rows, explain_dataset
    from pipeline.train import load_classifier

    data = DatasetVersion(dataset)
    model, spec = load_classifier(bundle)
    predictions = read_parquet(run / "predictions.parquet")
    table = predictions.set_index("image_id")[[f"p_{name}" for name in spec.classes]]
    probabilities = table.loc[data.images["image_id"].to_list()].to_numpy(dtype=np.float32)
    rows = choose_rows(data, probabilities[data.rows("test")], images=config.explain.images, seed=config.seed)
    explain_dataset(
        model.to(resolve_device(device)),
        spec,
        data,
        rows,
        probabilities[rows].argmax(axis=1),
        config.explain,
        seed=config.seed,
        out_dir=run,
        progress=progress(),
    )


@stage("weigh evidence")
def weigh(dataset: Path, config: AuditConfig, run: Path) -> None:
    """Write evidence.parquet (saliency in regions), association.parquet (marks by class) and leakage.json."""
    from pipeline.flag import label_leakage, mark_association, region_evidence

    data, regions = DatasetVersion(dataset), read_parquet(run / "regions.parquet")
    write_parquet(run / "association.parquet", mark_association(data, regions))
    write_json(run / "leakage.json", label_leakage(data, config.seed))
    evidence = region_evidence(data, regions, run / "saliency", config.explain.methods)
    write_parquet(run / "evidence.parquet", evidence)


@stage("test causally", tags=("gpu",))
def intervene(dataset: Path, bundle: Path, config: AuditConfig, device: str, run: Path) -> None:
    """Write effects.parquet: what removing marks does, against removing matched places without a mark."""
    from pipeline.flag import choose_rows
    from pipeline.flag import intervene as remove
    from pipeline.train import load_classifier

    data, regions = DatasetVersion(dataset), read_parquet(run / "regions.parquet")
    model, spec = load_classifier(bundle)
    effects = remove(
        model.to(resolve_device(device)),
        spec,
        data,
        regions,
        choose_rows(data, regions, config.flag, config.seed),
        config.flag,
        seed=config.seed,
        classes=data.meta.classes,
        out=run / "effects.partial",
        progress=progress(),
    )
    write_parquet(run / "effects.parquet", effects)
    shutil.rmtree(run / "effects.partial", ignore_errors=True)


@stage("conclude")
def conclude(dataset: Path, config: AuditConfig, run: Path) -> None:
    """Write findings.json."""
    from pipeline.flag import build_findings

    association, weighed, effects = (
        read_parquet(run / f"{name}.parquet") for name in ("association", "evidence", "effects")
    )
    findings = build_findings(DatasetVersion(dataset), association, weighed, effects, config.flag, config.seed)
    write_json(run / "findings.json", {"findings": findings})
