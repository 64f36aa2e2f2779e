"""Train the inpainter of `models.inpainters` on the clean parts of a data set."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.inpainters import SHIPPED, Ground, Inpainter, load_inpainter, save_inpainter
from models.weights import saved_bytes
from pipeline.artifacts import atomic_file, atomic_folder, code_version, content_hash, sha256_artifact, write_json
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, ModelError
from pipeline.integrity import present, seal
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed, torch_generator
from pipeline.train.checkpoint import read_checkpoint
from pipeline.train.inpainter_card import inpainter_card
from pipeline.train.inpainter_examples import CleanWindows
from pipeline.train.inpainter_losses import Judge, composite, judge_loss, matching_loss, structure_loss, texture_loss
from pipeline.train.load import model_errors

SPLITS = ("train", "val")
LEARNING_RATE = 1e-3
"""Of a fresh network and of the judge; half of it for a network that was trained before."""
BETAS = (0.5, 0.99)
WARM_UP = 50
"""Steps over which the learning rate rises; it then falls to 0 along a cosine."""
WEIGHTS = {"structure": 1.0, "texture": 1.5, "matching": 1.0, "adversarial": 0.4}
"""Of the painter's losses."""
DECAY = 0.995
"""Of the moving average of the painter's weights, which is what is kept."""
CHECKPOINT = 100
"""Steps between two checkpoints, and over which the losses in metrics.json are averaged."""


def fit_inpainter(
    dataset: DatasetVersion,
    regions: pd.DataFrame,
    steps: int,
    seed: int,
    out: Path,
    *,
    start: Path | None = None,
    fresh: bool = False,
    sources: Sequence[str] = (),
    device: str | torch.device = "cpu",
    progress: Progress = silent,
) -> Path:
    """Train on windows of splits train and val that meet no region; all classes alike, labels are not read.

    Same arguments, machine and number of threads: same bytes, interrupted or not. An interrupted training continues
    after its last checkpoint, from ``<out>.partial/``.

    Args:
        dataset: what is learned from.
        regions: marks, which are neither learned nor painted (image_id, kind, x0, y0, x1, y1 in original pixels).
        steps: batches.
        seed: of initial weights, windows, holes and noise.
        out: folder to write; returned as it is when it exists.
        start: bundle of the inpainter to go on from; None is the shipped one.
        fresh: start from an untrained network instead.
        sources: learn from images of these sources alone; empty for all.
        device: cpu or cuda.
        progress: told about stage "inpainter".

    Returns:
        `out`: what `models.inpainters.save_inpainter` writes, and metrics.json with the losses.

    Raises:
        InputError: there is nothing to learn from.
        ModelError: `start` is no inpainter, or training diverged.
        StorageError: the disk is full or not ours to write.
    """
    if present(out):
        return out
    rows = _rows(dataset, sources)
    windows = CleanWindows(dataset, regions, rows, seed)
    with model_errors():
        model = Inpainter(seed=derive_seed(seed, "inpainter weights")) if fresh else load_inpainter(start)
    origin = "an untrained network" if fresh else "the shipped inpainter" if start is None else start.name
    request = [dataset.meta.name, dataset.meta.version, rows.tolist(), windows.regions, steps, seed]
    request += ["fresh" if fresh else sha256_artifact(start or SHIPPED), code_version("pipeline.train", "models")]
    with atomic_folder(out, resume=True) as folder:
        scratch = folder / "training"
        rate = LEARNING_RATE if fresh else LEARNING_RATE / 2
        training = _Training(model.to(device), rate, steps, seed, scratch / f"checkpoint-{content_hash(request)}.pt")
        training.restore()
        for step in range(training.step, steps):
            training.take(windows, device)
            progress("inpainter", step + 1, steps)
        card = inpainter_card(dataset, rows, steps, seed, origin, training.history[-1])
        save_inpainter(folder, training.average.cpu().eval(), card)
        write_json(folder / "metrics.json", {"history": training.history, "images": len(rows), "seed": seed})
        shutil.rmtree(scratch, ignore_errors=True)
        seal(folder)
    return out


