"""Training of the arrow network on pointers drawn over x-rays, against whatever else the x-rays and letters offer.

Run once, from the project's root, with a list of x-rays without arrows (one path a line):
``python -m pipeline.benchmark.arrows.training x-rays.txt pipeline/flag/marks/arrows.npz``.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.benchmark.arrows.drawing import draw_arrow
from pipeline.flag.found import Grey8
from pipeline.flag.marks.arrows import ArrowNet
from pipeline.flag.marks.shapes import SIDE, find_shapes
from pipeline.randomness import derive_seed, numpy_generator, torch_generator
from pipeline.types import Box

SEED = 1
VISITS = 2
"""Films made of each x-ray."""
GRID = 6
"""Marks are drawn in some of `GRID` x `GRID` cells, so that they rarely meet."""
POINTERS, OTHERS = 20_000, 36_000
"""Shapes that are trained on, of each sort, at most; the rest is left out at random."""
EPOCHS = 8
BATCH = 256
RATE = 2e-3
MATCH, STRAY = 0.55, 0.15
"""Overlap with a drawn pointer from which a shape is one, and up to which it is none; what lies between is left out."""
LETTERS = "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789+-*/<>|()aeghmrt"
FACES = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_PLAIN)

Rng = np.random.Generator
Examples = tuple[NDArray[np.float16], NDArray[np.bool_]]


def make_examples(seed: int, paths: list[Path], number: int) -> Examples:
    """Crops (n, 2, side, side) of the shapes of film `number` and whether each is a pointer (n,)."""
    path = paths[number % len(paths)]
    rng = numpy_generator(seed, "arrow film", path.name, number)
    image, arrows = _film(_loaded(path, rng), rng)
    crops, pointers = [], []
    for shape in find_shapes(image):
        overlap = max((Box(*map(float, shape.box)).iou(arrow) for arrow in arrows), default=0.0)
        if overlap >= MATCH or overlap <= STRAY:
            crops.append(shape.crop)
            pointers.append(overlap >= MATCH)
    return np.array(crops, dtype=np.float16), np.array(pointers, dtype=bool)


def _loaded(path: Path, rng: Rng) -> Grey8:
    """The x-ray, cropped and mirrored at random, its longer side at most `SIDE`."""
    image = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    height, width = image.shape
    top, left = (int(rng.integers(0, size // 6 + 1)) for size in (height, width))
    image = image[top : height - height // 8, left : width - width // 8]
    scale = min(1.0, SIDE / max(image.shape))
    image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.ascontiguousarray(image[:, ::-1]) if rng.random() < 0.5 else image


def _film(image: Grey8, rng: Rng) -> tuple[Grey8, list[Box]]:
    """The x-ray with pointers and letters, saved as JPEG and read back."""
    height, width = image.shape
    arrows: list[Box] = []
    for cell in rng.permutation(GRID * GRID)[:20]:
        row, column = divmod(int(cell), GRID)
        centre = ((column + rng.uniform(0.3, 0.7)) * width / GRID, (row + rng.uniform(0.3, 0.7)) * height / GRID)
        if rng.random() < 0.35:
            image = _lettered(image, rng, centre)
            continue
        drawn = draw_arrow(image, rng, centre)
        if drawn is not None:
            image, box = drawn
            arrows.append(box)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), dtype=np.uint8), arrows


def _lettered(image: Grey8, rng: Rng, centre: tuple[float, float]) -> Grey8:
    """One to three letters, mostly upright, sometimes at any angle."""
    text = "".join(rng.choice(list(LETTERS), int(rng.integers(1, 4))))
    plate = np.zeros(image.shape, dtype=np.uint8)
    place = (round(centre[0]), round(centre[1]))
    size, weight = rng.uniform(0.4, 2.0), int(rng.integers(1, 6))
    cv2.putText(plate, text, place, int(rng.choice(FACES)), size, 255, weight, cv2.LINE_AA)
    angle = float(rng.choice([0.0, 0.0, rng.uniform(0, 360)]))
    turned = cv2.warpAffine(plate, cv2.getRotationMatrix2D(centre, angle, 1.0), plate.shape[::-1])
    cover = turned.astype(np.float32) / 255
    ink = 255.0 if rng.random() < 0.7 else 0.0
    return np.asarray(np.rint(image + cover * (ink - image)), dtype=np.uint8)


def train_arrows(examples: list[Examples], seed: int = SEED) -> ArrowNet:
    """A network trained on all shapes; the learning rate rises and falls once (one cycle)."""
    crops = torch.from_numpy(np.concatenate([crop for crop, _ in examples if len(crop)]))
    pointers = torch.from_numpy(np.concatenate([truth for crop, truth in examples if len(crop)])).float()
    crops, pointers = _balanced(crops, pointers, seed)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "arrow weights"))
        network = ArrowNet()
    generator = torch_generator(seed, "arrow batches")
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * (len(pointers) // BATCH))
    loss_of = nn.BCEWithLogitsLoss()
    for _ in range(EPOCHS):
        order = torch.randperm(len(pointers), generator=generator)
        for chosen in torch.split(order[: len(order) // BATCH * BATCH], BATCH):
            loss = loss_of(network(_shaken(crops[chosen].float(), generator)), pointers[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def _balanced(crops: Tensor, pointers: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """At most `POINTERS` pointers and `OTHERS` other shapes."""
    generator = torch_generator(seed, "arrow shapes")
    chosen = []
    for truth, most in ((1, POINTERS), (0, OTHERS)):
        numbers = torch.nonzero(pointers == truth).squeeze(1)
        chosen.append(numbers[torch.randperm(len(numbers), generator=generator)[:most]])
    kept = torch.cat(chosen)
    return crops[kept], pointers[kept]


def _shaken(crops: Tensor, generator: torch.Generator) -> Tensor:
    """One of the eight symmetries of the square for the batch, and a little noise on the grey plane."""
    quarter, mirrored = (int(torch.randint(most, (1,), generator=generator)) for most in (4, 2))
    turned = torch.rot90(crops, quarter, (2, 3))
    turned = turned.flip(3) if mirrored else turned
    noise = 0.06 * torch.randn(turned[:, :1].shape, generator=generator)
    return torch.cat([turned[:, :1] + noise, turned[:, 1:]], dim=1)


def save_arrows(network: ArrowNet, out: Path) -> None:
    """Weights as half-precision arrays, named as in the network's state."""
    arrays = {name: value.numpy().astype(np.float16) for name, value in network.state_dict().items()}
    np.savez_compressed(out, **arrays)


def main(listing: Path, out: Path, workers: int = 2) -> None:
    """Makes the films, trains, and saves the weights as `out`."""
    paths = [Path(line) for line in listing.read_text().splitlines() if line]
    with ProcessPoolExecutor(workers) as pool:
        examples = list(pool.map(partial(make_examples, SEED, paths), range(VISITS * len(paths)), chunksize=8))
    save_arrows(train_arrows(examples), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
