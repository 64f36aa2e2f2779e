"""One explainer on the images of the benchmark, in units that are kept as they finish."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import atomic_file, read_parquet, write_parquet
from pipeline.benchmark.columns import COLUMNS
from pipeline.benchmark.cost import measured
from pipeline.benchmark.measures import MapBatch, Numbers, attempt, measure, said
from pipeline.benchmark.request import Request
from pipeline.benchmark.sample import Sample
from pipeline.benchmark.stability import STABILITY, Subject
from pipeline.dataset import DatasetVersion
from pipeline.explain import Explainer, create
from pipeline.explain.bias import input_bias
from pipeline.explain.bias_glyphs import GlyphWorld, glyph_worlds
from pipeline.explain.bias_patches import PatchEffects, patch_effects
from pipeline.explain.frozen import frozen
from pipeline.explain.igos_explainer import LowConfidenceWarning
from pipeline.explain.references import reference_images

BATCH = 8
"""Images explained together: the unit of work, of resuming and of timing."""

TIMING = {"seconds": "float64", "peak_bytes": "Int64"}
"""Columns that no two runs share: of the whole batch, repeated in each of its rows."""
_FACTS = {
    "explainer": "string",
    "image_id": "string",
    "patient_id": "string",
    "row": "int64",
    "target": "int64",
    "probability": "Float64",
    "baseline_probability": "Float64",
}
_PROBLEMS = {"error": "string", "metric_errors": "string"}
SCHEMA = {**_FACTS, **{column.key: "Float64" for column in COLUMNS}, **_PROBLEMS}
"""Columns of explainers.parquet and their pandas types. `error`: why there is no map; `metric_errors`: why there is a
map, but a number is missing."""


@dataclass(frozen=True)
class Bench:
    """What every explainer is tried on, and where finished units are kept."""

    model: nn.Module
    spec: ModelSpec
    dataset: DatasetVersion
    sample: Sample
    request: Request
    folder: Path
    device: torch.device

    @property
    def batches(self) -> list[NDArray[np.int64]]:
        """Numbers of the sample's images, a batch at a time."""
        count = len(self.sample.rows)
        return [np.arange(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]

    @property
    def stability_part(self) -> NDArray[np.int64]:
        """Numbers of the images for the costly metrics, evenly spread over the sample."""
        count = min(self.request.stability_images, len(self.sample.rows))
        return np.unique(np.linspace(0, len(self.sample.rows) - 1, count).round().astype(np.int64))

    @property
    def units(self) -> int:
        """Units of one explainer, its bias apart."""
        return len(self.batches) + (len(STABILITY) if self.request.stability_images else 0)

    @cached_property
    def worlds(self) -> Sequence[GlyphWorld]:
        """Small classifiers of known evidence, for the bias of methods; trained when first asked for."""
        return glyph_worlds(seed=self.request.seed)

    @cached_property
    def effects(self) -> PatchEffects:
        """What each patch of the images for the costly metrics does to the classifier."""
        return patch_effects(self.model, self.spec, self.images(self.stability_part), self.target(self.stability_part))

    def images(self, part: NDArray[np.int64]) -> Tensor:
        """Network input of the images numbered `part`."""
        return self.spec.preprocess(self.dataset.tensor(self.sample.rows[part]).to(self.device))

    def target(self, part: NDArray[np.int64]) -> Tensor:
        """Their explained classes."""
        return torch.from_numpy(self.sample.targets[part]).to(self.device)

    def options(self, name: str) -> dict[str, Any]:
        """Options of the explainer `name` on this data set."""
        asked = dict(self.request.options.get(name, {}))
        if name == "expected-gradients":
            references = reference_images(self.dataset, self.spec, seed=self.request.seed)
            asked.setdefault("references", None if references is None else references.to(self.device))
        return asked

    def column(self, name: str, part: NDArray[np.int64]) -> list[Any]:
        """A column of the images table for them."""
        return list(self.dataset.images[name].iloc[self.sample.rows[part]])


class Trial:
    """One explainer, tried."""

    def __init__(self, name: str, bench: Bench) -> None:
        self.name = name
        self._bench = bench
        self._folder = bench.folder / name

    def run(self, told: Callable[[], None]) -> pd.DataFrame:
        """One row per image, columns of `SCHEMA` and `TIMING`; `told` is called after every unit."""
        parts = []
        for number, part in enumerate(self._bench.batches):
            parts.append(self._unit(f"{number:04d}", partial(self._explain, number, part)))
            told()
        table = pd.concat(parts, ignore_index=True)
        for metric in STABILITY if self._bench.request.stability_images else ():
            if table["error"].isna().any():
                self._enter(table, self._unit(metric, partial(self._probe, metric)))
            told()
        return table.astype({**SCHEMA, **TIMING})

    def bias(self) -> dict[str, Any]:
        """The method's input bias: the keys of `columns.BIAS`, and `bias_error`; null where not measured."""
        if not self._bench.request.stability_images:
            return {"bias_error": None}
        return dict(self._unit("bias", self._measure_bias).iloc[0])

    def maps(self, numbers: NDArray[np.int64]) -> list[NDArray[np.float32] | None]:
        """The maps (H, W) of the images numbered `numbers`; None where there is none."""
        found = []
        for number in numbers.tolist():
            path = self._map_path(number // BATCH)
            found.append(np.load(path)[number % BATCH] if path.exists() else None)
        return found

    @cached_property
    def _explainer(self) -> Explainer:
        bench = self._bench
        return create(self.name, bench.model, bench.spec, seed=bench.request.seed, **bench.options(self.name))

    def _unit(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table of one unit, made unless an earlier run finished it."""
        path = self._folder / f"{name}.parquet"
        if not path.exists():
            write_parquet(path, make())
        return read_parquet(path)

    def _explain(self, number: int, part: NDArray[np.int64]) -> pd.DataFrame:
        bench, ids = self._bench, [str(name) for name in self._bench.column("image_id", part)]
        table = pd.DataFrame({name: None for name in {**SCHEMA, **TIMING}}, index=range(len(part)))
        table["explainer"], table["image_id"] = self.name, ids
        table["patient_id"] = bench.column("patient_id", part)
        table["row"], table["target"] = bench.sample.rows[part], bench.sample.targets[part]
        images, target = bench.images(part), bench.target(part)
        try:
            with warnings.catch_warnings(), measured(bench.device) as cost:
                warnings.simplefilter("ignore", LowConfidenceWarning)  # both probabilities are in the table
                found = self._explainer.explain(images, target, image_ids=ids)
        except Exception as error:  # whatever an explainer does wrong is a result of this benchmark
            table["error"] = said(error)
            return table.astype({**SCHEMA, **TIMING})
        with atomic_file(self._map_path(number)) as temporary, temporary.open("wb") as stream:
            np.save(stream, found.saliency[:, 0].cpu().numpy())
        truth = bench.sample.truth[torch.from_numpy(part)].to(bench.device)
        with frozen(bench.model, channels_last=True):
            numbers, problems = measure(MapBatch(bench.model, images, found.saliency, target, truth))
        numbers |= {
            name: getattr(found, name).cpu().numpy()
            for name in ("probability", "baseline_probability", "forward", "backward")
        }
        for name, values in numbers.items():
            table[name] = values
        table["metric_errors"] = "; ".join(problems) or None
        table["seconds"], table["peak_bytes"] = cost.seconds, cost.peak_bytes
        return table.astype({**SCHEMA, **TIMING})

    def _probe(self, metric: str) -> pd.DataFrame:
        """One costly metric on the few images set aside for it."""
        bench, part = self._bench, self._bench.stability_part
        ids = [str(name) for name in bench.column("image_id", part)]
        options = {"seed": bench.request.seed, **bench.options(self.name)}
        subject = Subject(self.name, bench.model, bench.spec, bench.images(part), bench.target(part), ids, options)
        numbers, problems = attempt([(metric, lambda: STABILITY[metric](subject))])
        table = pd.DataFrame({"image_id": ids, **numbers})
        table["metric_errors"] = "; ".join(problems) or None
        return table.astype({"metric_errors": "string"})

    def _measure_bias(self) -> pd.DataFrame:
        def run() -> Numbers:
            found = input_bias(
                [self.name],
                seed=bench.request.seed,
                options=bench.request.options,
                worlds=bench.worlds,
                effects=bench.effects,
            )
            return {name: found[name].to_numpy() for name in found.columns.drop("method")}

        bench = self._bench
        numbers, problems = attempt([("input bias", run)])
        return pd.DataFrame({**numbers, "bias_error": pd.Series(["; ".join(problems) or None], dtype="string")})

    def _enter(self, table: pd.DataFrame, probe: pd.DataFrame) -> None:
        """Write what a costly metric found into the rows of its images."""
        place = pd.Index(table["image_id"]).get_indexer(pd.Index(probe["image_id"]))
        for name in probe.columns.difference(["image_id", "metric_errors"]):
            table.loc[place, name] = probe[name].to_numpy()
        for row, problem in zip(place, probe["metric_errors"], strict=True):
            if pd.notna(problem) and pd.isna(table.loc[row, "error"]):
                known = table.loc[row, "metric_errors"]
                table.loc[row, "metric_errors"] = problem if pd.isna(known) else f"{known}; {problem}"

    def _map_path(self, number: int) -> Path:
        return self._folder / f"{number:04d}.npy"
