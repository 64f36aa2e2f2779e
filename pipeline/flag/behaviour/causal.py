"""What removing a mark does to a prediction, against removing matched places that hold no mark.

Several marks of one kind on one image form a group, removed together; a control is a set of matched places, one for
each mark. Removal happens at stored resolution with the fill that cleansing uses, inside the content of the store.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import canonical_json, read_json, read_parquet, write_json, write_parquet
from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, did_you_mean
from pipeline.fills import fill
from pipeline.flag.behaviour.controls import box_mask, content_box, control_sets, pooled_p_values, removal_box
from pipeline.inference import BATCH
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed, numpy_generator, torch_generator
from pipeline.types import Box

DILATION = 2.0
"""Stored pixels by which a region grows before it is removed."""
MARGIN = 3.0
"""Stored pixels a control keeps from every detected region."""
CHUNK = 16
"""Images whose results are kept together for resuming."""

Floats = NDArray[np.float64]


def choose_rows(dataset: DatasetVersion, regions: pd.DataFrame, config: FlagConfig, seed: int) -> NDArray[np.int64]:
    """Rows to test: at most `config.images` images with regions, from test and validation, sorted.

    Label x kind strata take turns, so that rare combinations are not crowded out; within a stratum the order is
    random but depends on the image alone. Empty when no such image has a region.
    """
    rows = dataset.rows("test", "val")
    table = dataset.images.iloc[rows][["image_id", "label"]].assign(row=rows)
    pairs = table.merge(regions[["image_id", "kind"]].drop_duplicates(), on="image_id")
    pairs["draw"] = [derive_seed(seed, "causal-rows", str(image_id)) for image_id in pairs["image_id"]]
    queues = [part.sort_values("draw")["row"].tolist() for _, part in pairs.groupby(["label", "kind"], sort=True)]
    chosen: set[int] = set()
    while any(queues) and len(chosen) < config.images:
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < config.images:
                chosen.add(queue.pop(0))
    return np.array(sorted(chosen), dtype=np.int64)


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
    """The effect of removing each group of marks, one row per (image, kind).

    Columns: `image_id`, `row`, `label`, `patient_id`, `kind`, `region_ids` ('|'-joined), `n_regions`, `controls`,
    `predicted`, `predicted_removed`, `flip`, and for each class c

    * `p_c`: probability before; `effect_c` = p_c(image) − p_c(group removed), positive where the marks speak for c;
    * `control_mean_c`, `control_sd_c`: the same effect of the group's controls;
    * `p_value_c` = (1 + #{null excess ≥ excess}) / (1 + N), one-sided, with excess = effect − control mean. The null
      pools over all groups of the kind each control's effect minus the mean of the group's other controls;
    * `q_c`: Benjamini-Hochberg over all tested groups.

    A group for which fewer than `config.controls` controls fit is kept untested: `controls` says how many there were,
    everything after removal is null. An image's numbers do not depend on the other images.

    Args:
        model: classifier returning logits, in evaluation mode.
        spec: its contract.
        dataset: where the pixels are.
        regions: the regions table; all of an image's regions are kept free of controls.
        rows: rows of `dataset` to test; those without regions give no result.
        config: fill and number of controls.
        seed: of the run.
        classes: classes to report on, names of `spec.classes`.
        out: folder for finished chunks; an interrupted call with the same request resumes there.
        progress: told after every image.

    Raises:
        InputError: a class that the classifier does not have.
    """
    for name in classes:
        if name not in spec.classes:
            raise InputError(f"The classifier has no class {name!r}. {did_you_mean(name, spec.classes)}")
    job = _Job(model, spec, dataset, config, seed, tuple(classes))
    by_image = {str(image_id): part for image_id, part in regions.groupby("image_id", sort=True)}
    ids = dataset.images["image_id"].astype(str).to_numpy()
    tested = [int(row) for row in rows if ids[row] in by_image]
    if out is not None:
        _start(out, {"rows": tested, "regions": sorted(regions["region_id"]), **job.request()})
    records: list[dict[str, Any]] = []
    for start in range(0, len(tested), CHUNK):
        part = tested[start : start + CHUNK]
        path = None if out is None else out / f"{start // CHUNK:06d}.parquet"
        if path is not None and path.exists():
            records += [
                {str(name): value for name, value in each.items()} for each in read_parquet(path).to_dict("records")
            ]
        else:
            found = []
            for number, row in enumerate(part):
                found += job.image(row, by_image[ids[row]])
                progress("intervene", start + number + 1, len(tested))
            if path is not None:
                write_parquet(path, pd.DataFrame(found))
            records += found
        progress("intervene", start + len(part), len(tested))
    return _with_statistics(records, job.classes)


@dataclass(frozen=True)
class _Group:
    """All marks of one kind on one image: what is removed, and what is removed instead."""

    kind: str
    region_ids: list[str]
    boxes: list[Box]
    controls: list[list[Box]]


@dataclass(frozen=True)
class _Job:
    model: nn.Module
    spec: ModelSpec
    dataset: DatasetVersion
    config: FlagConfig
    seed: int
    classes: tuple[str, ...]

    def request(self) -> dict[str, Any]:
        """What an image's results are made from, apart from its regions."""
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes())
        return {
            "dataset": self.dataset.meta.version,
            "config": self.config.model_dump(mode="json"),
            "spec": self.spec.as_dict(),
            "weights": digest.hexdigest(),
            "seed": self.seed,
            "classes": list(self.classes),
        }

    def image(self, row: int, regions: pd.DataFrame) -> list[dict[str, Any]]:
        """Records of all groups of one image; `effects_<class>` holds the effects of the single controls."""
        record = self.dataset.images.iloc[row]
        image_id = str(record["image_id"])
        image = self.dataset.tensor([row])
        groups = self._groups(row, image_id, image, regions)
        tested = [group for group in groups if self._testable(group)]
        before, *after = np.split(self._probabilities(row, image_id, image, tested), self._cuts(tested))
        results = iter(after)
        common = {
            "image_id": image_id,
            "row": row,
            "label": record["label"],
            "patient_id": None if pd.isna(record["patient_id"]) else record["patient_id"],
        }
        return [
            {**common, **self._record(group, before[0], next(results) if self._testable(group) else None)}
            for group in groups
        ]

    def _testable(self, group: _Group) -> bool:
        return bool(group.boxes) and len(group.controls) >= self.config.controls

    def _cuts(self, tested: Sequence[_Group]) -> NDArray[np.int64]:
        """Where each group's probabilities start, after the unchanged image's."""
        lengths = [1] + [1 + len(group.controls) for group in tested]
        return np.cumsum(lengths)[: len(tested)].astype(np.int64)

    def _groups(self, row: int, image_id: str, image: Tensor, regions: pd.DataFrame) -> list[_Group]:
        place = self.dataset.transform(row)
        content, size = content_box(place), self.dataset.meta.size
        corners = regions[["x0", "y0", "x1", "y1"]].to_numpy(dtype=float).tolist()
        stored = {str(name): place.to_store(Box(*box)) for name, box in zip(regions["region_id"], corners, strict=True)}
        guarded = [removal_box(box, content, MARGIN) for box in stored.values()]
        forbidden = box_mask([box for box in guarded if box is not None], size)
        plane = image[0, 0].numpy()
        groups = []
        for kind, part in regions.sort_values("region_id").groupby("kind", sort=True):
            ids = [str(name) for name in part["region_id"]]
            grown = [removal_box(stored[name], content, DILATION) for name in ids]
            boxes = [box for box in grown if box is not None]
            generator = numpy_generator(self.seed, "controls", image_id, str(kind))
            controls = control_sets(plane, boxes, forbidden, self.config.controls, generator, content) if boxes else []
            groups.append(_Group(str(kind), ids, boxes, controls))
        return groups

    def _probabilities(self, row: int, image_id: str, image: Tensor, groups: Sequence[_Group]) -> Floats:
        """Probabilities of the image, then for each group of its removal and of its controls, (n, spec classes).

        At most `BATCH` pictures at a time, all of one image: batches never depend on other images.
        """
        device = next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))
        parts = [self.spec.probabilities(self.model, image.to(device))]
        removals = [boxes for group in groups for boxes in [group.boxes, *group.controls]]
        for start in range(0, len(removals), BATCH):
            generator = torch_generator(self.seed, "fill", image_id, start)
            pictures = self._removed(row, image, removals[start : start + BATCH], generator)
            parts.append(self.spec.probabilities(self.model, pictures.to(device)))
        return np.concatenate([part.cpu().numpy() for part in parts]).astype(np.float64)

    def _removed(self, row: int, image: Tensor, removals: list[list[Box]], generator: torch.Generator) -> Tensor:
        """The image once for each list of boxes, with those boxes filled; the fill never sees letterbox padding."""
        size = self.dataset.meta.size
        where = torch.from_numpy(np.stack([box_mask(boxes, size) for boxes in removals])).unsqueeze(1)
        content = content_box(self.dataset.transform(row))
        window = (..., slice(int(content.y0), int(content.y1)), slice(int(content.x0), int(content.x1)))
        pictures = image.repeat(len(removals), 1, 1, 1)
        pictures[window] = fill(self.config.fill)(pictures[window], where[window], generator)
        return pictures

    def _record(self, group: _Group, before: Floats, after: Floats | None) -> dict[str, Any]:
        record: dict[str, Any] = {
            "kind": group.kind,
            "region_ids": "|".join(group.region_ids),
            "n_regions": len(group.region_ids),
            "controls": len(group.controls),
            "predicted": self.spec.classes[int(before.argmax())],
            "predicted_removed": None if after is None else self.spec.classes[int(after[0].argmax())],
        }
        for name in self.classes:
            index = self.spec.classes.index(name)
            effects = None if after is None else before[index] - after[:, index]
            record[f"p_{name}"] = float(before[index])
            record[f"effect_{name}"] = None if effects is None else float(effects[0])
            record[f"effects_{name}"] = [] if effects is None else [float(value) for value in effects[1:]]
        return record


