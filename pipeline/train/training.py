"""Train a classifier on a dataset version and leave it behind as a MONAI bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models import ModelSpec, build, check_classifier, save_bundle
from pipeline.artifacts import atomic_folder, code_version, content_hash, write_json
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.integrity import present, seal
from pipeline.locks import locked
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed
from pipeline.storage import storage_errors
from pipeline.train.card import bundle_card
from pipeline.train.examples import Examples, load_examples
from pipeline.train.load import model_errors
from pipeline.train.record import Record
from pipeline.train.sampling import Draw, draw

_CHECKED = 16
"""Validation images the finished classifier is checked with."""


def fit(
    dataset: DatasetVersion,
    config: TrainConfig,
    seed: int,
    out: Path,
    *,
    device: str | torch.device = "cpu",
    progress: Progress = silent,
    source_note: str = "",
    cache: Path | None = None,
) -> Path:
    """Train on split `train`, keep the epoch that is best on split `val`, write a bundle.

    Cross-entropy, classes balanced as `config.sampling` says, AdamW, warm-up and cosine schedule. Best: highest AUROC
    (one-vs-rest, averaged over the classes), among equals the lowest loss; training stops `config.patience` epochs
    after the best one.
    Same arguments, machine and number of threads: same bytes, interrupted or not. An interrupted training continues
    after its last whole epoch, from `<out>.training.partial/`, which goes when the bundle is written.

    Args:
        dataset: what is learned from.
        config: settings.
        seed: of initial weights, order, augmentation and dropout.
        out: the bundle's folder; returned as it is when it exists.
        device: cpu or cuda.
        progress: told about stages "resize" and "train".
        source_note: put into the model card's section on data.
        cache: folder for resized images that several trainings share (seeds, networks); None keeps them to this one.

    Returns:
        `out`: a bundle as `models.save_bundle` writes it, and metrics.json with the history of epochs.

    Raises:
        InputError: a class has no image in split train or val.
        ModelError: unknown network, training diverged, or the result is not a usable classifier.
        StorageError: the disk is full or not ours to write.
    """
    partial = out.with_name(f"{out.name}.training.partial")
    with locked(out, f"trains {out.parent.name}/{out.name}"):
        if not present(out):
            weights = class_weights(dataset)
            from pipeline.train.session import Session  # takes seconds: MONAI

            with storage_errors(out), model_errors():
                partial.mkdir(parents=True, exist_ok=True)
                size = (config.input_size, config.input_size)
                weights_seed = derive_seed(seed, "weights")
                network, spec = build(config.network, classes=dataset.meta.classes, input_size=size, seed=weights_seed)
                train, val = (
                    load_examples(dataset, split, spec, cache or partial, progress) for split in ("train", "val")
                )
                drawn = draw(dataset, config.sampling)
                session = Session(
                    network,
                    spec,
                    config,
                    seed,
                    train=train,
                    val=val,
                    # Drawing balances the classes already.
                    class_weights=weights if drawn.weights is None else torch.ones_like(weights),
                    sampling=drawn.weights,
                    checkpoint=partial / f"checkpoint-{_request(dataset, config, seed)}.pt",
                    device=torch.device(device),
                    progress=progress,
                )
                record = session.run()
                _use_best_epoch(network, spec, record, val)
                with atomic_folder(out) as folder:
                    save_bundle(folder, network, spec, bundle_card(dataset, config, seed, record, source_note))
                    write_json(folder / "metrics.json", _metrics(dataset, config, seed, record, drawn))
                    seal(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return out


def class_weights(dataset: DatasetVersion) -> Tensor:
    """Weight of each class in the loss, float32 (classes,): inverse to its training images, 1 where classes are equal.

    Raises:
        InputError: there is one class only, or a class has no image in split train or val.
    """
    classes = dataset.meta.classes
    counts = {split: _counts(dataset, split) for split in ("train", "val")}
    empty = [f"{name} in {split}" for split in counts for name in classes if counts[split][name] == 0]
    if empty or len(classes) < 2:
        found = "; ".join(f"{split}: {', '.join(f'{k} {n}' for k, n in counts[split].items())}" for split in counts)
        what = f"No images of {', '.join(empty)}" if empty else "Only one class"
        raise InputError(
            f"{what}: a classifier needs at least two classes, each with images in train and val. Found {found}. "
            "Add images, change the split fractions, or take the class out of the manifest."
        )
    train = torch.tensor(list(counts["train"].values()), dtype=torch.float32)
    return train.sum() / (len(classes) * train)


def _counts(dataset: DatasetVersion, split: str) -> dict[str, int]:
    numbers = np.bincount(dataset.labels(dataset.rows(split)), minlength=len(dataset.meta.classes))
    return dict(zip(dataset.meta.classes, numbers.tolist(), strict=True))


def _request(dataset: DatasetVersion, config: TrainConfig, seed: int) -> str:
    """Names a checkpoint: one of another request or of other code is never continued."""
    meta = dataset.meta
    return content_hash([meta.name, meta.version, config.model_dump(), seed, code_version("pipeline.train", "models")])


def _use_best_epoch(network: nn.Module, spec: ModelSpec, record: Record, val: Examples) -> None:
    network.cpu().eval().load_state_dict(record.weights)
    check_classifier(network, spec, val.images(np.arange(min(_CHECKED, len(val)))))


def _metrics(dataset: DatasetVersion, config: TrainConfig, seed: int, record: Record, drawn: Draw) -> dict[str, Any]:
    return {
        "selected_by": "val_auroc (one-vs-rest, averaged over the classes); among equal epochs the lowest val_loss",
        "best": record.best,
        "history": record.history,
        "images": {split: _counts(dataset, split) for split in ("train", "val")},
        "drawn": drawn.record,
        "seed": seed,
        "dataset": {"name": dataset.meta.name, "version": dataset.meta.version},
        "config": config.model_dump(),
    }
