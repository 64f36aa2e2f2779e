"""The causal test of image-wide traits: does moving exposure, sharpness, ... move the answer?

The counterpart of the erase and transplant tests for what has no place. On images of the class that a trait is tied to,
the trait is moved to where images of the other classes usually have it (taken away); on images of the other classes it
is moved to where that class has it (given). Controls are placebos: changes of the same size that leave the trait alone
(`pipeline.flag.film.shift` says which, and why). A placebo has no direction, so its effect may have either sign: what
counts is how far it moves the answer, and the test asks whether moving the trait moves it further, the expected way.
That errs on the safe side: under the null the excess over the mean absolute effect of the placebos is negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.chunks import Chunks
from pipeline.flag.behaviour.controls import content_box
from pipeline.flag.behaviour.outputs import Outputs, classify
from pipeline.flag.detect import as_grey8
from pipeline.flag.film.borders import find_borders
from pipeline.flag.film.corners import inside_borders
from pipeline.flag.film.shift import Plane, measured, placebos, shifted
from pipeline.flag.film.trait_association import Tie
from pipeline.inference import weights_sha256
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed, numpy_generator

CHUNK = 12
"""Images whose results are kept together for resuming."""
PREFIX = "trait/"
"""Before a trait's name where kinds of regions and of traits stand in one list."""

Direction = Literal["take", "give"]


