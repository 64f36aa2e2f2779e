"""Classifiers: train or load one, and ask it about images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flows.classifier import Bundled
from flows.cluster import spread
from flows.console import progress
from flows.growing import Known
from flows.request import resolve_device
from flows.steps import Steps
from flows.tasks.grown import complete
from flows.tasks.policy import stage
from flows.workspace import Workspace
from pipeline.artifacts import code_version, content_hash, sha256_file
from pipeline.config import AuditConfig, TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import ModelError
from pipeline.integrity import present


def bundle_path(workspace: Workspace, dataset: Path, config: TrainConfig, seed: int) -> Path:
    """Where the classifier trained on this dataset version, with these settings and this seed, belongs."""
    key = [dataset.name, config.model_dump(), seed, code_version("pipeline.train", "models")]
    return workspace.models / f"{dataset.parent.name}-{config.network}" / content_hash(key)


@dataclass(frozen=True)
class Training:
    """One classifier to train: a part of the work, so that seeds and arms are trained at once where there are workers.

    Attributes:
        workspace: where the bundle goes.
        dataset: folder of the version that is learned from.
        config: settings.
        seed: of this training.
        device: auto, cpu or cuda.
        label: what the progress line says.
    """

    workspace: Workspace
    dataset: Path
    config: TrainConfig
    seed: int
    device: str
    label: str
    network: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[Path, ...]:
        """The data set."""
        return (self.dataset,)

    @property
    def target(self) -> Path:
        """The bundle."""
        return bundle_path(self.workspace, self.dataset, self.config, self.seed)

    def do(self) -> None:
        """Train, or go on with an interrupted training."""
        from pipeline.train import fit

        fit(
            DatasetVersion(self.dataset),
            self.config,
            self.seed,
            self.target,
            device=resolve_device(self.device),
            progress=lambda _, done, total: progress()(self.label, done, total),
            cache=self.workspace.cache / "resized",
        )


@stage("train", tags=("gpu",))
def train(trainings: Sequence[Training]) -> None:
    """Train classifiers, or resume them."""
    told = progress()
    for number, _ in enumerate(spread()(trainings), start=1):
        if len(trainings) > 1:  # each has a line of its own, as far as it is trained in this process
            told("classifiers trained", number, len(trainings))


def trained(trainings: Sequence[Training], steps: Steps) -> list[Path]:
    """The bundles of `trainings`, in their order; those that are not there are trained."""
    wanted = {each.target: each for each in trainings}
    missing = [each for target, each in wanted.items() if not present(target)]
    if missing:
        train(missing)
        steps.worked += len(missing)
    # An attempt that was killed after it had made a bundle, and before it had swept up.
    return [steps.made(each.target, partial(_swept, each)) for each in trainings]


def _swept(training: Training) -> Path:
    training.do()
    return training.target


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
    from pipeline.integrity import seal
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
        seal(folder)
    return target


@stage("predict", tags=("gpu",))
def predict(
    dataset: Path, bundle: Path, config: AuditConfig, device: str, run: Path, donor: Known | None = None
) -> None:
    """Write predictions.parquet: class probabilities of every image (image_id, split, label, p_<class>).

    Those that `donor` has are taken over.
    """
    from pipeline.inference import predict_dataset

    data = DatasetVersion(dataset)
    rows = data.rows("train", "val", "test", "other_source")

    def work(folder: Path, left: NDArray[np.int64]) -> None:
        out = folder / "predictions.parquet"
        predict_dataset(Bundled(bundle, device), data, left, out, spread=spread(), progress=progress())

    complete("predictions.parquet", data, rows, config, run, donor, work)
