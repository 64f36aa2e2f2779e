"""What speaks for and against a shortcut: the stages of `pipeline.flag.audit` and the saliency maps between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flows.console import progress
from flows.request import resolve_device
from flows.tasks.policy import stage
from pipeline.artifacts import read_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion


@stage("explain", tags=("gpu",))
def explain(dataset: Path, bundle: Path, config: AuditConfig, device: str, run: Path) -> None:
    """Write saliency/: maps of a sample of test images, for the class predicted on each.

    Undecided are images with marks whose erase test ended without a clear verdict; see `explained_rows`.
    """
    from pipeline.explain import explain_dataset, explained_rows
    from pipeline.flag import undecided_rows
    from pipeline.train import load_classifier

    data = DatasetVersion(dataset)
    model, spec = load_classifier(bundle)
    predictions = read_parquet(run / "predictions.parquet")
    table = predictions.set_index("image_id")[[f"p_{name}" for name in spec.classes]]
    probabilities = table.loc[data.images["image_id"].to_list()].to_numpy(dtype=np.float32)
    undecided = undecided_rows(data, read_parquet(run / "regions.parquet"), read_parquet(run / "effects.parquet"))
    test = probabilities[data.rows("test")]
    rows = explained_rows(data, test, undecided, images=config.explain.images, seed=config.seed)
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


@stage("gather evidence")
def gather(
    artifact: str, dataset: Path, bundle: Path, config: AuditConfig, device: str, run: Path, workers: int
) -> None:
    """Make one artifact of the audit: the stage of that name."""
    from pipeline.flag import BEFORE_MAPS, WITH_MAPS, Inspection
    from pipeline.flag.stages.inspection import Classifier
    from pipeline.train import load_classifier

    def load() -> Classifier:
        model, spec = load_classifier(bundle)
        return model.to(resolve_device(device)), spec

    inspection = Inspection(DatasetVersion(dataset), run, config, load, workers, progress())
    (chosen,) = (each for each in (*BEFORE_MAPS, *WITH_MAPS) if each.artifact == artifact)
    chosen.work(inspection)
