"""Training learns, says what it did, gives the same bytes for the same request, and survives being killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score

from models import load_bundle
from pipeline.artifacts import sha256_tree
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, ModelError, StorageError
from pipeline.inference import predict
from pipeline.train import fit


def _metrics(bundle: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((bundle / "metrics.json").read_text())
    return value


def _weights(bundle: Path) -> bytes:
    return (bundle / "models" / "model.pt").read_bytes()


def _interrupt_at(step: int) -> Any:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == step:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def short(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"epochs": 3})


def test_learns_and_reports_the_auroc_that_the_saved_classifier_has(
    discs: DatasetVersion, config: TrainConfig, tmp_path: Path
) -> None:
    state = torch.random.get_rng_state()
    bundle = fit(discs, config, 0, tmp_path / "model", source_note="Drawn for a test.")
    assert torch.equal(torch.random.get_rng_state(), state)
    metrics = _metrics(bundle)
    assert metrics["best"]["val_auroc"] > 0.9
    assert len(metrics["history"]) == 6

    model, spec = load_bundle(bundle)
    assert spec.classes == ("clear", "disc")
    rows = discs.rows("val")
    probabilities = predict(model, spec, discs, rows)
    assert roc_auc_score(discs.labels(rows), probabilities[:, 1]) == pytest.approx(
        metrics["best"]["val_auroc"], abs=0.02
    )

    card = (bundle / "docs" / "README.md").read_text()
    for part in ("Not a medical device", "| train | 24 | 24 |", "Drawn for a test.", "optimistic"):
        assert part in card
    assert not list(tmp_path.glob("*.partial"))


def test_the_best_epoch_has_the_highest_auroc_then_the_lowest_loss(
    discs: DatasetVersion, short: TrainConfig, tmp_path: Path
) -> None:
    metrics = _metrics(fit(discs, short, 0, tmp_path / "model"))
    assert metrics["best"] == max(metrics["history"], key=lambda epoch: (epoch["val_auroc"], -epoch["val_loss"]))


def test_three_classes_of_unequal_size(make_dataset: Any, config: TrainConfig, tmp_path: Path) -> None:
    dataset = make_dataset({"train": (40, 14, 6), "val": (10, 8, 6)}, classes=("clear", "one", "two"))
    bundle = fit(dataset, config, 0, tmp_path / "model")
    model, spec = load_bundle(bundle)
    rows = dataset.rows("val")
    probabilities = predict(model, spec, dataset, rows)
    labels = dataset.labels(rows)
    auroc = _metrics(bundle)["best"]["val_auroc"]
    assert auroc > 0.9
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert auroc == pytest.approx(expected, abs=0.02)
    recall = (probabilities.argmax(1) == labels)[labels == 2].mean()
    assert recall > 0.5  # the rarest class is not given up


def test_same_request_same_bytes_and_another_seed_another_model(
    discs: DatasetVersion, short: TrainConfig, tmp_path: Path
) -> None:
    first, again, other = (fit(discs, short, seed, tmp_path / f"model-{n}") for n, seed in enumerate((0, 0, 1)))
    assert sha256_tree(first) == sha256_tree(again)
    assert _weights(first) != _weights(other)


def test_a_shared_cache_changes_nothing(discs: DatasetVersion, short: TrainConfig, tmp_path: Path) -> None:
    own = fit(discs, short, 0, tmp_path / "own")
    for name in ("filled", "used"):
        assert sha256_tree(fit(discs, short, 0, tmp_path / name, cache=tmp_path / "cache")) == sha256_tree(own)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_what_exists_is_returned_without_work(discs: DatasetVersion, short: TrainConfig, tmp_path: Path) -> None:
    bundle = fit(discs, short, 0, tmp_path / "model")
    assert fit(discs, short, 0, tmp_path / "model", progress=_interrupt_at(1)) == bundle


# The second network draws random numbers while it trains.
@pytest.mark.parametrize("network", ["small", pytest.param("efficientnet-b0", marks=pytest.mark.slow)])
def test_interrupted_twice_ends_with_the_same_bytes(
    network: str, discs: DatasetVersion, short: TrainConfig, tmp_path: Path
) -> None:
    config = short.model_copy(update={"network": network})
    whole = fit(discs, config, 0, tmp_path / "whole")
    steps = 6
    for step in (steps + 2, 2 * steps + 1):
        with pytest.raises(KeyboardInterrupt):
            fit(discs, config, 0, tmp_path / "stopped", progress=_interrupt_at(step))
        assert not (tmp_path / "stopped").exists()
    done: list[int] = []
    fit(discs, config, 0, tmp_path / "stopped", progress=lambda stage, now, total: done.append(now))
    assert done[0] == 2 * steps + 1  # continued in the third epoch
    assert sha256_tree(tmp_path / "stopped") == sha256_tree(whole)
    assert not list(tmp_path.glob("*.partial"))


_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.train import fit

def progress(stage, done, total):
    if stage == "train" and done == 9:
        os.kill(os.getpid(), signal.SIGKILL)

dataset, config, out, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
fit(DatasetVersion(Path(dataset)), TrainConfig.model_validate_json(config), 0, Path(out), progress=progress)
"""


