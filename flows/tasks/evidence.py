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

    Half of the budget goes to an even sample; the other half only to images with marks whose erase test ended without a
    clear verdict, so that maps are not computed where cheaper evidence has settled the matter.
    """
    from pipeline.explain import choose_rows, explain_dataset
    from pipeline.flag import undecided_rows
    from pipeline.train import load_classifier

    data = DatasetVersion(dataset)
    model, spec = load_classifier(bundle)
    predictions = read_parquet(run / "predictions.parquet")
    table = predictions.set_index("image_id")[[f"p_{name}" for name in spec.classes]]
    probabilities = table.loc[data.images["image_id"].to_list()].to_numpy(dtype=np.float32)
    test, budget = probabilities[data.rows("test")], config.explain.images
    undecided = undecided_rows(data, read_parquet(run / "regions.parquet"), read_parquet(run / "effects.parquet"))
    even = choose_rows(data, test, images=(budget + 1) // 2, seed=config.seed)
    more = np.setdiff1d(undecided, even)
    extra = choose_rows(data, test, images=budget // 2, seed=config.seed, among=more)
    rows = np.union1d(even, extra)
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
