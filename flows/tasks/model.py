"""Classifiers: train or load one, and ask it about images."""

from __future__ import annotations

from pathlib import Path

from flows.console import progress
from flows.request import resolve_device
from flows.tasks.policy import stage
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash, sha256_file, write_parquet
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import ModelError


def bundle_path(workspace: Workspace, dataset: Path, config: TrainConfig, seed: int) -> Path:
    """Where the classifier trained on this dataset version, with these settings and this seed, belongs."""
    key = [dataset.name, config.model_dump(), seed, code_version("pipeline.train", "models")]
    return workspace.models / f"{dataset.parent.name}-{config.network}" / content_hash(key)


@stage("train", tags=("gpu",))
def train(workspace: Workspace, dataset: Path, config: TrainConfig, seed: int, device: str, label: str) -> Path:
    """Train a classifier, or resume it; returns its bundle."""
    from pipeline.train import fit

    def report(stage: str, done: int, total: int) -> None:
        progress()(label, done, total)

    target = bundle_path(workspace, dataset, config, seed)
    return fit(
        DatasetVersion(dataset),
        config,
        seed,
        target,
        device=resolve_device(device),
        progress=report,
        cache=workspace.cache / "resized",
    )


@stage("load model")
def load(bundle: Path, dataset: Path) -> None:
    """Check that a user's classifier answers as it claims on images of the data set.

    Raises:
        ModelError: it does not, or it knows other classes than the data set.
    """
    from models import check_classifier
    from pipeline.train import load_classifier, model_errors

    model, spec = load_classifier(bundle)
    data = DatasetVersion(dataset)
    if set(spec.classes) != set(data.meta.classes):
        raise ModelError(
            f"{bundle} knows the classes {', '.join(spec.classes)}; the data set has {', '.join(data.meta.classes)}. "
            "Map the manifest's labels to the model's classes."
        )
    with model_errors():
        check_classifier(model, spec, data.tensor(data.rows("test")[:16]))


def adopted_path(workspace: Workspace, weights: Path, spec: Path) -> Path:
    """Where the bundle made of a state dict and its spec belongs."""
    key = [sha256_file(weights), sha256_file(spec), code_version("models")]
    return workspace.models / "adopted" / content_hash(key)


@stage("adopt state dict")
def adopt(workspace: Workspace, weights: Path, spec_path: Path) -> Path:
    """Make a bundle of a state dict and the JSON of its `ModelSpec`; returns its folder."""
    from models import BundleCard, save_bundle
    from pipeline import __version__
    from pipeline.artifacts import atomic_folder
    from pipeline.train import load_classifier, model_errors

    target = adopted_path(workspace, weights, spec_path)
    model, spec = load_classifier(weights, spec_path)
    card = BundleCard(
        version=__version__,
        task="chest x-ray classification",
        description=f"Classifier adopted from {weights.name} (sha256 {sha256_file(weights)}).",
        intended_use="To be audited for shortcuts. Research and quality assurance; no diagnosis.",
        data_source="unknown",
        readme=f"# Adopted classifier\n\nState dict `{weights.name}` with `{spec_path.name}`; trained elsewhere.\n",
    )
    with atomic_folder(target) as folder, model_errors():
        save_bundle(folder, model, spec, card)
    return target


@stage("predict", tags=("gpu",))
def predict(dataset: Path, bundle: Path, device: str, out: Path) -> None:
    """Write the class probabilities of every image to `out` (image_id, split, label, p_<class>)."""
    from pipeline.inference import predict as ask
    from pipeline.train import load_classifier

    model, spec = load_classifier(bundle)
    data = DatasetVersion(dataset)
    rows = data.rows("train", "val", "test", "other_source")
    probabilities = ask(model.to(resolve_device(device)), spec, data, rows, progress=progress())
    table = data.images.iloc[rows][["image_id", "split", "label"]].reset_index(drop=True)
    for column, name in enumerate(spec.classes):
        table[f"p_{name}"] = probabilities[:, column]
    write_parquet(out, table)