def _rows(dataset: DatasetVersion, sources: Sequence[str]) -> NDArray[np.int64]:
    known = set(dataset.images["source"].dropna())
    unknown = sorted(set(sources) - known)
    if unknown:
        raise InputError(f"{dataset.path} has no source {', '.join(unknown)}. It has: {', '.join(sorted(known))}.")
    rows = dataset.rows(*SPLITS)
    return rows[dataset.images["source"].iloc[rows].isin(sources).to_numpy(dtype=bool)] if sources else rows


class _Training:
    """Painter, its moving average, judge, their optimisers and the losses so far."""

    def __init__(self, model: Inpainter, rate: float, steps: int, seed: int, checkpoint: Path) -> None:
        self.model = model.train()
        self.average = deepcopy(model)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._judge = Judge(seed=derive_seed(seed, "judge weights")).to(next(model.parameters()).device)
        self._rates = (rate, LEARNING_RATE)
        self._steps = steps
        self._seed = seed
        self._checkpoint = checkpoint
        self._painter_adam, self._judge_adam = (_adam(network) for network in (self.model, self._judge))
        self._recent: list[dict[str, float]] = []

    def take(self, windows: CleanWindows, device: str | torch.device) -> None:
        """One step: update the judge, then the painter, then its average; now and then a checkpoint."""
        truth, hole = (part.to(device) for part in windows.batch(self.step))
        noise = torch.randn(truth.shape, generator=torch_generator(self._seed, "inpainter noise", self.step)).to(device)
        losses = self._update(truth, hole, noise, windows.levels)
        if not all(map(math.isfinite, losses.values())):
            raise ModelError(f"The inpainter diverged in step {self.step}. Try another seed.")
        self._recent.append(losses)
        self.step += 1
        share = max(1 - DECAY, 10 / (10 + self.step))
        with torch.no_grad():
            for kept, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(now, share)
        if self.step % CHECKPOINT == 0 or self.step == self._steps:
            self._save()

    def restore(self) -> None:
        """Continue where an interrupted attempt at the same request stopped."""
        state = read_checkpoint(self._checkpoint)
        if state is None:
            return
        for name, part in self._parts():
            part.load_state_dict(state[name])
        self.step, self.history = state["step"], state["history"]

    def _update(self, truth: Tensor, hole: Tensor, noise: Tensor, levels: int) -> dict[str, float]:
        self._set_rates()
        ground = Ground.around(truth, hole)
        painted = self.model(truth, hole, noise, ground)
        made = composite(painted, truth, hole, levels)
        (true, _), (fake, _) = (self._judge(seen, hole, ground) for seen in (truth, made.detach()))
        judging = judge_loss(true, fake)
        _descend(self._judge_adam, judging)
        with torch.no_grad():
            _, wanted = self._judge(truth, hole, ground)
        verdict, found = self._judge(made, hole, ground)
        parts = {
            "structure": structure_loss(painted, truth, hole, ground),
            "texture": texture_loss(made, truth, hole),
            "matching": matching_loss(wanted, found),
            "adversarial": -verdict.mean(),
        }
        total = torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()
        _descend(self._painter_adam, total)
        return {"judge": judging.item(), **{name: value.item() for name, value in parts.items()}}

    def _set_rates(self) -> None:
        factor = min(1.0, (self.step + 1) / WARM_UP) * (1 + math.cos(math.pi * self.step / self._steps)) / 2
        for adam, rate in zip((self._painter_adam, self._judge_adam), self._rates, strict=True):
            for group in adam.param_groups:
                group["lr"] = rate * factor

    def _save(self) -> None:
        means = {name: math.fsum(each[name] for each in self._recent) / len(self._recent) for name in self._recent[0]}
        self.history.append({"step": self.step, **means})
        self._recent = []
        state = {name: part.state_dict() for name, part in self._parts()}
        with atomic_file(self._checkpoint) as temporary:
            temporary.write_bytes(saved_bytes({**state, "step": self.step, "history": self.history}))

    def _parts(self) -> list[tuple[str, Any]]:
        networks = [("model", self.model), ("average", self.average), ("judge", self._judge)]
        return [*networks, ("painter_adam", self._painter_adam), ("judge_adam", self._judge_adam)]


def _adam(network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=BETAS)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
