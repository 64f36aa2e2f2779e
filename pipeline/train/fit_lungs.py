"""Train the lung segmenter of `models.lungs` on pictures whose lungs are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor

from models.lungs import SIDE, LungNet
from pipeline.errors import InputError, ModelError
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.train.lung_augment import Mask, Picture, augment_lungs

BATCH = 8
PHANTOM_SHARE = 3
"""Phantoms in each batch when there are both phantoms and real pictures."""
STEPS = 2000
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class LungExample:
    """A picture and its lungs, (S, S) each, S at least `models.lungs.SIDE`; the picture float32 in [0, 1]."""

    picture: Picture
    lungs: Mask


def fit_lungs(
    real: Sequence[LungExample],
    phantoms: Sequence[LungExample],
    *,
    start: LungNet | None = None,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress = silent,
) -> LungNet:
    """A trained segmenter in evaluation mode: Dice + cross-entropy, AdamW, one cosine cycle.

    The last step is kept: nothing is chosen by looking at pictures that are kept aside. Same arguments and number of
    threads: same weights.

    Args:
        real: pictures with lungs drawn by people.
        phantoms: generated ones; `PHANTOM_SHARE` of every `BATCH` when both are given.
        start: weights to go on from, at half the learning rate; not modified. None starts afresh.
        steps: batches.
        seed: of initial weights, order and augmentation.
        progress: told about stage "train lungs".

    Raises:
        InputError: there is nothing to learn from.
        ModelError: training diverged.
    """
    if not real and not phantoms:
        raise InputError("There are no pictures to learn lungs from. Give some with masks, or phantoms.")
    model = LungNet(seed=derive_seed(seed, "lung weights")) if start is None else deepcopy(start)
    rate = LEARNING_RATE if start is None else LEARNING_RATE / 2
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.05)
    loss_of = DiceCELoss(sigmoid=True)
    for step in range(steps):
        pictures, lungs = _batch(real, phantoms, seed, step)
        loss = loss_of(model(pictures), lungs)
        if not math.isfinite(loss.item()):
            raise ModelError(f"The lung segmenter diverged in step {step}. Try another seed.")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        progress("train lungs", step + 1, steps)
    return model.eval()


def _batch(real: Sequence[LungExample], phantoms: Sequence[LungExample], seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Augmented pictures and masks of one step, float32 (`BATCH`, 1, SIDE, SIDE)."""
    made = PHANTOM_SHARE if real and phantoms else BATCH * (not real)
    changed = []
    for slot in range(BATCH):
        rng = numpy_generator(seed, "lung example", step, slot)
        pool = phantoms if slot < made else real
        example = pool[int(rng.integers(len(pool)))]
        changed.append(augment_lungs(example.picture, example.lungs, SIDE, rng))
    pictures, lungs = (np.stack(part)[:, None].astype(np.float32) for part in zip(*changed, strict=True))
    return torch.from_numpy(pictures), torch.from_numpy(lungs)
