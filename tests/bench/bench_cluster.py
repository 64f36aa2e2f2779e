"""Efficiency of one and of two Dask workers on CPU-bound parts: detecting marks.

Both do the same work in turns, several times, so that what else the machine does meets both alike.
A worker computes on one core (`OMP_NUM_THREADS=1`, unless it says otherwise): two have twice what one has. Printed are

* efficiency = time of one worker / (2 x time of two), of the fastest turn of each and of the medians;
* the same by CPU time of the workers, which other programs disturb less: what one worker spends on the work, over what
  two spend on it together. It shows what spreading itself costs, not whether the cores were free.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the workers

from prefect import flow

from flows.cluster import spread, spreading
from pipeline.artifacts import write_text
from pipeline.config import IngestConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.detect_dataset import detect_dataset, regions_of
from pipeline.ingest import ingest, load_manifest, read_rows
from pipeline.ingest.synthetic import PhantomSpec, generate
from pipeline.spread import processes

TURNS, IMAGES = 2, 256
MANIFEST = f"""
name: bench
title: Bench
licence: Apache-2.0
classes: [clear, opacity]
positive: opacity
sources:
  - {{name: phantom, layout: generated}}
generate: {{images: {IMAGES}, other_source_images: 0, size: 256, strength: 0.9, format: png, honest_signal: 0.6}}
"""


class Burn:
    """Asks a worker for the CPU seconds of its process so far."""

    def __call__(self) -> float:
        """Seconds."""
        return time.process_time()


def study(folder: Path) -> DatasetVersion:
    """Phantoms at 256 pixels: 8 parts of mark detection."""
    write_text(folder / "bench.yaml", MANIFEST)
    manifest = load_manifest(folder / "bench.yaml")
    assert manifest.generate is not None
    generate(PhantomSpec(**manifest.generate.model_dump()), folder / "data", workers=2)
    rows = read_rows(manifest, folder / "data")
    config = IngestConfig(store_size=256)
    return ingest(manifest, rows, folder / "data", folder / "datasets", config, 0, spread=processes(2))


class Warm:
    """Has a worker load what detects marks, which takes longer than looking at an image."""

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset

    def __call__(self) -> None:
        """Look at one image."""
        regions_of(DatasetVersion(self._dataset), 0)


@flow
def timed(dataset: DatasetVersion, out: Path, workers: int) -> tuple[float, float]:
    """Wall seconds and CPU seconds of the workers for all parts, once the workers are warm."""
    with spreading(f"local:{workers}", 1, out.parent):
        done = spread()
        client = done.runner.client  # type: ignore[attr-defined]
        client.run(Warm(dataset.path))
        burnt, began = sum(client.run(Burn()).values()), time.perf_counter()
        detect_dataset(dataset, out, spread=done)
        return time.perf_counter() - began, sum(client.run(Burn()).values()) - burnt


def main() -> None:
    """Print one line a turn, a summary, and one JSON line."""
    with tempfile.TemporaryDirectory() as name:
        dataset = study(Path(name))
        found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for turn in range(TURNS):
            for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                found[workers].append(timed(dataset, Path(name) / "regions.parquet", workers))
                wall, cpu = found[workers][-1]
                sys.stdout.write(f"turn {turn}: {workers} workers: {wall:.1f} s, CPU {cpu:.1f} s\n")
                sys.stdout.flush()
    wall = {workers: [each[0] for each in found[workers]] for workers in found}
    cpu = {workers: [each[1] for each in found[workers]] for workers in found}
    result = {
        "efficiency_fastest": min(wall[1]) / (2 * min(wall[2])),
        "efficiency_median": statistics.median(wall[1]) / (2 * statistics.median(wall[2])),
        "efficiency_cpu": min(cpu[1]) / min(cpu[2]),
    }
    sys.stdout.write("; ".join(f"{key} {value:.2f}" for key, value in result.items()) + "\n")
    sys.stdout.write(json.dumps({"cluster": result, "wall_s": wall, "cpu_s": cpu}) + "\n")


if __name__ == "__main__":
    main()
