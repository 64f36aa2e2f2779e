"""The erase test: what removing a mark does to a prediction, against removing matched places that hold no mark.

Several marks of one kind on one image form a group, removed together; a control is a set of matched places, one for
each mark. Removal happens at stored resolution with the fill that cleansing uses, inside the content of the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, did_you_mean
from pipeline.flag.behaviour.chunks import Chunks
from pipeline.flag.behaviour.controls import pooled_p_values
from pipeline.flag.behaviour.removal import Removal
from pipeline.flag.behaviour.sequential import SequentialTest, StoppingRule
from pipeline.inference import weights_sha256
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed

CHUNK = 12
"""Images whose results are kept together for resuming; looks are taken between chunks."""


def choose_rows(dataset: DatasetVersion, regions: pd.DataFrame, config: FlagConfig, seed: int) -> NDArray[np.int64]:
    """Rows to test, in the order to test them: at most `config.images` images with regions, of test and validation.

    Label x kind strata take turns, so that rare combinations are not crowded out and every beginning of the order is
    balanced; within a stratum the order is random but depends on the image alone. Empty when no image has a region.
    """
    rows = dataset.rows("test", "val")
    table = dataset.images.iloc[rows][["image_id", "label"]].assign(row=rows)
    pairs = table.merge(regions[["image_id", "kind"]].drop_duplicates(), on="image_id")
    pairs["draw"] = [derive_seed(seed, "causal-rows", str(image_id)) for image_id in pairs["image_id"]]
    queues = [deque(part.sort_values("draw")["row"]) for _, part in pairs.groupby(["label", "kind"], sort=True)]
    chosen: dict[int, None] = {}
    while any(queues) and len(chosen) < config.images:
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.popleft()
            if queue and len(chosen) < config.images:
                chosen[int(queue.popleft())] = None
    return np.array(list(chosen), dtype=np.int64)


def intervene(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    regions: pd.DataFrame,
    rows: NDArray[np.int64],
    config: FlagConfig,
    *,
    seed: int,
    classes: Sequence[str],
    out: Path | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """The effect of removing each group of marks, one row per (image, kind) looked at.

    Images are tested in the order of `rows`, in chunks. Between chunks a kind that has reached its next planned look
    is closed when its verdict is clear, and takes no further images (`sequential`: rule, error rates, sources): its
    excess effect on some class is proven above `config.min_effect` (probability) or `config.min_logit_effect`
    (log-odds), or lies below both for every class. So the cost per image falls with the number of images.

    Columns: `image_id`, `row`, `label`, `patient_id`, `kind`, `region_ids` ('|'-joined), `n_regions`, `controls`,
    `passes` (pictures classified for this row; an image's first row carries the unchanged one), `predicted`,
    `predicted_removed`, `flip`; of the kind, the same in all its rows: `kind_available` images with it among `rows`,
    `kind_tested` of them, `kind_looks` planned (multiply a p-value over the kind's images by it), `kind_stopped`:
    ``effect``, ``no effect`` or ``all tested``; and for each class c

    * `p_c`: probability before; `effect_c` = p_c(image) − p_c(group removed), positive where the marks speak for c;
    * `control_mean_c`, `control_sd_c`: the same effect of the group's controls;
    * `logit_effect_c`, `logit_control_mean_c`, `logit_control_sd_c`: the same in log-odds, log p − log(1 − p), which
      do not saturate: a mark that moves p from 0.9999 to 0.99 has a logit effect of 4.6, but an effect of 0.01;
    * `p_value_c` = (1 + #{null excess ≥ excess}) / (1 + N), one-sided, with excess = effect − control mean. The null
      pools over all groups of the kind each control's effect minus the mean of the group's other controls;
    * `q_c`: Benjamini-Hochberg over all tested groups.

    A group for which fewer than `config.controls` controls fit is kept untested: `controls` says how many there were,
    everything after removal is null. A group's effects do not depend on the other images; whether it is looked at does.

    Args:
        model: classifier returning logits, in evaluation mode.
        spec: its contract.
        dataset: where the pixels are.
        regions: the regions table; all of an image's regions are kept free of controls.
        rows: rows of `dataset` in the order to test, see `choose_rows`; those without regions give no result.
        config: fill, number of controls, stopping.
        seed: of the run.
        classes: classes to report on, names of `spec.classes`.
        out: folder for finished chunks; an interrupted call with the same request resumes there.
        progress: told after every chunk.

    Raises:
        InputError: a class that the classifier does not have.
    """
    for name in classes:
        if name not in spec.classes:
            raise InputError(f"The classifier has no class {name!r}. {did_you_mean(name, spec.classes)}")
    by_image = {str(image_id): part for image_id, part in regions.groupby("image_id", sort=True)}
    ids = dataset.images["image_id"].astype(str).to_numpy()
    marked = {int(row): by_image[ids[row]] for row in rows if ids[row] in by_image}
    test = _sequential_test(marked, config, len(classes), seed)
    request = {
        "dataset": dataset.meta.version,
        "rows": list(marked),
        "regions": sorted(regions["region_id"]),
        "config": config.model_dump(mode="json"),
        "spec": spec.as_dict(),
        "weights": weights_sha256(model),
        "seed": seed,
        "classes": list(classes),
    }
    chunks = Chunks(out, request)
    removal = Removal(model, spec, dataset, config, seed, tuple(classes))
    records: list[dict[str, Any]] = []
    for number, (done, part) in enumerate(_parts(marked, test)):
        found = chunks.once(number, partial(removal.chunk, part, marked))
        for record in found:
            if isinstance(record["predicted_removed"], str):
                test.add(record["kind"], record["image_id"], record["patient_id"], _excess(record, classes))
        test.look()
        records += found
        progress("intervene", done, len(marked))
    progress("intervene", len(marked), len(marked))
    return _with_statistics([{**each, **test.summary(each["kind"])} for each in records], classes)


def _sequential_test(marked: Mapping[int, pd.DataFrame], config: FlagConfig, classes: int, seed: int) -> SequentialTest:
    available = pd.Series([kind for part in marked.values() for kind in part["kind"].unique()], dtype=object)
    counts = {str(kind): int(count) for kind, count in available.value_counts().sort_index().items()}
    smallest = np.repeat([config.min_effect, config.min_logit_effect], classes)
    return SequentialTest(counts, config.first_look, StoppingRule(smallest, config.fdr, max(len(counts), 1)), seed)


def _parts(
    marked: Mapping[int, pd.DataFrame], test: SequentialTest
) -> Iterator[tuple[int, list[tuple[int, list[str]]]]]:
    """Chunks of (row, kinds still open on it), each with how many images are then done with.

    Lazy: which kinds are open is asked when a chunk is drawn.
    """
    part: list[tuple[int, list[str]]] = []
    for done, (row, regions) in enumerate(marked.items(), start=1):
        kinds = [str(kind) for kind in sorted(regions["kind"].unique()) if test.open(str(kind))]
        if kinds:
            part.append((row, kinds))
        if len(part) == CHUNK or (part and done == len(marked)):
            yield done, part
            part = []


def _excess(record: Mapping[str, Any], classes: Sequence[str]) -> NDArray[np.float64]:
    """Excess effects of one tested group: on the probability of every class, then on its log-odds."""
    return np.array(
        [
            record[f"{scale}effect_{name}"] - np.mean(record[f"{scale}effects_{name}"])
            for scale in _SCALES
            for name in classes
        ]
    )


def _with_statistics(records: list[dict[str, Any]], classes: Sequence[str]) -> pd.DataFrame:
    """The records as a table, control effects summarised, with p and q values."""
    singles = [f"{scale}effects_{name}" for name in classes for scale in _SCALES]
    numbers = [f"{stem}_{name}" for name in classes for stem in _STEMS]
    table = pd.DataFrame(records, columns=[*_FIXED, *singles, *numbers])
    table["flip"] = pd.array(list(_flips(table)), dtype="boolean")
    tested = table["predicted_removed"].notna().to_numpy(dtype=bool)
    for name in classes:
        for scale in _SCALES:
            effects = [np.asarray(values, dtype=np.float64) for values in table[f"{scale}effects_{name}"]]
            table[f"{scale}control_mean_{name}"] = [each.mean() if len(each) else None for each in effects]
            table[f"{scale}control_sd_{name}"] = [each.std(ddof=1) if len(each) else None for each in effects]
        effects = [np.asarray(values, dtype=np.float64) for values in table[f"effects_{name}"]]
        observed = table[f"effect_{name}"].to_numpy(dtype=float)
        p = pooled_p_values(table["kind"].to_numpy(dtype=object), observed, effects)
        q = np.full(len(table), np.nan)
        if tested.any():
            q[tested] = stats.false_discovery_control(p[tested])
        table[f"p_value_{name}"], table[f"q_{name}"] = p, q
    table = table.drop(columns=singles)
    return table.astype(
        {**dict.fromkeys(_TEXTS, "string"), **dict.fromkeys(_COUNTS, "int64"), **dict.fromkeys(numbers, "Float64")}
    )


_SCALES = ("", "logit_")
_TEXTS = ("image_id", "label", "patient_id", "kind", "region_ids", "predicted", "predicted_removed", "kind_stopped")
_COUNTS = ("row", "n_regions", "controls", "passes", "kind_available", "kind_tested", "kind_looks")
_FIXED = (
    *("image_id", "row", "label", "patient_id", "kind", "region_ids", "n_regions", "controls", "passes"),
    *("predicted", "predicted_removed", "flip", "kind_available", "kind_tested", "kind_looks", "kind_stopped"),
)
_STEMS = (
    *("p", "effect", "control_mean", "control_sd"),
    *("logit_effect", "logit_control_mean", "logit_control_sd", "p_value", "q"),
)


def _flips(table: pd.DataFrame) -> Iterator[bool | None]:
    for before, after in zip(table["predicted"], table["predicted_removed"], strict=True):
        yield None if pd.isna(after) else before != after
