"""Inpainters: one trained on a data set's own clean regions, for the `learned` fill."""

from __future__ import annotations

from pathlib import Path

from flows.console import progress
from flows.request import resolve_device
from flows.tasks.policy import stage
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash, read_parquet, sha256_file
from pipeline.dataset import DatasetVersion


def inpainter_path(workspace: Workspace, dataset: Path, regions: Path, steps: int, seed: int) -> Path:
    """Where the inpainter trained on this dataset version, away from these regions, belongs."""
    key = [dataset.name, sha256_file(regions), steps, seed, code_version("pipeline.train", "models"), _shipped()]
    return workspace.models / f"{dataset.parent.name}-inpainter" / content_hash(key)


def _shipped() -> str:
    from models.inpainters import SHIPPED

    return sha256_file(SHIPPED)


@stage("train inpainter", tags=("gpu",))
def train_inpainter(workspace: Workspace, dataset: Path, regions: Path, steps: int, seed: int, device: str) -> Path:
    """Go on from the shipped inpainter on a data set's clean windows, or resume it; returns its bundle.

    Args:
        workspace: gets the bundle.
        dataset: folder of the dataset version.
        regions: regions.parquet of one of its runs.
        steps: batches.
        seed: of every random choice.
        device: auto, cpu or cuda.
    """
    from pipeline.train.fit_inpainter import fit_inpainter

    return fit_inpainter(
        DatasetVersion(dataset),
        read_parquet(regions),
        steps,
        seed,
        inpainter_path(workspace, dataset, regions, steps, seed),
        device=resolve_device(device),
        progress=progress(),
    )