def _start(folder: Path, request: dict[str, Any]) -> None:
    """Empty `folder`, unless it holds chunks of the same request."""
    ledger = folder / "request.json"
    if ledger.exists() and canonical_json(read_json(ledger)) == canonical_json(request):
        return
    shutil.rmtree(folder, ignore_errors=True)
    write_json(ledger, request)


def _with_statistics(records: list[dict[str, Any]], classes: Sequence[str]) -> pd.DataFrame:
    """The records as a table, control effects summarised, with p and q values."""
    names = [f"{stem}_{name}" for name in classes for stem in _STEMS]
    table = pd.DataFrame(records, columns=[*_FIXED, *(f"effects_{name}" for name in classes), *names])
    table["flip"] = pd.array(list(_flips(table)), dtype="boolean")
    tested = table["predicted_removed"].notna().to_numpy(dtype=bool)
    for name in classes:
        effects = [np.asarray(values, dtype=np.float64) for values in table[f"effects_{name}"]]
        table[f"control_mean_{name}"] = [values.mean() if len(values) else None for values in effects]
        table[f"control_sd_{name}"] = [values.std(ddof=1) if len(values) else None for values in effects]
        p = pooled_p_values(
            table["kind"].to_numpy(dtype=object), table[f"effect_{name}"].to_numpy(dtype=float), effects
        )
        q = np.full(len(table), np.nan)
        if tested.any():
            q[tested] = stats.false_discovery_control(p[tested])
        table[f"p_value_{name}"], table[f"q_{name}"] = p, q
    table = table.drop(columns=[f"effects_{name}" for name in classes])
    numbers = dict.fromkeys(names, "Float64")
    return table.astype({**dict.fromkeys(_TEXTS, "string"), **dict.fromkeys(_COUNTS, "int64"), **numbers})


_TEXTS = ("image_id", "label", "patient_id", "kind", "region_ids", "predicted", "predicted_removed")
_COUNTS = ("row", "n_regions", "controls")
_FIXED = ("image_id", "row", "label", "patient_id", "kind", "region_ids", "n_regions", "controls", *_TEXTS[5:], "flip")
_STEMS = ("p", "effect", "control_mean", "control_sd", "p_value", "q")


def _flips(table: pd.DataFrame) -> Iterator[bool | None]:
    for before, after in zip(table["predicted"], table["predicted_removed"], strict=True):
        yield None if pd.isna(after) else before != after
