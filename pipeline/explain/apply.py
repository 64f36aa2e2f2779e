"""Explain many images of a dataset version, a bounded batch at a time, resumably.

<out_dir>/saliency/<explainer>.zarr     (N, h, w) float32, chunk one image; row i is the i-th explained image
          saliency/<explainer>.parquet  one row an image, see `COLUMNS`
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from torch import nn

from models.spec import ModelSpec
from pipeline.artifacts import atomic_folder, canonical_json, read_json, read_parquet, write_json, write_parquet
from pipeline.config import ExplainConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError
from pipeline.explain.batch import COLUMNS, Batch, explained, prepared, read_batch
from pipeline.explain.frozen import frozen
from pipeline.inference import ClassifierSource, Held, weights_sha256
from pipeline.progress import Progress, silent
from pipeline.spread import Spread, here, undone
from pipeline.storage import storage_errors


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
    source: ClassifierSource | None = None,
    spread: Spread = here,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Saliency maps and their faithfulness for `rows`, by every method of `config`.

    Finished batches are kept in ``saliency.partial`` and not computed again after an interruption; the result is
    the same, byte for byte, whoever does them. At most `config.batch_size` images are held at a time.

    Args:
        model: classifier returning logits, on the device where it is to run; left as it was.
        spec: its contract.
        dataset: where the pixels are.
        rows: row numbers of `dataset` to explain.
        targets: class index to explain for each row (n,), usually the predicted one.
        config: methods and their settings.
        seed: of the run; with explainer and image id it decides all randomness.
        out_dir: where ``saliency/`` goes; one that is there already is replaced.
        source: how workers of `spread` come by the classifier; None: it is sent along with every batch.
        spread: who does the batches.
        progress: told after every batch, all methods together.

    Returns:
        The tables of all methods below each other, columns of `COLUMNS`.

    Raises:
        EmptyResultError: there are no rows.
        StorageError: the place cannot be written.
    """
    if len(rows) == 0 or not config.methods:
        raise EmptyResultError(f"Nothing to explain: {len(rows)} images, methods {config.methods}.")
    target = out_dir / "saliency"
    if target.exists():
        shutil.rmtree(target)
    with atomic_folder(target, resume=True) as folder:
        _start(folder, _request(model, spec, dataset, rows, targets, config, seed))
        batches = {
            name: [
                Batch(
                    source or Held(model, spec),
                    dataset.path,
                    tuple(rows[start : start + config.batch_size].tolist()),
                    tuple(targets[start : start + config.batch_size].tolist()),
                    name,
                    config,
                    seed,
                    folder / "batches" / name / f"{start:08d}.parquet",
                )
                for start in range(0, len(rows), config.batch_size)
            ]
            for name in config.methods
        }
        every = [batch for these in batches.values() for batch in these]
        done = len(every) - len(undone(every))
        progress("explain", done, len(every))
        for number, _ in enumerate(spread(every), start=done + 1):
            progress("explain", number, len(every))
        for name, these in batches.items():
            _assemble(folder, name, [batch.target for batch in these], len(rows), spec)
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
    explainer = prepared(method, model, spec, dataset, config, seed)
    with frozen(model, channels_last=True):
        found, _ = explained(explainer, model, spec, dataset, [row], [target])
    return np.asarray(found.saliency[0, 0].cpu().numpy(), dtype=np.float32)


def load_table(folder: Path, methods: tuple[str, ...]) -> pd.DataFrame:
    """The tables of `methods` in a finished ``saliency`` folder, below each other."""
    tables = [read_parquet(folder / f"{name}.parquet") for name in methods]
    return pd.concat(tables, ignore_index=True).astype(COLUMNS)


def _request(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    config: ExplainConfig,
    seed: int,
) -> dict[str, Any]:
    """What the batches are made from: an interrupted attempt at something else must not be continued."""
    return {
        "seed": seed,
        "dataset": dataset.meta.version,
        "image_ids": dataset.images["image_id"].iloc[rows].astype(str).tolist(),
        "targets": targets.tolist(),
        "config": config.model_dump(mode="json"),
        "spec": spec.as_dict(),
        "weights": weights_sha256(model),
    }


def _start(folder: Path, request: dict[str, Any]) -> None:
    """Empty `folder`, unless it holds batches of the same request."""
    ledger = folder / "batches" / "request.json"
    if ledger.exists() and canonical_json(read_json(ledger)) == canonical_json(request):
        return
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_json(ledger, request)


def _assemble(folder: Path, name: str, batches: list[Path], count: int, spec: ModelSpec) -> None:
    tables: list[pd.DataFrame] = []
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
        for batch in batches:
            table, maps = read_batch(batch, spec.input_size)
            store[start : start + len(maps)] = maps
            start += len(maps)
            tables.append(table)
    write_parquet(folder / f"{name}.parquet", pd.concat(tables, ignore_index=True).astype(COLUMNS))
