"""Explain many images of a dataset version, a bounded batch at a time, resumably.

<out_dir>/saliency/<explainer>.zarr     (N, h, w) float32, chunk one image; row i is the i-th explained image
          saliency/<explainer>.parquet  one row an image, see `COLUMNS`
"""

from __future__ import annotations

import hashlib
import math
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as functional
import zarr
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import (
    atomic_file,
    atomic_folder,
    canonical_json,
    read_json,
    read_parquet,
    storage_errors,
    write_json,
    write_parquet,
)
from pipeline.config import ExplainConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError
from pipeline.explain.baseline import blurred_baseline
from pipeline.explain.contract import Attribution, Explainer
from pipeline.explain.faithfulness import deletion_insertion
from pipeline.explain.frozen import frozen
from pipeline.explain.igos_explainer import LowConfidenceWarning
from pipeline.explain.references import reference_images
from pipeline.explain.registry import create
from pipeline.progress import Progress, silent

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


def explain_dataset(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    config: ExplainConfig,
    *,
    seed: int,
    out_dir: Path,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Saliency maps and their faithfulness for `rows`, by every method of `config`.

    Finished batches are kept in ``saliency.partial`` and not computed again after an interruption; the result is
    the same, byte for byte. At most `config.batch_size` images are held at a time.

    Args:
        model: classifier returning logits, on `device`; left as it was.
        spec: its contract.
        dataset: where the pixels are.
        rows: row numbers of `dataset` to explain.
        targets: class index to explain for each row (n,), usually the predicted one.
        config: methods and their settings.
        seed: of the run; with explainer and image id it decides all randomness.
        out_dir: where ``saliency/`` goes; one that is there already is replaced.
        device: where `model` is; its own device when None.
        progress: told after every batch, all methods together.

    Returns:
        The tables of all methods below each other, columns of `COLUMNS`.

    Raises:
        EmptyResultError: there are no rows.
        StorageError: the place cannot be written.
    """
    if len(rows) == 0 or not config.methods:
        raise EmptyResultError(f"Nothing to explain: {len(rows)} images, methods {config.methods}.")
    where = device or next((p.device for p in model.parameters()), torch.device("cpu"))
    job = _Job(model, spec, dataset, np.asarray(rows), np.asarray(targets), config, where)
    target = out_dir / "saliency"
    if target.exists():
        shutil.rmtree(target)
    with atomic_folder(target, resume=True) as folder:
        _start(folder, job.request(seed))
        batches = -(-len(rows) // config.batch_size)
        for number, name in enumerate(config.methods):
            explainer = create(name, model, spec, **_options(name, job, seed))
            for batch in range(batches):
                job.batch(explainer, folder / "batches" / name, batch)
                progress("explain", number * batches + batch + 1, len(config.methods) * batches)
            _assemble(folder, name, batches, len(rows), spec)
        shutil.rmtree(folder / "batches")
    return load_table(target, config.methods)


def explain_image(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    row: int,
    target: int,
    method: str,
    config: ExplainConfig,
    *,
    seed: int,
) -> NDArray[np.float32]:
    """The saliency map (h, w) that `explain_dataset` makes of one image with `method`, which `config` need not name.

    Args:
        model: classifier returning logits; left as it was.
        spec: its contract.
        dataset: where the pixels are.
        row: row number of the image.
        target: class index to explain.
        method: name of an explainer.
        config: its settings.
        seed: of the run.

    Raises:
        InputError: there is no such explainer.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    job = _Job(model, spec, dataset, np.array([row]), np.array([target]), config, device)
    explainer = create(method, model, spec, **_options(method, job, seed))
    with frozen(model, channels_last=True):
        found, _ = job.explained(explainer, slice(0, 1))
    return np.asarray(_numbers(found.saliency[0, 0]), dtype=np.float32)


def load_table(folder: Path, methods: tuple[str, ...]) -> pd.DataFrame:
    """The tables of `methods` in a finished ``saliency`` folder, below each other."""
    tables = [read_parquet(folder / f"{name}.parquet") for name in methods]
    return pd.concat(tables, ignore_index=True).astype(COLUMNS)


@dataclass(frozen=True)
class _Job:
    model: nn.Module
    spec: ModelSpec
    dataset: DatasetVersion
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    config: ExplainConfig
    device: torch.device

    def request(self, seed: int) -> dict[str, Any]:
        """What the batches are made from: an interrupted attempt at something else must not be continued."""
        return {
            "seed": seed,
            "dataset": self.dataset.meta.version,
            "image_ids": self._image_ids(slice(None)),
            "targets": self.targets.tolist(),
            "config": self.config.model_dump(mode="json"),
            "spec": self.spec.as_dict(),
            "weights": _weights_hash(self.model),
        }

    def batch(self, explainer: Explainer, folder: Path, number: int) -> None:
        """Explain batch `number` into `folder`, unless done. The table, written last, says that all is there."""
        table_path = folder / f"{number:06d}.parquet"
        if table_path.exists():
            return
        part = slice(number * self.config.batch_size, (number + 1) * self.config.batch_size)
        ids = self._image_ids(part)
        with frozen(self.model, channels_last=True):
            found, images = self.explained(explainer, part)
            grid = _grid(found.saliency, self.config.mask_size)
            curves = deletion_insertion(self.model, images, blurred_baseline(images), grid, self._target(part))
        table = pd.DataFrame(
            {
                "explainer": explainer.name,
                "image_id": ids,
                "row": self.rows[part],
                "target": self.targets[part],
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
        with atomic_file(folder / f"{number:06d}.npy") as temporary, temporary.open("wb") as stream:
            np.save(stream, _numbers(found.saliency[:, 0]))
        write_parquet(table_path, table)

    def explained(self, explainer: Explainer, part: slice) -> tuple[Attribution, Tensor]:
        """What the explainer says about a part of the images, and these as the model sees them."""
        images = self.spec.preprocess(self.dataset.tensor(self.rows[part]).to(self.device))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LowConfidenceWarning)  # the table has a column for it
            return explainer.explain(images, self._target(part), image_ids=self._image_ids(part)), images

    def _target(self, part: slice) -> Tensor:
        return torch.from_numpy(self.targets[part]).to(self.device)

    def _image_ids(self, part: slice) -> list[str]:
        return [str(name) for name in self.dataset.images["image_id"].iloc[self.rows[part]]]


def _options(name: str, job: _Job, seed: int) -> dict[str, Any]:
    options: dict[str, Any] = {"seed": seed}
    if name.startswith("igos"):
        options["size"] = job.config.mask_size
    if name == "expected-gradients":
        references = reference_images(job.dataset, job.spec, seed=seed)
        options["references"] = None if references is None else references.to(job.device)
    return {**options, **job.config.options.get(name, {})}


def _notes(found: Attribution) -> list[str]:
    """The explainer's notes on each image as JSON; numbers rounded to what float32 carries."""
    return [
        canonical_json({key: _json_ready(note[row]) for key, note in sorted(found.info.items())})
        for row in range(len(found.saliency))
    ]


def _json_ready(note: Tensor) -> Any:
    values = [float(f"{v:.7g}") if math.isfinite(v) else None for v in note.detach().double().flatten().tolist()]
    return values if note.dim() else values[0]


def _start(folder: Path, request: dict[str, Any]) -> None:
    """Empty `folder`, unless it holds batches of the same request."""
    ledger = folder / "batches" / "request.json"
    if ledger.exists() and canonical_json(read_json(ledger)) == canonical_json(request):
        return
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_json(ledger, request)


def _assemble(folder: Path, name: str, batches: int, count: int, spec: ModelSpec) -> None:
    parts = [folder / "batches" / name / f"{number:06d}" for number in range(batches)]
    with storage_errors(folder):
        store = zarr.create_array(
            store=folder / f"{name}.zarr",
            shape=(count, *spec.input_size),
            dtype="float32",
            chunks=(1, *spec.input_size),
            compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
            overwrite=True,
        )
        start = 0
        for part in parts:
            maps = np.load(part.with_suffix(".npy"))
            store[start : start + len(maps)] = maps
            start += len(maps)
    tables = [read_parquet(part.with_suffix(".parquet")) for part in parts]
    write_parquet(folder / f"{name}.parquet", pd.concat(tables, ignore_index=True).astype(COLUMNS))


def _grid(saliency: Tensor, size: int) -> Tensor:
    """Maps averaged onto a grid of at most `size` x `size`: every explainer is scored at the same resolution."""
    return functional.adaptive_avg_pool2d(saliency, min(size, *saliency.shape[-2:]))


def _numbers(values: Tensor) -> NDArray[Any]:
    return values.cpu().numpy()


def _weights_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
