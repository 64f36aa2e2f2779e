"""Training of the letter network on generated films.

Run once, from the project's root: ``python -m pipeline.benchmark.letters.training pipeline/flag/marks/letters.npz``.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.benchmark.letters.sheets import Sheet, make_sheet
from pipeline.flag.marks.letters import LetterNet
from pipeline.randomness import derive_seed, torch_generator

SEED = 1
SHEETS = 660
EPOCHS = 6
BATCH = 256
RATE = 2e-3
SMOOTHING = 0.03


def train_letters(sheets: list[Sheet], seed: int = SEED) -> LetterNet:
    """A network trained on all candidates of `sheets`; the learning rate rises and falls once (one cycle)."""
    crops = torch.from_numpy(np.concatenate([sheet.crops for sheet in sheets]))
    classes = torch.from_numpy(np.concatenate([sheet.classes for sheet in sheets]))
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "letter weights"))
        network = LetterNet()
    generator = torch_generator(seed, "letter batches")
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    steps = EPOCHS * (len(classes) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    for _ in range(EPOCHS):
        order = torch.randperm(len(classes), generator=generator)
        for chosen in order[: len(order) // BATCH * BATCH].view(-1, BATCH):
            loss = loss_of(network(_shaken(crops[chosen].float(), generator)), classes[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def _shaken(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Ground and contrast of the grey plane vary a little; its strokes were measured, never exactly."""
    spread = torch.rand(len(crops), 2, 1, 1, generator=generator)
    grey = crops[:, :1] * (0.8 + 0.4 * spread[:, :1]) + 0.3 * (spread[:, 1:] - 0.5)
    noise = 0.06 * torch.randn(grey.shape, generator=generator)
    return torch.cat([(grey + noise).clamp(-1, 2), crops[:, 1:]], dim=1)


def save_letters(network: LetterNet, out: Path) -> None:
    """Weights as half-precision arrays, named as in the network's state."""
    arrays = {name: value.numpy().astype(np.float16) for name, value in network.state_dict().items()}
    np.savez_compressed(out, **arrays)


def main(out: Path, workers: int = 2) -> None:
    """Generate the films, train, write the weights to `out`."""
    with ProcessPoolExecutor(workers) as pool:
        sheets = list(pool.map(partial(make_sheet, SEED), range(SHEETS)))
    save_letters(train_letters(sheets), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
