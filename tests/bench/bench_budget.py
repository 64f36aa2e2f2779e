"""What an audit costs, and whether its verdicts stay, for N, 3N and 10N images of the same kind.

The data: generated x-rays with two marks. A position word stands on every image of one class and on none of the other;
a ruler stands on half of the images of either class. Wanted at every size: the word is confirmed, the ruler is not. A
few dozen pictures are used over and over, each time with other grain, marks and patient, which costs less than
generating thousands; a picture never crosses splits. Sizes are nested: N is the beginning of 10N. One classifier, made
from 10N, is audited three times, so that the audits differ in nothing but the number of images.

Each audit runs in a fresh process. Cost is processor time; memory is the high-water mark of each stage (VmHWM, reset
between stages), which unlike `ru_maxrss` does not begin with what the parent process held. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.benchmark.planting import planter
from pipeline.benchmark.shortcuts.base import phantom_base
from pipeline.config import AuditConfig, audit_config
from pipeline.dataset import SHARD, DatasetMeta, DatasetVersion, derive_version, from_unit, write_version
from pipeline.explain import explain_dataset, explained_rows
from pipeline.flag import BEFORE_MAPS, WITH_MAPS, Inspection, undecided_rows
from pipeline.inference import Held, predict
from pipeline.randomness import numpy_generator
from pipeline.train import fit, load_classifier

SMALLEST, FACTORS = 200, (1, 3, 10)
PICTURES, SIDE = 72, 256
SEED = 0
TIED, CONTROL = "position", "ruler"
LETTERS = 0.06
"""Height of capitals, share of the side: legible at 256 pixels."""
GRAIN = 0.015

CONFIG: AuditConfig = audit_config(
    "quick",
    {
        "train": {"network": "small", "input_size": 96, "epochs": 4, "learning_rate": 0.002},
        "explain": {"methods": ["igos++-fast", "grad-cam"], "images": 8, "mask_size": 14},
        "flag": {"looked_at": 75, "images": 80, "first_look": 16, "transplants": 16, "blackout_images": 60},
    },
)
"""Every budget is reached between N and 3N."""


def main() -> None:
    """Measure and print; with --audit, be the process of one measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audit", nargs=3, type=Path, metavar=("VERSION", "BUNDLE", "FOLDER"))
    options = parser.parse_args()
    if options.audit:
        sys.stdout.write(json.dumps(audited(*options.audit)) + "\n")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        versions = nested_versions(folder)
        bundle = fit(versions[-1], CONFIG.train, SEED, folder / "bundle")
        runs = [measured(version.path, bundle, folder / f"run-{len(version)}") for version in versions]
    sys.stdout.write(told(runs) + json.dumps({"budget": runs}) + "\n")


def nested_versions(folder: Path) -> list[DatasetVersion]:
    """Data sets of `SMALLEST` times each of `FACTORS` images, smallest first."""
    pictures = phantom_base(PICTURES, SIDE, SEED, folder / "pictures")
    largest = marked_version(folder / "largest", SMALLEST * FACTORS[-1], pictures)
    beginnings = [np.arange(SMALLEST * factor) for factor in FACTORS]
    return [
        derive_version(largest, folder / f"first-{len(rows)}", rows, lambda _, images: images, f"first-{len(rows)}", {})
        for rows in beginnings
    ]


