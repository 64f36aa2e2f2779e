"""Efficiency of one and of two Dask workers on CPU-bound parts: detecting marks.

Both do the same work in turns, several times, so that what else the machine does meets both alike.
A worker computes on one core (`OMP_NUM_THREADS=1`, unless it says otherwise): two have twice what one has. Printed are

* efficiency = time of one worker / (2 x time of two), of the fastest turn of each and of the medians;
* the same by CPU time of the workers, which other programs disturb less: what one worker spends on the work, over what
  two spend on it together. It shows what spreading itself costs, not whether the cores were free;
* what this machine leaves of two cores without any spreading: the time that one worker takes to look at some images,
  over the time when the other one looks at as many meanwhile. Nothing that runs on both can be more efficient.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from flows.settings import TELEMETRY

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the workers
os.environ.update(TELEMETRY)  # before Prefect is

from prefect import flow

from flows.cluster import spread, spreading
from pipeline.artifacts import write_text
from pipeline.config import IngestConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.detect_dataset import detect_dataset, regions_of
from pipeline.ingest import ingest, load_manifest, read_rows
from pipeline.ingest.synthetic import PhantomSpec, generate
from pipeline.spread import processes
from tests.studies import phantom_study

TURNS, IMAGES = 2, 128
LOOKED_AT = 32
MANIFEST = phantom_study("bench", images=IMAGES, other_source_images=0, size=256, strength=0.9, honest_signal=0.6)


class Burn:
    """Asks a worker for the CPU seconds of its process so far."""

    def __call__(self) -> float:
        """Seconds."""
        return time.process_time()


def study(folder: Path) -> DatasetVersion:
    """Phantoms at 256 pixels: 4 parts of mark detection."""
    write_text(folder / "bench.yaml", MANIFEST)
    manifest = load_manifest(folder / "bench.yaml")
    assert manifest.generate is not None
    generate(PhantomSpec(**manifest.generate.model_dump()), folder / "data", workers=2)
    rows = read_rows(manifest, folder / "data")
    config = IngestConfig(store_size=256)
    return ingest(manifest, rows, folder / "data", folder / "datasets", config, 0, spread=processes(2))


class Look:
    """Has a worker look at the first `images` of a data set; at one, to load what detects marks."""

    def __init__(self, dataset: Path, images: int) -> None:
        self._dataset, self._images = dataset, images

    def __call__(self) -> None:
        """Look."""
        for row in range(self._images):
            regions_of(DatasetVersion(self._dataset), row)


def alone_and_together(client: Any, look: Look) -> tuple[float, float]:
    """Seconds that `look` takes on the first worker (the better of two tries), and on all of them at once."""
    first, *_ = workers = list(client.scheduler_info(n_workers=-1)["workers"])
    seconds = []
    for chosen in ([first], workers, [first]):
        began = time.perf_counter()
        client.run(look, workers=chosen)
        seconds.append(time.perf_counter() - began)
    return min(seconds[0], seconds[2]), seconds[1]


@flow
def timed(dataset: DatasetVersion, out: Path, workers: int) -> tuple[float, float, float]:
    """Wall seconds and CPU seconds of the warm workers for all parts, and what the machine leaves of their cores."""
    with spreading(f"local:{workers}", 1, out.parent):
        done = spread()
        client = done.runner.client  # type: ignore[attr-defined]
        client.run(Look(dataset.path, 1))
        alone, together = alone_and_together(client, Look(dataset.path, LOOKED_AT)) if workers > 1 else (1.0, 1.0)
        burnt, began = sum(client.run(Burn()).values()), time.perf_counter()
        detect_dataset(dataset, out, spread=done)
        return time.perf_counter() - began, sum(client.run(Burn()).values()) - burnt, alone / together


def main() -> None:
    """Print one line a turn, a summary, and one JSON line."""
    with tempfile.TemporaryDirectory() as name:
        dataset = study(Path(name))
        found: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
        for turn in range(TURNS):
            for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                found[workers].append(timed(dataset, Path(name) / "regions.parquet", workers))
                wall, cpu, left = found[workers][-1]
                sys.stdout.write(
                    f"turn {turn}: {workers} workers: {wall:.1f} s, CPU {cpu:.1f} s, the machine leaves {left:.2f}\n"
                )
                sys.stdout.flush()
    walls = {workers: [each[0] for each in found[workers]] for workers in found}
    cpus = {workers: [each[1] for each in found[workers]] for workers in found}
    result = {
        "efficiency_fastest": min(walls[1]) / (2 * min(walls[2])),
        "efficiency_median": statistics.median(walls[1]) / (2 * statistics.median(walls[2])),
        "efficiency_cpu": min(cpus[1]) / min(cpus[2]),
        "machine_leaves": max(each[2] for each in found[2]),
    }
    sys.stdout.write("; ".join(f"{key} {value:.2f}" for key, value in result.items()) + "\n")
    sys.stdout.write(json.dumps({"cluster": result, "wall_s": walls, "cpu_s": cpus}) + "\n")


if __name__ == "__main__":
    main()