def move_traits(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    ties: Sequence[Tie],
    config: FlagConfig,
    *,
    seed: int,
    classes: Sequence[str],
    out: Path | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """The effect of moving each tied trait, one row per (trait, image).

    Up to `config.transplants` test and validation images of the trait's class, which has it taken away, and as many of
    the other classes, which are given it, in an order that depends on the images alone. The first eight columns of
    `intervene` have the same names, so that `erase_summary` reads this table, too.

    Columns: `image_id`, `row`, `label`, `patient_id`, `kind` (``trait/<trait>``), `trait`, `class` (it is tied to),
    `direction` (``take`` or ``give``), `value`, `wanted`, `reached` (the trait before, where it should go, where it
    went), `rms` (of the change, in [0, 1]), `controls`, `passes` (pictures classified), `predicted`,
    `predicted_removed` (after the move), `flip`; `kind_available`, `kind_tested`, `kind_looks` (1), `kind_stopped`
    (``all tested``); and for each class c

    * `p_c`: probability before; `effect_c`: positive where the trait speaks for c: the fall of p_c where it was taken
      away, the rise where it was given;
    * `control_mean_c`, `control_sd_c`: of the absolute effects of the placebos;
    * `logit_effect_c`, `logit_control_mean_c`, `logit_control_sd_c`: the same in log-odds;
    * `p_value_c` = (1 + #{|placebo effect| >= effect}) / (1 + controls), this image alone.

    Where the trait could not be moved half of the way, or already lies beyond where it should go, `predicted_removed`
    and all that follows from it is null. An image's numbers do not depend on the other images.

    Args:
        model: classifier returning logits, in evaluation mode.
        spec: its contract.
        dataset: where the pixels are.
        ties: from `tied_traits`.
        config: number of images and of placebos.
        seed: of the run.
        classes: classes to report on, names of `spec.classes`.
        out: folder for finished chunks; an interrupted call with the same request resumes there.
        progress: told after every chunk.
    """
    jobs = [(tie, row) for tie in ties for row in _rows(dataset, tie, config.transplants, seed)]
    request = {
        "dataset": dataset.meta.version,
        "ties": [asdict(tie) for tie in ties],
        "config": config.model_dump(mode="json"),
        "spec": spec.as_dict(),
        "weights": weights_sha256(model),
        "seed": seed,
        "classes": list(classes),
    }
    chunks = Chunks(out, request)
    test = _Test(model, spec, dataset, config.controls, seed, tuple(classes))
    records: list[dict[str, Any]] = []
    for start in range(0, len(jobs), CHUNK):
        records += chunks.once(start // CHUNK, partial(test.chunk, jobs[start : start + CHUNK]))
        progress("move traits", min(start + CHUNK, len(jobs)), len(jobs))
    return _as_table(records, classes)


def _rows(dataset: DatasetVersion, tie: Tie, wanted: int, seed: int) -> Iterator[int]:
    """Up to `wanted` rows of the tie's class, then as many of the others, in random but lasting order."""
    rows = dataset.rows("test", "val")
    ids, labels = (dataset.images[name].astype(str).tolist() for name in ("image_id", "label"))
    order = sorted(rows.tolist(), key=lambda row: derive_seed(seed, "trait-rows", ids[row]))
    yield from [row for row in order if labels[row] == tie.target][:wanted]
    yield from [row for row in order if labels[row] != tie.target][:wanted]


@dataclass(frozen=True)
class _Test:
    model: nn.Module
    spec: ModelSpec
    dataset: DatasetVersion
    controls: int
    seed: int
    classes: tuple[str, ...]

    def chunk(self, jobs: Sequence[tuple[Tie, int]]) -> list[dict[str, Any]]:
        return [self.record(tie, row) for tie, row in jobs]

    def record(self, tie: Tie, row: int) -> dict[str, Any]:
        facts = self.dataset.images.iloc[row]
        image_id, label = str(facts["image_id"]), str(facts["label"])
        direction: Direction = "take" if label == tie.target else "give"
        wanted = tie.elsewhere if direction == "take" else tie.typical
        image = self.dataset.tensor([row])
        window = self._window(row, image)
        picture = image[0, 0][window].numpy()
        value = measured(picture, tie.trait)
        # An image of the class that lacks the trait has nothing to take away, and the other way round.
        lacking = (wanted - value) * (tie.elsewhere - tie.typical) * (1 if direction == "take" else -1) <= 0
        noise = derive_seed(self.seed, "trait-noise", image_id, tie.trait)
        changed = None if lacking or not np.isfinite(value) else shifted(picture, tie.trait, wanted, noise)
        pictures = [] if changed is None else [changed, *self._placebos(picture, changed, tie.trait, image_id)]
        answers = classify(self.model, self.spec, self._with(image, window, pictures))
        return {
            "image_id": image_id,
            "row": row,
            "label": label,
            "patient_id": None if pd.isna(facts["patient_id"]) else str(facts["patient_id"]),
            "kind": PREFIX + tie.trait,
            "trait": tie.trait,
            "class": tie.target,
            "direction": direction,
            "value": value,
            "wanted": wanted,
            "reached": None if changed is None else measured(changed, tie.trait),
            "rms": None if changed is None else float(np.sqrt(((changed - picture) ** 2).mean())),
            "controls": max(len(pictures) - 1, 0),
            "passes": len(answers),
            **self._effects(answers, direction),
        }

    def _window(self, row: int, image: Tensor) -> tuple[slice, slice]:
        """Where the picture lies in the store, without letterbox padding and borders."""
        content = content_box(self.dataset.transform(row))
        top, left = int(content.y0), int(content.x0)
        grey = as_grey8(image[0, 0, top : int(content.y1), left : int(content.x1)].numpy())
        inner = inside_borders(grey.shape, [each.box for each in find_borders(grey, [])])
        return (
            slice(top + int(inner.y0), top + int(inner.y1)),
            slice(left + int(inner.x0), left + int(inner.x1)),
        )

    def _placebos(self, picture: Plane, changed: Plane, trait: str, image_id: str) -> list[Plane]:
        return placebos(picture, changed, trait, self.controls, numpy_generator(self.seed, "placebos", image_id, trait))

    def _with(self, image: Tensor, window: tuple[slice, slice], pictures: Sequence[Plane]) -> Tensor:
        """The image, then the image once with each of `pictures` in its window."""
        images = image.repeat(1 + len(pictures), 1, 1, 1)
        for number, picture in enumerate(pictures, start=1):
            images[number, 0][window] = torch.from_numpy(picture)
        return images

    def _effects(self, answers: Outputs, direction: Direction) -> dict[str, Any]:
        names = [self.spec.classes[int(each)] for each in answers.probabilities.argmax(axis=1)]
        tested = len(answers) > 1
        found: dict[str, Any] = {"predicted": names[0], "predicted_removed": names[1] if tested else None}
        sign = 1 if direction == "take" else -1
        for name in self.classes:
            index = self.spec.classes.index(name)
            found[f"p_{name}"] = float(answers.probabilities[0, index])
            for scale, values in (("", answers.probabilities), ("logit_", answers.log_odds)):
                effects = sign * (values[0, index] - values[1:, index])
                found |= _summary(effects, f"{scale}{{}}_{name}") if tested else {}
            if tested:
                found[f"p_value_{name}"] = _rank(
                    sign * (answers.probabilities[0] - answers.probabilities[1:])[:, index]
                )
        return found


def _summary(effects: NDArray[np.float64], column: str) -> dict[str, float]:
    """Of the move, first of `effects`, and of its placebos."""
    sizes = np.abs(effects[1:])
    return {
        column.format("effect"): float(effects[0]),
        column.format("control_mean"): float(sizes.mean()),
        column.format("control_sd"): float(sizes.std(ddof=1)),
    }


def _rank(effects: NDArray[np.float64]) -> float:
    return float((1 + (np.abs(effects[1:]) >= effects[0]).sum()) / len(effects))


def _as_table(records: Sequence[dict[str, Any]], classes: Sequence[str]) -> pd.DataFrame:
    numbers = [*_NUMBERS, *(f"{stem}_{name}" for name in classes for stem in _STEMS)]
    table = pd.DataFrame(records, columns=[*_TEXTS, *_COUNTS, *numbers])
    tested = table["predicted_removed"].notna()
    table.insert(
        len(_TEXTS), "flip", (table["predicted"] != table["predicted_removed"]).astype("boolean").where(tested)
    )
    by_kind = table.assign(tested=tested).groupby("kind")["tested"]
    table["kind_available"], table["kind_tested"] = by_kind.transform("size"), by_kind.transform("sum")
    table["kind_looks"], table["kind_stopped"] = 1, "all tested"
    counts = (*_COUNTS, "kind_available", "kind_tested", "kind_looks")
    return table.astype(
        {
            **dict.fromkeys((*_TEXTS, "kind_stopped"), "string"),
            **dict.fromkeys(counts, "int64"),
            **dict.fromkeys(numbers, "Float64"),
        }
    )


_TEXTS = (
    *("image_id", "label", "patient_id", "kind", "trait", "class", "direction"),
    *("predicted", "predicted_removed"),
)
_COUNTS = ("row", "controls", "passes")
_NUMBERS = ("value", "wanted", "reached", "rms")
_STEMS = (
    *("p", "effect", "control_mean", "control_sd"),
    *("logit_effect", "logit_control_mean", "logit_control_sd", "p_value"),
)
