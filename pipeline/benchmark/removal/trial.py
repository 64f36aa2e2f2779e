"""One image: every method under every setting, and the numbers of each map."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import atomic_folder, read_parquet, write_parquet
from pipeline.benchmark.removal.queries import Queries, listening
from pipeline.benchmark.removal.study import Sample, Study
from pipeline.dataset import from_unit
from pipeline.explain import blurred_baseline, create, deletion_insertion
from pipeline.explain.metrics import (
    THRESHOLDS,
    enrichment,
    localisation_error,
    pointing_game,
    rise_deletion_insertion,
    saliency_box,
    saliency_metric,
)
from pipeline.randomness import numpy_generator
from pipeline.types import Box

STEPS = 25
"""Blocks of the iGOS protocol's deletion."""
LEVELS = tuple(f"localisation_{round(100 * level)}" for level in THRESHOLDS)
"""Columns of the localisation error, one a threshold."""

Maps = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Unit:
    """What is known of one image.

    Attributes:
        rows: one row a map; see `run_image`.
        maps: method -> maps (settings, H, W).
        queries: method -> perturbed images (n, H, W) uint8, under the first setting.
        image: as the classifier sees it, (H, W) uint8.
    """

    rows: pd.DataFrame
    maps: Maps
    queries: Mapping[str, NDArray[np.uint8]]
    image: NDArray[np.uint8]

    @classmethod
    def read(cls, folder: Path) -> Unit:
        """What `run_image` wrote."""
        with np.load(folder / "pictures.npz") as stored:
            pictures = dict(stored)
        maps, queries = (
            {name.removeprefix(kind): value for name, value in pictures.items() if name.startswith(kind)}
            for kind in ("map ", "query ")
        )
        return cls(read_parquet(folder / "maps.parquet"), maps, queries, pictures["image"])


def run_image(study: Study, sample: Sample, number: int) -> Path:
    """Explain image `number` of the sample by every method; returns its folder, made before or now.

    Row of maps.parquet: `image_id`, `patient_id`, `explainer`, `setting` (0: the comparison's), `options`, `forward`,
    `backward`, `seconds`; `LEVELS`, `iou`, `pointing`, `enrichment`, `saliency_metric`, `rise_deletion`; of setting 0
    also `igos_deletion`.
    """
    row = int(sample.rows[number])
    folder = study.out / "units" / str(study.marked.images["image_id"].iloc[row])
    if not folder.exists():
        trial = _Trial(study, sample, number)
        rows = [
            trial.explained(name, each) for name, all_ in study.request.settings().items() for each in enumerate(all_)
        ]
        with atomic_folder(folder) as working:
            write_parquet(working / "maps.parquet", pd.DataFrame(rows))
            np.savez_compressed(working / "pictures.npz", **trial.pictures())
    return folder


class _Trial:
    """One image at work."""

    def __init__(self, study: Study, sample: Sample, number: int) -> None:
        row = int(sample.rows[number])
        record = study.marked.images.iloc[row]
        self.request = study.request
        self.model, self.spec = study.classifier()
        self.target = sample.target
        self.truth = sample.truth[number : number + 1]
        self.image = self.spec.preprocess(study.marked.tensor([row])).to(study.device)
        self.image_id = str(record["image_id"])
        self.identity = {"image_id": self.image_id, "patient_id": record["patient_id"]}
        self.maps: dict[str, list[Tensor]] = {}
        self.queries: dict[str, list[Tensor]] = {}

    def explained(self, name: str, numbered: tuple[int, Mapping[str, Any]]) -> dict[str, Any]:
        """The numbers of one map; the map and, under the first setting, queries are kept."""
        setting, options = numbered
        explainer = create(name, self.model, self.spec, **options)
        generator = numpy_generator(self.request.seed, "removal queries", self.image_id, name)
        known = torch.cat([self.image, explainer.baseline(self.image)])
        queries = Queries(0 if setting else self.request.queries, known, generator)
        with listening(self.model, queries):
            began = time.perf_counter()
            found = explainer.explain(self.image, self.target, image_ids=[self.image_id])
            seconds = time.perf_counter() - began
        self.maps.setdefault(name, []).append(found.saliency.cpu())
        self.queries.setdefault(name, []).extend(queries.kept)
        return {
            **self.identity,
            "explainer": name,
            "setting": setting,
            "options": json.dumps(dict(options), sort_keys=True),
            "forward": int(found.forward[0]),
            "backward": int(found.backward[0]),
            "seconds": seconds,
            **map_numbers(self.model, self.image, found.saliency, self.truth, self.target, thorough=setting == 0),
        }

    def pictures(self) -> dict[str, Any]:
        """Image, maps and queries, arrays under the names that `Unit.read` knows."""
        maps = {f"map {name}": torch.cat(each)[:, 0].numpy() for name, each in self.maps.items()}
        queries = {f"query {name}": _bytes(torch.stack(each), self.spec) for name, each in self.queries.items() if each}
        return {"image": _bytes(self.image, self.spec)[0], **maps, **queries}


def map_numbers(
    model: nn.Module, image: Tensor, saliency: Tensor, truth: Tensor, target: int, *, thorough: bool
) -> dict[str, float | None]:
    """The protocols of one map (1, 1, H, W); without `thorough` the costly iGOS deletion stays null."""
    where = truth.to(saliency.device)
    errors = [localisation_error(saliency, where, rule="threshold", level=level) for level in THRESHOLDS]
    boxes = [saliency_box(saliency, "threshold", level=level)[0] for level in THRESHOLDS]
    igos = None
    if thorough:
        igos = float(
            deletion_insertion(model, image, blurred_baseline(image), saliency, target, steps=STEPS).deletion_auc
        )
    return {
        **{name: float(error) for name, error in zip(LEVELS, errors, strict=True)},
        "iou": float(np.mean([box.iou(_tight(truth[0, 0])) for box in boxes])),
        "pointing": float(pointing_game(saliency, where)),
        "enrichment": float(enrichment(saliency, where)),
        "saliency_metric": float(saliency_metric(model, image, saliency, target)),
        "rise_deletion": float(rise_deletion_insertion(model, image, saliency, target).deletion_auc),
        "igos_deletion": igos,
    }


def _tight(where: Tensor) -> Box:
    """The box around the region (H, W)."""
    rows, columns = (where.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def _bytes(inputs: Tensor, spec: ModelSpec) -> NDArray[np.uint8]:
    """Network input (n, C, H, W) as grey pictures (n, H, W)."""
    return np.asarray(from_unit(spec.denormalise(inputs[:, :1]).float().cpu(), "uint8"), dtype=np.uint8)
