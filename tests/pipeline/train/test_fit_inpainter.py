"""Training an inpainter: the same bytes each time, interrupted or not, and better than no training."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from models.inpainters import Inpainter, load_inpainter
from pipeline.artifacts import sha256_tree
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, ModelError
from pipeline.train import fit_inpainter as module
from pipeline.train.fit_inpainter import fit_inpainter
from pipeline.train.inpainter_examples import CleanWindows
from pipeline.train.inpainter_losses import texture_loss

NO_MARKS = pd.DataFrame(columns=["image_id", "kind", "x0", "y0", "x1", "y1"])


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.train.inpainter_examples.PIXELS", 4 * 40**2)
    monkeypatch.setattr(module, "CHECKPOINT", 2)


def test_same_request_same_bytes_interrupted_or_not(discs: DatasetVersion, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("inpainter", 5):
            raise KeyboardInterrupt

    state = torch.random.get_rng_state()
    whole = fit_inpainter(discs, NO_MARKS, 6, 4, tmp_path / "whole")
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(KeyboardInterrupt):
        fit_inpainter(discs, NO_MARKS, 6, 4, tmp_path / "resumed", progress=interrupt)
    told = []
    resumed = fit_inpainter(
        discs, NO_MARKS, 6, 4, tmp_path / "resumed", progress=lambda stage, done, _: told.append((stage, done))
    )
    assert told == [("inpainter", 5), ("inpainter", 6)]
    assert sha256_tree(whole) == sha256_tree(resumed)
    assert sha256_tree(whole) != sha256_tree(fit_inpainter(discs, NO_MARKS, 6, 5, tmp_path / "other seed"))
    assert not list(tmp_path.glob("*.partial"))


def test_a_checkpoint_of_another_request_is_not_continued(discs: DatasetVersion, tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_inpainter(discs, NO_MARKS, 4, 0, tmp_path / "model", progress=interrupt)
    marks = NO_MARKS.assign(**{"image_id": [discs.images["image_id"].iloc[0]], "kind": "side"}).fillna(0)
    marks[["x1", "y1"]] = 4
    fit_inpainter(discs, marks, 4, 0, tmp_path / "model")
    assert sha256_tree(tmp_path / "model") == sha256_tree(fit_inpainter(discs, marks, 4, 0, tmp_path / "new"))


def test_goes_on_from_the_shipped_weights_or_from_a_bundle_or_afresh(discs: DatasetVersion, tmp_path: Path) -> None:
    shipped = fit_inpainter(discs, NO_MARKS, 1, 0, tmp_path / "shipped")
    again = fit_inpainter(discs, NO_MARKS, 1, 0, tmp_path / "again", start=shipped)
    fresh = fit_inpainter(discs, NO_MARKS, 1, 0, tmp_path / "fresh", fresh=True)
    weights = [load_inpainter(each).outer.feature.weight for each in (None, shipped, again, fresh)]
    near, further, far = (float((each - weights[0]).detach().abs().mean()) for each in weights[1:])
    assert 0 < near < further < far
    assert "from the shipped inpainter, seed 0" in (shipped / "docs" / "README.md").read_text()
    assert "from an untrained network" in (fresh / "docs" / "README.md").read_text()


def test_what_is_written(discs: DatasetVersion, tmp_path: Path) -> None:
    out = fit_inpainter(discs, NO_MARKS, 3, 0, tmp_path / "model", sources=["made"])
    metrics = json.loads((out / "metrics.json").read_text())
    assert [entry["step"] for entry in metrics["history"]] == [2, 3]
    assert set(metrics["history"][0]) == {"step", "judge", "structure", "texture", "matching", "adversarial"}
    assert metrics["images"] == 72  # train and val, never test
    assert "made (72)" in (out / "docs" / "README.md").read_text()
    before = (out / "metrics.json").stat().st_mtime_ns
    assert fit_inpainter(discs, NO_MARKS, 3, 0, out) == out
    assert (out / "metrics.json").stat().st_mtime_ns == before


def test_bad_input(discs: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"has no source nowhere\. It has: made"):
        fit_inpainter(discs, NO_MARKS, 1, 0, tmp_path / "model", sources=["nowhere"])
    with pytest.raises(ModelError, match="does not describe an inpainter"):
        fit_inpainter(discs, NO_MARKS, 1, 0, tmp_path / "model", start=tmp_path)
    monkeypatch.setattr(module, "LEARNING_RATE", float("inf"))
    with pytest.raises(ModelError, match="diverged in step"):
        fit_inpainter(discs, NO_MARKS, 3, 0, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_learns_the_grain_of_the_pictures(discs: DatasetVersion, tmp_path: Path) -> None:
    """After 60 steps from nothing the texture in holes is half as wrong as an untrained network's."""
    out = fit_inpainter(discs, NO_MARKS, 60, 0, tmp_path / "model", fresh=True)
    truth, hole = CleanWindows(discs, NO_MARKS, discs.rows("test"), 9).batch(0)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    trained, untrained = (model.inpaint(truth, hole, noise) for model in (load_inpainter(out), Inpainter().eval()))
    assert float(texture_loss(trained, truth, hole)) < float(texture_loss(untrained, truth, hole)) / 2
