"""Fills on real x-rays, where the truth under every hole is known, resumably.

<out>/run.json           what was asked, and the sha256 of each artifact
      places.parquet     one row a hole and fill, `PLACES`
      summary.parquet    one row a fill and size of hole, `summary.SUMMARY`
      table.md           the same to read
      examples.png       some holes, what stood there, and each fill
      units/             while it runs: what is finished, one file a fill and size
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipeline.artifacts import (
    RunFolder,
    atomic_file,
    code_version,
    content_hash,
    read_json,
    read_parquet,
    write_json,
    write_parquet,
    write_text,
)
from pipeline.benchmark.detectors.misses import encoded
from pipeline.benchmark.fills.holes import CLEAR, SIZES, Hole, Place, holes
from pipeline.benchmark.fills.measures import SURROUNDINGS, errors
from pipeline.benchmark.fills.probes import PROBES, Sight, probe_auroc
from pipeline.benchmark.fills.sheet import Example, sheet
from pipeline.benchmark.fills.subjects import Plane, Subject
from pipeline.benchmark.fills.summary import UNTOUCHED, summarise
from pipeline.benchmark.fills.table import markdown
from pipeline.errors import EmptyResultError
from pipeline.fills import Fill, fill, fill_version
from pipeline.progress import Progress, silent
from pipeline.randomness import torch_generator
from pipeline.statistics import clusters

PLACES: dict[str, str] = {
    **dict.fromkeys(("fill", "size", "image_id", "patient_id"), "string"),
    "pixels": "int64",
    **dict.fromkeys(("mae", "rmse", "psnr", "gmsd", "seconds"), "float64"),
}
"""Columns of places.parquet; errors as in `measures.errors`, process time of the fill in seconds."""
ARTIFACTS = ("places.parquet", "summary.parquet", "table.md", "examples.png")
EXAMPLES = 6
"""Holes of each size on the contact sheet."""


@dataclass(frozen=True)
class FillRequest:
    """What is asked.

    Attributes:
        fills: names, see `pipeline.fills.fill`.
        bundles: where bundles and files of networks are looked for.
        seed: of holes, fills that draw, probes and intervals.
    """

    fills: tuple[str, ...]
    bundles: Path | None = None
    seed: int = 0


def benchmark_fills(
    request: FillRequest, subjects: Sequence[Subject], out: Path, *, progress: Progress = silent
) -> pd.DataFrame:
    """Make holes, fill them, measure, probe; see the module for the files.

    Args:
        request: what is asked.
        subjects: real x-rays, see `pipeline.benchmark.fills.subjects`.
        out: result folder; one that holds the answer to the same request is read, not made again.
        progress: told after every fill and size of hole.

    Returns:
        summary.parquet.

    Raises:
        EmptyResultError: no hole could be made.
        InputError: there is no such fill.
        IntegrityError: `out` belongs to another request.
        StorageError: `out` cannot be written.
    """
    painters = {name: fill(name, request.bundles) for name in request.fills}
    bench = _Bench(request, subjects)
    run = RunFolder(out, bench.identity())
    if not all(run.has(name) for name in ARTIFACTS):
        rounds = [(name, size) for name in (UNTOUCHED, *painters) for size in SIZES]
        for number, (name, size) in enumerate(rounds):
            unit = _unit(out, name, size)
            if not unit.exists():
                painter = painters.get(name)
                write_json(unit, bench.filled(name, painter, size) if painter else bench.untouched(size))
            progress("fill and probe", number + 1, len(rounds))
        _write(run, bench, painters, [read_json(_unit(out, *each)) for each in rounds])
        shutil.rmtree(out / "units")
    return read_parquet(out / "summary.parquet")


def _unit(out: Path, name: str, size: str) -> Path:
    return out / "units" / f"{content_hash(name)}-{size}.json"


class _Bench:
    """The holes of a request, and what each fill makes of them."""

    def __init__(self, request: FillRequest, subjects: Sequence[Subject]) -> None:
        self.request = request
        self.subjects = subjects
        self.holes = {size: list(holes(subjects, size, request.seed)) for size in SIZES}
        for size, made in self.holes.items():
            if not made:
                raise EmptyResultError(
                    f"No {size} hole could be made in {len(subjects)} x-rays: none has a printed mark to take the "
                    "shape of, or there is no clean ground. Give more x-rays, or ones with marks."
                )

    def identity(self) -> dict[str, Any]:
        """What the result follows from."""
        request = self.request
        return {
            "fills": {name: fill_version(name, request.bundles) for name in request.fills},
            "images": content_hash([(s.image_id, [(k, b.as_tuple()) for k, b in s.marks]) for s in self.subjects]),
            "seed": request.seed,
            "code": code_version("pipeline.benchmark.fills", "pipeline.cleanse", "models.inpainters"),
        }

    def paint(self, painter: Fill, hole: Hole) -> tuple[Plane, Plane, float]:
        """(truth, filled) (h, w) and the seconds it took."""
        subject = self.subjects[hole.here.subject]
        truth = subject.picture()
        image, where = (torch.from_numpy(each)[None, None] for each in (truth, hole.here.mask(subject.size)))
        generator = torch_generator(self.request.seed, "fill benchmark", subject.image_id)
        began = time.process_time()
        painted = painter(image, where, generator)[0, 0].numpy()
        seconds = time.process_time() - began
        return truth, subject.stored(painted), seconds

    def filled(self, name: str, painter: Fill, size: str) -> dict[str, Any]:
        """Rows of places.parquet, and what each probe found."""
        rows, sights = [], []
        self.paint(painter, self.holes[size][0])  # networks and libraries are loaded by the first call
        for hole in self.holes[size]:
            truth, painted, seconds = self.paint(painter, hole)
            mask, window = hole.here.mask(truth.shape), hole.here.around(truth, SURROUNDINGS)
            subject = self.subjects[hole.here.subject]
            rows.append(
                {
                    **{"fill": name, "size": size, "image_id": subject.image_id},
                    "patient_id": None if pd.isna(subject.patient_id) else str(subject.patient_id),
                    "pixels": hole.here.piece.pixels,
                    **errors(painted[window], truth[window], mask[window]),
                    "seconds": seconds,
                }
            )
            sights.append(self.sight(hole.here, painted, hole))
        return {"fill": name, "size": size, "places": rows, "probes": self.probed(sights, size)}

    def untouched(self, size: str) -> dict[str, Any]:
        """The probes on the same places before anything was filled: they must find nothing."""
        sights = [self.sight(hole.here, self.subjects[hole.here.subject].picture(), hole) for hole in self.holes[size]]
        return {"fill": UNTOUCHED, "size": size, "places": [], "probes": self.probed(sights, size)}

    def sight(self, place: Place, plane: Plane, hole: Hole) -> Sight:
        """What the probes see of `place`, one of the two of `hole`."""
        name = self.subjects[hole.here.subject].image_id
        return Sight.of(plane, place.mask(plane.shape), place.around(plane, CLEAR), name)

    @cached_property
    def counterparts(self) -> dict[str, list[Sight]]:
        """What the probes see of the untouched places on other x-rays, by size."""
        return {
            size: [
                self.sight(hole.counterpart, self.subjects[hole.counterpart.subject].picture(), hole) for hole in made
            ]
            for size, made in self.holes.items()
        }

    def probed(self, sights: list[Sight], size: str) -> dict[str, Any]:
        """By probe: how well it tells `sights` from the untouched counterparts."""
        made = self.holes[size]
        which = [hole.here.subject for hole in made] + [hole.counterpart.subject for hole in made]
        seen = [self.subjects[number] for number in which]
        cluster = clusters([subject.patient_id for subject in seen], [subject.image_id for subject in seen])
        return {
            name: probe_auroc(probe, sights, self.counterparts[size], cluster, self.request.seed)
            for name, probe in PROBES.items()
        }

    def example(self, painters: dict[str, Fill], hole: Hole, size: str) -> Example:
        """One row of the contact sheet."""
        truth = self.subjects[hole.here.subject].picture()
        painted = {name: self.paint(painter, hole)[1] for name, painter in painters.items()}
        return Example(size, hole.here, truth, painted)


def _write(run: RunFolder, bench: _Bench, painters: dict[str, Fill], units: list[dict[str, Any]]) -> None:
    rows = [row for unit in units for row in unit["places"]]
    places = pd.DataFrame(rows, columns=list(PLACES)).astype(PLACES)
    summary = summarise(places, units, bench.request.seed)
    write_parquet(run.path / "places.parquet", places)
    write_parquet(run.path / "summary.parquet", summary)
    write_text(run.path / "table.md", markdown(summary, places, len(bench.subjects)))
    examples = [bench.example(painters, hole, size) for size, made in bench.holes.items() for hole in made[:EXAMPLES]]
    with atomic_file(run.path / "examples.png") as temporary:
        temporary.write_bytes(encoded(sheet(examples)))
    for name in ARTIFACTS:
        run.record(name)
