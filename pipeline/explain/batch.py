"""One batch of images, explained and scored: the part of the work that is done and kept as a whole."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import canonical_json, read_parquet, write_parquet
from pipeline.config import ExplainConfig
from pipeline.dataset import DatasetVersion, open_version
from pipeline.explain.baseline import blurred_baseline
from pipeline.explain.contract import Attribution, Explainer
from pipeline.explain.faithfulness import deletion_insertion
from pipeline.explain.frozen import frozen
from pipeline.explain.igos_explainer import LowConfidenceWarning
from pipeline.explain.references import reference_images
from pipeline.explain.registry import create
from pipeline.inference import ClassifierSource

COLUMNS: dict[str, str] = {
    "explainer": "string",
    "image_id": "string",
    "row": "int64",
    "target": "int64",
    "probability": "float64",
    "baseline_probability": "float64",
    "low_confidence": "bool",
    "deletion_auc": "float64",
    "insertion_auc": "float64",
    "forward": "int64",
    "backward": "int64",
    "info": "string",
}
"""Columns of the tables and their pandas types. `row` is the row of the images table; `info` holds the method's notes
as JSON, see its class."""

_MAP = "map"
"""Column of a batch's file: the saliency map's float32 bytes."""


@dataclass(frozen=True)
class Batch:
    """Saliency maps of some images by one method, and how faithful they are.

    Attributes:
        source: of the classifier.
        dataset: folder of the version.
        rows: of the images table.
        targets: class index to explain, for each row.
        method: name of the explainer.
        config: its settings.
        seed: of the run.
        target: Parquet file with `COLUMNS` and the maps; see `read_batch`.
    """

    source: ClassifierSource
    dataset: Path
    rows: tuple[int, ...]
    targets: tuple[int, ...]
    method: str
    config: ExplainConfig
    seed: int
    target: Path
    network: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[Path, ...]:
        """The data set, and what the classifier is read from."""
        return (self.dataset, *self.source.needs)

    def do(self) -> None:
        """Explain, score, write."""
        model, spec = self.source()
        dataset = open_version(self.dataset)
        explainer = prepared(self.method, model, spec, dataset, self.config, self.seed)
        with frozen(model, channels_last=True):
            found, images = explained(explainer, model, spec, dataset, self.rows, self.targets)
            grid = _grid(found.saliency, self.config.mask_size)
            target = torch.tensor(self.targets, device=images.device)
            curves = deletion_insertion(model, images, blurred_baseline(images), grid, target)
        table = pd.DataFrame(
            {
                "explainer": explainer.name,
                "image_id": _image_ids(dataset, self.rows),
                "row": self.rows,
                "target": self.targets,
                "probability": _numbers(found.probability),
                "baseline_probability": _numbers(found.baseline_probability),
                "low_confidence": _numbers(found.low_confidence),
                "deletion_auc": _numbers(curves.deletion_auc),
                "insertion_auc": _numbers(curves.insertion_auc),
                "forward": _numbers(found.forward),
                "backward": _numbers(found.backward),
                "info": _notes(found),
            }
        ).astype(COLUMNS)
        maps = np.ascontiguousarray(_numbers(found.saliency[:, 0]), dtype=np.float32)
        write_parquet(self.target, table.assign(**{_MAP: [each.tobytes() for each in maps]}))


def read_batch(path: Path, size: tuple[int, int]) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """What a `Batch` left: its table, columns of `COLUMNS`, and its maps (n, *size)."""
    table = read_parquet(path)
    maps = np.frombuffer(b"".join(table.pop(_MAP)), dtype=np.float32)
    return table, maps.reshape(len(table), *size)


def prepared(
    method: str, model: nn.Module, spec: ModelSpec, dataset: DatasetVersion, config: ExplainConfig, seed: int
) -> Explainer:
    """The explainer as the settings want it.

    Raises:
        InputError: there is no such explainer.
    """
    options: dict[str, Any] = {"seed": seed}
    if method.startswith("igos"):
        options["size"] = config.mask_size
    if method == "expected-gradients":
        references = reference_images(dataset, spec, seed=seed)
        options["references"] = None if references is None else references.to(_device(model))
    return create(method, model, spec, **{**options, **config.options.get(method, {})})


def explained(
    explainer: Explainer,
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    rows: Sequence[int],
    targets: Sequence[int],
) -> tuple[Attribution, Tensor]:
    """What the explainer says of the images of `rows`, and these as the model sees them."""
    device = _device(model)
    images = spec.preprocess(dataset.tensor(rows).to(device))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowConfidenceWarning)  # the table has a column for it
        target = torch.tensor(targets, device=device)
        return explainer.explain(images, target, image_ids=_image_ids(dataset, rows)), images


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _image_ids(dataset: DatasetVersion, rows: Sequence[int]) -> list[str]:
    return [str(name) for name in dataset.images["image_id"].iloc[list(rows)]]


def _notes(found: Attribution) -> list[str]:
    """The explainer's notes on each image as JSON; numbers rounded to what float32 carries."""
    return [
        canonical_json({key: _json_ready(note[row]) for key, note in sorted(found.info.items())})
        for row in range(len(found.saliency))
    ]


def _json_ready(note: Tensor) -> Any:
    values = [float(f"{v:.7g}") if math.isfinite(v) else None for v in note.detach().double().flatten().tolist()]
    return values if note.dim() else values[0]


def _grid(saliency: Tensor, size: int) -> Tensor:
    """Maps averaged onto a grid of at most `size` x `size`: every explainer is scored at the same resolution."""
    return functional.adaptive_avg_pool2d(saliency, min(size, *saliency.shape[-2:]))


def _numbers(values: Tensor) -> NDArray[Any]:
    return values.cpu().numpy()
