"""Share of the time that a network waits for images: classifying, explaining, training.

For classifying and training the share is also given as it would be if nothing were prepared ahead
(`pipeline.prefetch`), in the same process, on the same images. Waiting is what passes inside `next` of the batches;
explaining reads a batch at its beginning, so there it is the reading.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import pipeline.inference
import pipeline.train.examples
from models import build
from pipeline.config import ExplainConfig, TrainConfig
from pipeline.dataset import DatasetVersion, open_version
from pipeline.explain import explain_dataset
from pipeline.inference import predict
from pipeline.prefetch import prefetched
from pipeline.train import fit
from tests.bench.bench_cluster import study

T = TypeVar("T")
NETWORK, SIZE = "densenet121", 224


class Waiting:
    """Adds up what passes inside `next`."""

    def __init__(self, batches: Callable[[Iterable[Any]], Iterable[Any]]) -> None:
        self.seconds = 0.0
        self._batches = batches

    def __call__(self, items: Iterable[T]) -> Iterator[T]:
        """`items`, each timed until it comes."""
        source = iter(self._batches(items))
        while True:
            began = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield item


def share(work: Callable[[], object], batches: Callable[[Iterable[Any]], Iterable[Any]]) -> float:
    """Of the time that `work` takes, what passes waiting for batches."""
    waiting = Waiting(batches)
    pipeline.inference.prefetched = pipeline.train.examples.prefetched = waiting  # type: ignore[assignment]
    began = time.perf_counter()
    work()
    return waiting.seconds / (time.perf_counter() - began)


def explaining(dataset: DatasetVersion, folder: Path) -> float:
    """Share of reading in explaining eight images with the default methods."""
    model, spec = build(NETWORK, classes=dataset.meta.classes, input_size=(SIZE, SIZE), seed=0)
    opened, seconds = open_version(dataset.path), 0.0
    read = opened.tensor

    def timed(rows: Any) -> Any:
        nonlocal seconds
        began = time.perf_counter()
        images = read(rows)
        seconds += time.perf_counter() - began
        return images

    opened.tensor = timed  # type: ignore[method-assign]
    rows, began = dataset.rows("test")[:8], time.perf_counter()
    explain_dataset(
        model.eval(), spec, opened, rows, np.zeros(len(rows), dtype=np.int64), ExplainConfig(), seed=0, out_dir=folder
    )
    return seconds / (time.perf_counter() - began)


def main() -> None:
    """Print one line a stage and one JSON line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = study(folder)
        model, spec = build(NETWORK, classes=dataset.meta.classes, input_size=(SIZE, SIZE), seed=0)
        config = TrainConfig(network="resnet18", input_size=SIZE, epochs=1, batch_size=16)
        rows = dataset.rows("train")[:96]
        predict(model.eval(), spec, dataset, rows[:32])  # the first call is slow
        fit(dataset, config, 1, folder / "warm", cache=folder / "resized")
        found: dict[str, dict[str, float]] = {}
        for how, batches in (("ahead", prefetched), ("in turn", iter)):
            found[how] = {
                "classify": share(partial(predict, model, spec, dataset, rows), batches),
                "train": share(partial(fit, dataset, config, 0, folder / how, cache=folder / "resized"), batches),
            }
        found["ahead"]["explain"] = explaining(dataset, folder)
    for stage in ("classify", "train", "explain"):
        shares = ", ".join(f"{how} {shares[stage]:.1%}" for how, shares in found.items() if stage in shares)
        sys.stdout.write(f"{stage}: waits for images {shares}\n")
    sys.stdout.write(json.dumps({"waiting": found}) + "\n")


if __name__ == "__main__":
    main()