@pytest.mark.slow
def test_killed_with_signal_9_ends_with_the_same_bytes(
    discs: DatasetVersion, short: TrainConfig, tmp_path: Path
) -> None:
    whole = fit(discs, short, 0, tmp_path / "whole")
    arguments = [str(discs.path), short.model_dump_json(), str(tmp_path / "killed"), str(torch.get_num_threads())]
    killed = subprocess.run([sys.executable, "-W", "ignore", "-c", _KILLED, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "killed.training.partial").glob("checkpoint-*.pt"))
    assert sha256_tree(fit(discs, short, 0, tmp_path / "killed")) == sha256_tree(whole)


def test_a_checkpoint_of_another_request_is_not_continued(
    discs: DatasetVersion, short: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(discs, short, 0, tmp_path / "model", progress=_interrupt_at(8))
    done: list[int] = []
    fit(discs, short, 1, tmp_path / "model", progress=lambda stage, now, total: done.append(now))
    assert done[0] == 1


def test_stops_early_and_stays_stopped(make_dataset: Any, config: TrainConfig, tmp_path: Path) -> None:
    dataset = make_dataset({"train": (8, 8), "val": (2, 2)})
    # Learning this fast, nothing improves for long.
    patient = config.model_copy(update={"epochs": 60, "patience": 2, "learning_rate": 0.3})
    metrics = _metrics(fit(dataset, patient, 0, tmp_path / "model"))
    assert len(metrics["history"]) == metrics["best"]["epoch"] + 2 < 60


@pytest.mark.parametrize("counts", [{"train": (8, 0), "val": (2, 2)}, {"train": (8, 8), "val": (2, 0)}])
def test_a_class_without_images(
    counts: dict[str, tuple[int, int]], make_dataset: Any, config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"No images of disc in (train|val).*Found train: clear 8, disc"):
        fit(make_dataset(counts), config, 0, tmp_path / "model")
    assert not list(tmp_path.glob("model*"))


def test_one_class(make_dataset: Any, config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Only one class"):
        fit(make_dataset({"train": (8,), "val": (2,)}, classes=("clear",)), config, 0, tmp_path / "model")


def test_an_unknown_network(discs: DatasetVersion, config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Did you mean 'resnet18'"):
        fit(discs, config.model_copy(update={"network": "resnet-18"}), 0, tmp_path / "model")


def test_divergence_is_named(discs: DatasetVersion, config: TrainConfig, tmp_path: Path) -> None:
    wild = config.model_copy(update={"learning_rate": 1e30, "mixed_precision": False})
    with pytest.raises(ModelError, match=r"diverged.*Lower train\.learning_rate"):
        fit(discs, wild, 0, tmp_path / "model")


def test_a_place_that_cannot_be_written(discs: DatasetVersion, config: TrainConfig) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        fit(discs, config, 0, Path("/sys/model"))


@pytest.mark.parametrize("module", ["examples", "session"])
def test_a_full_disk(
    module: str, discs: DatasetVersion, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = import_module(f"pipeline.train.{module}")
    monkeypatch.setattr(full, "atomic_file", lambda target: nullcontext(Path("/dev/full")))
    with pytest.raises(StorageError, match="disk is full"):
        fit(discs, config, 0, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_augmentation_and_precision_are_settings_that_matter(
    discs: DatasetVersion, short: TrainConfig, tmp_path: Path
) -> None:
    plain = short.model_copy(update={"augment": False})
    exact = short.model_copy(update={"mixed_precision": False})
    weights = {_weights(fit(discs, c, 0, tmp_path / f"{n}")) for n, c in enumerate((short, plain, exact))}
    assert len(weights) == 3
