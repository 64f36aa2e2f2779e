"""Peak memory of ingest and explain for N and 4N images: bounded means that the two are nearly equal.

Each measurement is a fresh process that reports its own high-water mark (VmHWM), in MiB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.studies import phantom_study

PREAMBLE = """
import sys
from pathlib import Path

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
folder = Path(sys.argv[1])
"""

INGEST = (
    PREAMBLE
    + """
from pipeline.config import IngestConfig
from pipeline.ingest import ingest, load_manifest, read_rows
before = peak()
manifest = load_manifest(folder / "bench.yaml")
rows, config = read_rows(manifest, folder / "data"), IngestConfig(store_size=512)
ingest(manifest, rows, folder / "data", folder / "datasets", config, 0)
print(before, peak())
"""
)

EXPLAIN = (
    PREAMBLE
    + """
import torch
from models import build
from pipeline.config import ExplainConfig
from pipeline.dataset import DatasetVersion
from pipeline.explain import explain_dataset
(path,) = (folder / "datasets" / "bench").iterdir()
dataset = DatasetVersion(path)
model, spec = build("small", classes=dataset.meta.classes, input_size=(64, 64), seed=0)
before = peak()
rows = dataset.rows("train", "val", "test")
config = ExplainConfig(mask_size=7, ig_steps=2, iterations=1, images=len(rows), batch_size=8)
targets = torch.zeros(len(rows), dtype=torch.int64).numpy()
explain_dataset(model, spec, dataset, rows, targets, config, seed=0, out_dir=folder / "out")
print(before, peak())
"""
)


def measure(code: str, folder: Path) -> tuple[float, float]:
    """Peak memory before and after the stage, MiB."""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    before, after = done.stdout.split()[-2:]
    return float(before), float(after)


def main() -> None:
    """Print one line and one JSON line a stage."""
    from pipeline.ingest import load_manifest
    from pipeline.ingest.synthetic import PhantomSpec, generate

    peaks: dict[str, list[float]] = {"ingest": [], "explain": []}
    small = 300  # more than one shard of 256, so that a whole shard is held in both runs
    for images in (small, 4 * small):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            study = phantom_study(
                "bench", images=images, other_source_images=8, size=256, strength=0.9, honest_signal=0.6
            )
            (folder / "bench.yaml").write_text(study)
            spec = load_manifest(folder / "bench.yaml").generate
            generate(PhantomSpec(**spec.model_dump()), folder / "data", workers=2)
            for stage, code in (("ingest", INGEST), ("explain", EXPLAIN)):
                peaks[stage].append(measure(code, folder)[1])
    for stage, (one, four) in peaks.items():
        sys.stdout.write(f"{stage}: peak {one:.0f} MiB for N={small}, {four:.0f} MiB for 4N; ratio {four / one:.2f}\n")
    sys.stdout.write(json.dumps({"memory_mib": peaks, "n": [small, 4 * small]}) + "\n")


if __name__ == "__main__":
    main()
