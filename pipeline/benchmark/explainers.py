"""Compare explainers on one classifier and one data set, resumably.

    <out>/run.json            what was asked, and the sha256 of each artifact
          explainers.parquet  one row a method and image, `trial.SCHEMA`
          summary.parquet     one row a method: means, intervals, differences to iGOS++, see `table.summarise`;
                              and input bias, `columns.BIAS`
          timings.parquet     one row a method: milliseconds per image and peak memory; no two runs agree on them
          maps.png            example maps side by side
          index.html          all of it on a page
          units/              while the benchmark runs: what is finished

The same request gives the same bytes, but for timings.parquet and the page, which shows them.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from models.spec import ModelSpec
from pipeline.artifacts import (
    RunFolder,
    atomic_file,
    code_version,
    content_hash,
    read_parquet,
    write_parquet,
    write_text,
)
from pipeline.benchmark.columns import BIAS, COLUMNS
from pipeline.benchmark.page import PageInput, render_page
from pipeline.benchmark.pictures import MapExample, maps_picture
from pipeline.benchmark.request import Request, with_trivial
from pipeline.benchmark.sample import choose_sample
from pipeline.benchmark.table import summarise
from pipeline.benchmark.trial import BATCH, SCHEMA, Bench, Trial
from pipeline.benchmark.truth import Marks
from pipeline.dataset import DatasetVersion
from pipeline.progress import Progress, silent

EXAMPLES = 3
"""Images whose maps are shown side by side."""
ARTIFACTS = ("explainers.parquet", "summary.parquet", "timings.parquet", "maps.png", "index.html")


def benchmark_explainers(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    request: Request,
    out: Path,
    *,
    weights: str,
    marks: Marks | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Try every explainer on the same test images and classes; see the module for the files.

    What is finished is kept under ``units`` and not computed again after an interruption. An explainer that fails
    has its error in its rows, and the others go on.

    Args:
        model: classifier returning logits, in evaluation mode; left as it was.
        spec: its contract.
        dataset: with a test split.
        request: what is compared.
        out: result folder; one that holds the answer to the same request is read, not made again.
        weights: hash of the classifier's files, its identity in the request.
        marks: true boxes of printed marks, for the localisation metrics; None: they stay null.
        progress: told after every unit.

    Returns:
        summary.parquet.

    Raises:
        InputError: an explainer is unknown.
        EmptyResultError: there is no test image to explain.
        IntegrityError: `out` belongs to another request.
        StorageError: `out` cannot be written.
    """
    names = with_trivial(request.explainers)
    run = RunFolder(out, _identity(names, spec, dataset, request, weights, marks))
    if not all(run.has(name) for name in ARTIFACTS):
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        sample = choose_sample(model, spec, dataset, marks, images=request.images, seed=request.seed)
        bench = Bench(model, spec, dataset, sample, request, out / "units", device)
        trials = [Trial(name, bench) for name in names]
        measured = _measured(trials, bench, progress)
        _write(run, bench, trials, measured, _bias(trials, progress))
        shutil.rmtree(out / "units")
    return read_parquet(out / "summary.parquet")


def _identity(
    names: tuple[str, ...],
    spec: ModelSpec,
    dataset: DatasetVersion,
    request: Request,
    weights: str,
    marks: Marks | None,
) -> dict[str, Any]:
    return {
        **asdict(request),
        "explainers": list(names),
        "dataset": [dataset.meta.name, dataset.meta.version],
        "spec": content_hash(spec.as_dict()),
        "weights": weights,
        "marks": None if marks is None else content_hash({name: str(boxes) for name, boxes in marks.items()}),
        "code": code_version("pipeline.explain", "pipeline.benchmark", "models"),
    }


def _measured(trials: list[Trial], bench: Bench, progress: Progress) -> pd.DataFrame:
    done, total = 0, len(trials) * bench.units

    def told() -> None:
        nonlocal done
        done += 1
        progress("benchmark explainers", done, total)

    _warm_up(bench)
    return pd.concat([trial.run(told) for trial in trials], ignore_index=True)


def _warm_up(bench: Bench) -> None:
    """Run the classifier forth and back once, so that no explainer is timed for what a first call costs."""
    leaf = bench.images(bench.batches[0]).requires_grad_()
    torch.autograd.grad(bench.model(leaf).sum(), leaf, allow_unused=True)


def _bias(trials: list[Trial], progress: Progress) -> pd.DataFrame:
    rows = []
    for number, trial in enumerate(trials):
        rows.append({"explainer": trial.name, **trial.bias()})
        progress("input bias", number + 1, len(trials))
    kinds = {"explainer": "string", **{column.key: "Float64" for column in BIAS}, "bias_error": "string"}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _write(run: RunFolder, bench: Bench, trials: list[Trial], measured: pd.DataFrame, bias: pd.DataFrame) -> None:
    out = run.path
    summary = summarise(measured, [column.key for column in COLUMNS], seed=bench.request.seed)
    summary = summary.merge(bias, on="explainer", validate="one_to_one")
    timings = time_per_image(measured)
    picture = maps_picture(_examples(bench, trials))
    write_parquet(out / "explainers.parquet", measured[list(SCHEMA)])
    write_parquet(out / "summary.parquet", summary)
    write_parquet(out / "timings.parquet", timings)
    with atomic_file(out / "maps.png") as temporary:
        temporary.write_bytes(picture)
    content = PageInput(
        dataset=bench.dataset.meta,
        spec=bench.spec,
        counts=bench.sample.counts,
        summary=summary,
        timings=timings,
        measured=measured,
        picture=picture,
        device=bench.device.type,
        batch=BATCH,
    )
    write_text(out / "index.html", render_page(content))
    for name in ARTIFACTS:
        run.record(name)


def time_per_image(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per method: `explainer`, `batches`, `ms_per_image` (median over batches) and `peak_bytes` (largest).

    Null for a method without maps.
    """
    rows = []
    for name, part in measured.groupby("explainer", sort=False):
        made = part[part["error"].isna()]
        size = made.groupby("seconds")["seconds"].transform("size")  # a batch's rows share its time
        batches = (made["seconds"] / size).drop_duplicates()
        rows.append(
            {
                "explainer": name,
                "batches": len(batches),
                "ms_per_image": 1000 * float(batches.median()) if len(batches) else None,
                "peak_bytes": made["peak_bytes"].max() if len(batches) else None,
            }
        )
    return pd.DataFrame(rows).astype(
        {"explainer": "string", "batches": "int64", "ms_per_image": "Float64", "peak_bytes": "Int64"}
    )


def _examples(bench: Bench, trials: list[Trial]) -> list[MapExample]:
    """Images whose deciding mark is known first, then the first ones."""
    sample = bench.sample
    known = sample.truth.flatten(1).any(dim=1).numpy()
    chosen = np.sort(np.argsort(~known, kind="stable")[:EXAMPLES])
    rows = sample.rows[chosen]
    pixels = bench.spec.resize(bench.dataset.tensor(rows))[:, 0].numpy()
    labels = bench.dataset.images["label"].iloc[rows].astype(str)
    predicted = [bench.spec.classes[target] for target in sample.targets[chosen]]
    maps = {trial.name: trial.maps(chosen) for trial in trials}
    return [
        MapExample(
            title=f"{predicted[place]} (label {label})",
            image=pixels[place],
            truth=sample.truth[int(chosen[place]), 0].numpy(),
            maps={name: found[place] for name, found in maps.items()},
        )
        for place, label in enumerate(labels)
    ]
