"""Training images at network size, on disk, and the batches made of them.

A stored image is read and resized once, not every epoch: reading it costs more than a small network's step on it.
Only the batch in hand is in memory; the rest is a memory-mapped file of one byte (uint8 store) or two a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import ModelSpec
from pipeline.artifacts import atomic_file, content_hash
from pipeline.dataset import DatasetVersion, from_unit, to_unit
from pipeline.prefetch import prefetched
from pipeline.progress import Progress
from pipeline.randomness import numpy_generator
from pipeline.train.augment import augment
from pipeline.train.marks import plant_marks
from pipeline.train.sampling import Weights, epoch_order, occurrences

_CHUNK = 32
"""Images resized together: 52 MB at 640 x 640."""

Batch = dict[str, Tensor]
"""What MONAI's engines take: image (B, channels, H, W) ready for the network, label int64 (B,)."""


@dataclass(frozen=True)
class Examples:
    """Images of one split at network size with their labels, in table order."""

    pixels: NDArray[Any]
    """(n, S, S) uint8 or uint16, memory-mapped."""
    labels: Tensor
    """int64 (n,)."""
    image_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image_ids)

    def images(self, rows: NDArray[np.int64]) -> Tensor:
        """float32 (len(rows), 1, S, S) in [0, 1]."""
        return to_unit(self.pixels[rows])


def load_examples(dataset: DatasetVersion, split: str, spec: ModelSpec, cache: Path, progress: Progress) -> Examples:
    """The examples of `split`, resized as `spec.resize` does and kept in `cache` for the next training.

    Args:
        dataset: where images and labels come from.
        split: train or val.
        spec: gives the size.
        cache: folder; files are named after data set, version, split and size, so seeds and models may share it.
        progress: told about each chunk that had to be resized.
    """
    rows = dataset.rows(split)
    key = content_hash([dataset.meta.name, dataset.meta.version, split, spec.input_size, len(rows)])
    path = cache / f"resized-{key}.npy"
    if not path.exists():
        _resize(dataset, rows, spec, path, progress)
    image_ids = tuple(str(name) for name in dataset.images["image_id"].iloc[rows])
    return Examples(np.load(path, mmap_mode="r"), torch.from_numpy(dataset.labels(rows)), image_ids)


def _resize(dataset: DatasetVersion, rows: NDArray[np.int64], spec: ModelSpec, path: Path, progress: Progress) -> None:
    dtype = np.dtype(dataset.meta.dtype)
    shape = (len(rows), *spec.input_size)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    # Written, not memory-mapped: on a full disk a write is an error, a mapped page a SIGBUS that ends the process.
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(rows), _CHUNK):
            block = rows[start : start + _CHUNK]
            stream.write(from_unit(spec.resize(dataset.tensor(block)), dataset.meta.dtype).tobytes())
            progress("resize", start + len(block), len(rows))


class TrainBatches:
    """As many examples an epoch as there are, in a new order, augmented; call `set_epoch` before each epoch.

    Order and augmentation depend on (seed, epoch) alone, so a resumed training sees what an undisturbed one sees.
    """

    def __init__(
        self,
        examples: Examples,
        spec: ModelSpec,
        *,
        batch_size: int,
        seed: int,
        augmented: bool,
        device: torch.device,
        weights: Weights | None = None,
        marks: float = 0.0,
    ) -> None:
        """Batches of `examples`.

        Args:
            examples: what is learned from.
            spec: of the network.
            batch_size: images a batch, about.
            seed: of the run.
            augmented: whether images are changed by `augment`.
            device: where batches are made.
            weights: how often each example is expected in an epoch; None: exactly once.
            marks: probability that random marks are planted on an image, see `plant_marks`.
        """
        self._examples = examples
        self._spec = spec
        self._seed = seed
        self._augmented = augmented
        self._device = device
        self._weights = weights
        self._marks = marks
        # Batches of nearly equal size, at least 2: batch norm cannot train on one image.
        self._count = min(-(-len(examples) // batch_size), len(examples) // 2)
        self._epoch = 1

    def __len__(self) -> int:
        return self._count

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of `epoch`, counted from 1."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Batch]:
        return prefetched(self._batches())

    def _batches(self) -> Iterator[Batch]:
        epoch = self._epoch
        order = epoch_order(len(self._examples), self._weights, numpy_generator(self._seed, "order", epoch))
        copies = occurrences(order)
        for places in np.array_split(np.arange(len(order)), self._count):
            rows = order[places]
            names = [self._name(row, copy) for row, copy in zip(rows, copies[places], strict=True)]
            images = self._examples.images(rows)
            if self._marks:
                images = plant_marks(images, names, self._seed, epoch, self._marks)
            images = images.to(self._device)
            if self._augmented:
                images = augment(images, names, self._seed, epoch)
            yield {"image": self._spec.preprocess(images), "label": self._examples.labels[rows]}

    def _name(self, row: int, copy: int) -> str:
        """Names the random numbers of an example: one that is drawn twice in an epoch changes in two ways."""
        name = self._examples.image_ids[row]
        return f"{name} copy {copy}" if copy else name


class PlainBatches:
    """Every example once, in table order, unchanged."""

    def __init__(self, examples: Examples, spec: ModelSpec, batch_size: int) -> None:
        self._examples = examples
        self._spec = spec
        self._count = -(-len(examples) // batch_size)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        return prefetched(self._batches())

    def _batches(self) -> Iterator[Batch]:
        for rows in np.array_split(np.arange(len(self._examples)), self._count):
            yield {"image": self._spec.preprocess(self._examples.images(rows)), "label": self._examples.labels[rows]}
