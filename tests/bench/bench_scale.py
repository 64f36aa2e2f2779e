"""What an audit of many images costs, stage by stage: the same command over 10^3, 10^4 and 10^5 small pictures.

The pictures are cheap to make and cheap to look at (96 pixels), so that what grows with their number shows: a slope of
1 in the logarithms is linear, 0 is a bounded sample, more than 1 will not end well. Every picture has other shading and
grain, a bright blob where the class says so, and on part of the images a printed word. The classifier is trained once,
on the smallest set, and audited on all, so that the audits differ in nothing but the number of images.

Each audit is a `cxr-audit audit` of its own; the seconds of its stages are those of its structured log, memory is that
of its processes together, looked at four times a second.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import psutil
from numpy.typing import NDArray

from pipeline.randomness import numpy_generator

SIDE = 96
COUNTS = (1_000, 10_000, 100_000)
A_FOLDER = 1_000
"""Pictures a folder: a folder of 100,000 files is slow for reasons of its own."""

MANIFEST = """
name: many
title: Many small pictures
licence: generated; no rights reserved (CC0-1.0)
classes: [clear, opacity]
positive: opacity
sources:
  - {name: generated, layout: table, table: table.csv, columns: {path: path, label: label, patient_id: patient}}
audit:
  ingest: {store_size: 64}
  train: {network: small, input_size: 64, epochs: 3, patience: 3, learning_rate: 0.004, augment: false}
  explain: {images: 16, mask_size: 8, batch_size: 8}
  flag: {looked_at: 150, images: 60, transplants: 16, blackout_images: 100}
"""


def picture(number: int) -> tuple[NDArray[np.uint8], str]:
    """Picture `number`, (SIDE, SIDE), and its label."""
    generator = numpy_generator(0, "scale", str(number))
    shading = cv2.resize(generator.random((7, 7), dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image = 0.15 + 0.5 * shading + 0.05 * generator.standard_normal((SIDE, SIDE), dtype=np.float32)
    ill = bool(generator.random() < 0.5)
    if ill:
        x, y = (float(value) for value in generator.uniform(30, SIDE - 30, 2))
        rows, columns = np.mgrid[:SIDE, :SIDE]
        image += 0.35 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 60).astype(np.float32)
    pixels = (255 * image.clip(0, 1)).astype(np.uint8)
    if generator.random() < (0.3 if ill else 0.1):
        cv2.putText(pixels, "PORT", (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255, 1, cv2.LINE_AA)
    return pixels, "opacity" if ill else "clear"


def make(folder: Path, number: int) -> dict[str, str]:
    """Write picture `number`; its row of the table."""
    pixels, label = picture(number)
    path = f"{number // A_FOLDER:05d}/{number:08d}.png"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / path), pixels)
    return {"path": path, "label": label, "patient": f"p{number // 2}"}


def make_all(folder: Path, count: int) -> None:
    """The pictures and their table; smaller sets are the beginnings of larger ones."""
    rows = [make(folder, number) for number in range(count)]
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)


def audit(folder: Path, workspace: Path, bundle: Path | None) -> dict[str, Any]:
    """Run the command over one set; its seconds, stage seconds, memory and bytes."""
    command = [sys.executable, "-m", "flows", "audit", str(folder.parent / "many.yaml"), "--data-root", str(folder)]
    command += ["--workspace", str(workspace), "--preset", "quick", "--json"]
    command += ["--model", str(bundle)] if bundle else []
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    memory = max(watched(process), default=0)
    out = process.stdout.read() if process.stdout else ""
    if process.wait() not in (0, 4):
        raise RuntimeError(f"the audit of {folder} ended with {process.returncode}")
    return {
        "run": json.loads(out)["run"],
        "seconds": time.perf_counter() - began,
        "stages": dict(stage_seconds(workspace)),
        "memory_mib": memory / 2**20,
        "bytes": {part: size(workspace / part) for part in ("datasets", "runs")},
    }


def watched(process: subprocess.Popen[str]) -> Iterator[int]:
    """Resident bytes of a process and its children, summed, until it ends; pages that they share count once each."""
    while process.poll() is None:
        family = [psutil.Process(process.pid)] if psutil.pid_exists(process.pid) else []
        total = 0
        for one in [*family, *(child for parent in family for child in children(parent))]:
            try:
                total += one.memory_info().rss
            except psutil.Error:
                continue
        yield total
        time.sleep(0.25)


def children(parent: psutil.Process) -> list[psutil.Process]:
    """All descendants; none when the parent just ended."""
    try:
        return list(parent.children(recursive=True))
    except psutil.Error:
        return []


def stage_seconds(workspace: Path) -> Iterator[tuple[str, float]]:
    """Seconds of each stage, from the structured log."""
    for path in sorted((workspace / "logs").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["message"] == "stage ended":
                yield record["stage"], float(record["seconds"])


def size(folder: Path) -> int:
    """Bytes below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def slope(counts: list[int], values: list[float]) -> float:
    """Of the logarithms, between the two largest sets: 1 means twice the images cost twice as much."""
    return math.log(max(values[-1], 1e-9) / max(values[-2], 1e-9)) / math.log(counts[-1] / counts[-2])


def table(counts: list[int], results: list[dict[str, Any]]) -> str:
    """One line a stage: seconds for each set, and the slope."""
    lines = [" ".join([f"{'stage':<28}", *(f"{count:>10,}" for count in counts), "     slope"])]
    names = list(dict.fromkeys(name for result in results for name in result["stages"]))
    measured = {name: [result["stages"].get(name, 0.0) for result in results] for name in names}
    measured["whole command, s"] = [result["seconds"] for result in results]
    measured["memory, MiB"] = [result["memory_mib"] for result in results]
    measured["data sets, MB"] = [result["bytes"]["datasets"] / 1e6 for result in results]
    measured["runs, MB"] = [result["bytes"]["runs"] / 1e6 for result in results]
    for name, values in measured.items():
        numbers = " ".join(f"{value:>10.1f}" for value in values)
        lines.append(f"{name:<28} {numbers} {slope(counts, values):>10.2f}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the pictures, audit every set, print the table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS), metavar="IMAGES")
    counts = sorted(parser.parse_args().counts)
    with tempfile.TemporaryDirectory(prefix="cxr-bench-") as name:
        folder = Path(name)
        (folder / "many.yaml").write_text(MANIFEST, encoding="utf-8")
        for count in counts:
            make_all(folder / str(count), count)
        trained = audit(folder / str(counts[0]), folder / "first", None)
        (bundle,) = (folder / "first" / "models").glob("*/*/")
        results = [audit(folder / str(count), folder / f"workspace-{count}", bundle) for count in counts]
    sys.stdout.write(table(counts, results))
    sys.stdout.write(json.dumps({"scale": dict(zip(counts, results, strict=True)), "trained": trained}) + "\n")


if __name__ == "__main__":
    main()