def marked_version(target: Path, count: int, pictures: DatasetVersion) -> DatasetVersion:
    """`count` images: the pictures in turn, each time with other grain, marks and patient."""
    tables = []
    with write_version(target, SIDE, "uint8") as writer:
        for start in range(0, count, SHARD):
            numbers = np.arange(start, min(start + SHARD, count))
            table = pictures.images.iloc[numbers % PICTURES].reset_index(drop=True)
            turn = pd.Series(numbers // PICTURES).astype(str)
            table["image_id"] = [f"image-{number:05d}" for number in numbers]
            table["patient_id"] = table["patient_id"] + "-" + turn
            images = [marked(pictures, int(number)) for number in numbers]
            writer.write_shard(start // SHARD, table, from_unit(torch.from_numpy(np.stack(images))[:, None], "uint8"))
            tables.append(table)
        meta = DatasetMeta(**{**asdict(pictures.meta), "version": target.name})
        writer.finish(meta, pd.concat(tables, ignore_index=True), len(tables))
    return DatasetVersion(target)


def marked(pictures: DatasetVersion, number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Image `number`, (S, S) in [0, 1]."""
    generator = numpy_generator(SEED, "budget", str(number))
    row = number % PICTURES
    image = pictures.tensor([row])[0, 0].numpy()
    image = np.clip(image + GRAIN * generator.standard_normal(image.shape, dtype=np.float32), 0, 1)
    tied = pictures.images["label"].iloc[row] == pictures.meta.positive
    if tied:
        image, _ = planter(TIED, size=LETTERS)(image, generator)
    if generator.random() < 0.5:
        image, _ = planter(CONTROL)(image, generator)
    return image


def measured(version: Path, bundle: Path, folder: Path) -> dict[str, Any]:
    """What `audited` returns in a process of its own."""
    command = [sys.executable, __file__, "--audit", str(version), str(bundle), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def audited(version: Path, bundle: Path, folder: Path) -> dict[str, Any]:
    """Audit one version as flows do; cost and memory by stage, and what came out."""
    dataset, (model, spec) = DatasetVersion(version), load_classifier(bundle)
    inspection = Inspection(dataset, folder, CONFIG, Held(model, spec))
    stages: dict[str, dict[str, float]] = {}

    def timed(title: str, work: Callable[[], None]) -> None:
        reset_peak()
        began = time.process_time()
        work()
        stages[title] = {"seconds": time.process_time() - began, "peak_mib": peak_mib()}

    def classify() -> None:
        rows = np.arange(len(dataset))
        answers = predict(model, spec, dataset, rows)
        columns = {f"p_{name}": answers[:, number] for number, name in enumerate(spec.classes)}
        inspection.write("predictions", dataset.images[["image_id", "split", "label"]].assign(**columns))

    def explain() -> None:
        answers = inspection.table("predictions")[[f"p_{name}" for name in spec.classes]].to_numpy(dtype=np.float32)
        undecided = undecided_rows(dataset, inspection.table("regions"), inspection.table("effects"))
        budget = {"images": CONFIG.explain.images, "seed": CONFIG.seed}
        rows = explained_rows(dataset, answers[dataset.rows("test")], undecided, **budget)
        targets = answers[rows].argmax(axis=1)
        explain_dataset(model, spec, dataset, rows, targets, CONFIG.explain, seed=CONFIG.seed, out_dir=folder)

    timed("classify all images", classify)
    for stage in BEFORE_MAPS:
        timed(stage.title, partial(stage.work, inspection))
    timed("explain", explain)
    for stage in WITH_MAPS:
        timed(stage.title, partial(stage.work, inspection))
    return {"images": len(dataset), "stages": stages, **outcome(inspection)}


def outcome(inspection: Inspection) -> dict[str, Any]:
    """Images looked at, pictures classified by the causal tests, maps, and the verdicts."""
    tests = [inspection.table(name) for name in ("effects", "transplants", "trait_effects")]
    maps = inspection.table(f"saliency/{CONFIG.explain.methods[0]}")
    findings = inspection.records("findings")["findings"]
    effects = inspection.table("effects").groupby("kind")[["kind_available", "kind_tested", "kind_stopped"]].first()
    return {
        "looked_at": len(inspection.rows),
        "passes": int(sum(table["passes"].sum() for table in tests)),
        "map_passes": int(maps["forward"].sum()),
        "maps": len(maps),
        "erased": {kind: [int(a), int(t), str(s)] for kind, a, t, s in effects.itertuples()},
        "status": {finding["kind"]: finding["status"] for finding in findings},
        "confirmed": sorted(finding["kind"] for finding in findings if finding["status"] == "confirmed"),
    }


def reset_peak() -> None:
    """Start a new high-water mark of resident memory (man 5 proc, clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """The high-water mark of resident memory, MiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def told(runs: list[dict[str, Any]]) -> str:
    """The runs as a table."""
    seconds = [sum(stage["seconds"] for stage in run["stages"].values()) for run in runs]
    peaks = [max(stage["peak_mib"] for stage in run["stages"].values()) for run in runs]
    each = [1000 * value / run["images"] for value, run in zip(seconds, runs, strict=True)]
    verdicts = {kind: [run["status"].get(kind, "not found") for run in runs] for kind in (TIED, CONTROL)}
    equal = all(len(set(found)) == 1 for found in verdicts.values())
    growth = (
        f"{runs[-1]['images'] // runs[0]['images']} x the images: {seconds[-1] / seconds[0]:.2f} x the processor time"
    )
    lines = [
        row("images", [run["images"] for run in runs]),
        *(row(f"{title}, s (MiB)", [stage_cell(run, title) for run in runs]) for title in runs[0]["stages"]),
        row("processor time, s", [f"{value:.1f}" for value in seconds]),
        row("per image, ms", [f"{value:.0f}" for value in each]),
        row("peak memory, MiB", [f"{value:.0f}" for value in peaks]),
        *(row(key, [run[key] for run in runs]) for key in ("looked_at", "passes", "maps", "map_passes")),
        *(row(f"{kind}, erased", [erased_cell(run, kind) for run in runs]) for kind in verdicts),
        *(row(f"{kind}, verdict", found) for kind, found in verdicts.items()),
        *(f"confirmed at {run['images']}: {', '.join(run['confirmed'])}" for run in runs),
        f"{growth}, {peaks[-1] / peaks[0]:.2f} x the memory; verdicts {'equal' if equal else 'NOT EQUAL'}",
    ]
    return "\n".join(lines) + "\n"


def stage_cell(run: dict[str, Any], title: str) -> str:
    """Processor time and peak memory."""
    return "{seconds:.1f} ({peak_mib:.0f})".format(**run["stages"][title])


def erased_cell(run: dict[str, Any], kind: str) -> str:
    """Images tested of those available, and why no more."""
    available, tested, stopped = run["erased"].get(kind, (0, 0, "-"))
    return f"{tested} of {available}: {stopped}"


def row(name: str, cells: list[Any]) -> str:
    """One line of the table."""
    return f"{name:<32}" + "".join(f"{cell!s:>24}" for cell in cells)


if __name__ == "__main__":
    main()
