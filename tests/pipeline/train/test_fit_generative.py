"""The generative model learns what pictures look like, with the same bytes each time, interrupted or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from models.generative import GenerativeSpec, load_generative
from pipeline.artifacts import sha256_tree
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, ModelError
from pipeline.train.fit_generative import fit_generative

MakeDataset: TypeAlias = Any
TINY = GenerativeSpec(latent=8, width=2)


@pytest.mark.slow
def test_learns_the_pictures_of_the_training_split(make_dataset: MakeDataset, tmp_path: Path) -> None:
    """Noise around grey 110 of 255 with a disc in one quadrant; an untrained generator gives grey 127 everywhere."""
    dataset = make_dataset({"train": (0, 256), "val": (2, 2)})
    model = load_generative(fit_generative(dataset, GenerativeSpec(width=4), 40, 0, tmp_path / "g"))
    latents = 2 * torch.rand(64, 100, generator=torch.Generator().manual_seed(1)) - 1
    with torch.no_grad():
        mean = (model(latents).mean(dim=(0, 1)) + 1) / 2
    real = dataset.tensor(dataset.rows("train")).mean(dim=(0, 1))
    real = torch.nn.functional.interpolate(real[None, None], (64, 64), mode="bilinear", antialias=True)[0, 0]
    assert float((mean - real).abs().mean()) < 0.05
    assert np.corrcoef(mean.flatten(), real.flatten())[0, 1] > 0.7


def test_same_request_same_bytes_interrupted_or_not(discs: DatasetVersion, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("generative model", 2):
            raise KeyboardInterrupt

    state = torch.random.get_rng_state()
    whole = fit_generative(discs, TINY, 3, 4, tmp_path / "whole")
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(KeyboardInterrupt):
        fit_generative(discs, TINY, 3, 4, tmp_path / "resumed", progress=interrupt)
    told = []
    resumed = fit_generative(
        discs, TINY, 3, 4, tmp_path / "resumed", progress=lambda stage, done, _: told.append((stage, done))
    )
    assert told == [("generative model", 3)]
    assert sha256_tree(whole) == sha256_tree(resumed)
    assert sha256_tree(whole) != sha256_tree(fit_generative(discs, TINY, 3, 5, tmp_path / "other seed"))
    assert not list(tmp_path.glob("*.partial"))


def test_a_checkpoint_of_another_request_is_not_continued(discs: DatasetVersion, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("generative model", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_generative(discs, TINY, 2, 4, tmp_path / "model", progress=interrupt)
    fit_generative(discs, TINY, 2, 5, tmp_path / "model")
    assert sha256_tree(tmp_path / "model") == sha256_tree(fit_generative(discs, TINY, 2, 5, tmp_path / "fresh"))


def test_what_is_there_is_not_made_again(discs: DatasetVersion, tmp_path: Path) -> None:
    out = fit_generative(discs, TINY, 1, 0, tmp_path / "model")
    history = json.loads((out / "metrics.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == [1]
    before = (out / "generator.pt").stat().st_mtime_ns
    assert fit_generative(discs, TINY, 1, 0, out) == out
    assert (out / "generator.pt").stat().st_mtime_ns == before


def test_one_image_is_too_few(make_dataset: MakeDataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 images in split train"):
        fit_generative(make_dataset({"train": (1, 0), "val": (1, 1)}), TINY, 1, 0, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_divergence_is_an_error(discs: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.train.fit_generative.LEARNING_RATE", float("inf"))
    with pytest.raises(ModelError, match="diverged in epoch"):
        fit_generative(discs, TINY, 3, 0, tmp_path / "model")
