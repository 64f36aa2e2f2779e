"""The fingerprint check fails a cleanse that plants a mark of the class, and passes one that does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from pipeline.cleanse import Plan, PlanLine, check_fingerprint
from pipeline.cleanse.fingerprint import class_fingerprint, verdict_of
from pipeline.cleanse.normalise import draw_markers
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, derive_version, write_version
from pipeline.errors import InputError

SIZE, COUNT = 48, 90
PLACE = (slice(6, 14), slice(28, 40))
CONTENT = {"width": SIZE, "height": SIZE, "scale": 1.0, "pad_x": 0.0, "pad_y": 0.0}
NOTHING = pd.DataFrame({"image_id": [], "kind": [], "text": [], "x0": [], "y0": [], "x1": [], "y1": []})

Fill = Callable[[int, Tensor], Tensor]
"""Number of an image and its pixels (S, S) -> the pixels after cleansing."""


def ground(number: int, purpose: int = 0) -> Tensor:
    """Grey noise: what the image shows where nothing was printed."""
    noise = np.random.default_rng([number, purpose]).standard_normal((SIZE, SIZE))
    return torch.from_numpy(0.5 + 0.05 * noise).float()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[DatasetVersion, DatasetVersion]]:
    def made(ink: float, fill: Fill, positive: Callable[[int], bool] | None = None) -> tuple[DatasetVersion, ...]:
        """Raw and cleansed: odd images carry a mark of `ink`, and are the positive ones unless said otherwise."""
        is_positive = positive or (lambda number: number % 2 == 1)
        table = pd.DataFrame({name: [None] * COUNT for name in IMAGE_COLUMNS})
        table = table.assign(
            image_id=[f"id{number:03d}" for number in range(COUNT)],
            patient_id=[f"p{number // 3}" for number in range(COUNT)],
            label=["ill" if is_positive(number) else "well" for number in range(COUNT)],
            path="x.png", split="train", **CONTENT,
        )  # fmt: skip
        images = torch.stack([ground(number) for number in range(COUNT)])
        images[1::2, *PLACE] += ink
        with write_version(tmp_path / "raw", SIZE, "uint16") as writer:
            writer.write_shard(0, table, (images.clamp(0, 1) * 65535).round().numpy().astype(np.uint16))
            meta = DatasetMeta("study", "raw", "A study", ("well", "ill"), "ill", SIZE, "uint16")
            writer.finish(meta, table, 1)
        raw = DatasetVersion(tmp_path / "raw")

        def edit(_table: pd.DataFrame, stored: Tensor) -> Tensor:
            return torch.stack([fill(number, image[0].clone())[None] for number, image in enumerate(stored)])

        return raw, derive_version(raw, tmp_path / "cleansed", np.arange(COUNT), edit, "cleansed", {})

    return made


def patch_of_marked(number: int, image: Tensor) -> Tensor:
    """Only marked images, by a constant: an obvious patch."""
    if number % 2:
        image[PLACE] = 0.5
    return image


def perfect_with_decoys(number: int, image: Tensor) -> Tensor:
    """All images, by ground like any other."""
    image[PLACE] = ground(number, purpose=1)[PLACE]
    return image


def test_a_patch_in_one_class_fails(make: Callable[..., tuple[DatasetVersion, DatasetVersion]]) -> None:
    result = class_fingerprint(*make(0.002, patch_of_marked), NOTHING)  # a mark of 1/25 of the noise: hard to read
    assert 0.35 < result["before"]["mean"] < 0.65
    assert result["after"]["mean"] > 0.99
    assert result["difference"]["low"] > 0.2
    assert result["remaining"]["low"] > 0.2
    assert verdict_of(result["difference"]) == "failed"
    counts = {"images": COUNT, "patients": COUNT // 3, "positive": 45, "changed": 45, "changed_positive": 45}
    assert counts.items() <= result.items()


def test_a_good_fill_with_decoys_passes(make: Callable[..., tuple[DatasetVersion, DatasetVersion]]) -> None:
    result = class_fingerprint(*make(0.4, perfect_with_decoys), NOTHING)
    assert result["before"]["mean"] > 0.99
    assert 0.35 < result["after"]["mean"] < 0.65
    assert 0.35 < result["elsewhere"]["mean"] < 0.65
    assert verdict_of(result["difference"]) == "passed"
    assert result["changed"] == COUNT


def test_a_patch_in_place_of_a_bright_mark_still_tells_the_class(
    make: Callable[..., tuple[DatasetVersion, DatasetVersion]],
) -> None:
    result = class_fingerprint(*make(0.4, patch_of_marked), NOTHING)
    assert (result["before"]["mean"], result["after"]["mean"]) == pytest.approx((1, 1), abs=0.01)
    assert verdict_of(result["difference"]) == "passed"  # not easier than before; but
    assert result["remaining"]["low"] > 0.2


def test_permuted_labels_are_not_told(make: Callable[..., tuple[DatasetVersion, DatasetVersion]]) -> None:
    ill = set(np.random.default_rng(0).permutation(COUNT)[: COUNT // 2].tolist())
    result = class_fingerprint(*make(0.4, patch_of_marked, positive=ill.__contains__), NOTHING)
    for name in ("before", "after", "elsewhere"):
        assert 0.35 < result[name]["mean"] < 0.65, name


def test_the_yardstick_keeps_away_from_what_was_found(
    make: Callable[..., tuple[DatasetVersion, DatasetVersion]],
) -> None:
    versions = make(0.4, lambda number, image: perfect_with_decoys(number, image) if number % 2 else image)
    (top, bottom), (left, right) = ((part.start, part.stop) for part in PLACE)
    marks = [(f"id{number:03d}", "mark", None, left, top, right, bottom) for number in range(1, COUNT, 2)]
    result = class_fingerprint(*versions, pd.DataFrame(marks, columns=list(NOTHING)))
    assert result["before"]["mean"] > 0.99
    assert result["elsewhere"]["mean"] < 0.65


def test_too_few_patients_or_nothing_filled_give_no_number(
    make: Callable[..., tuple[DatasetVersion, DatasetVersion]],
) -> None:
    raw, cleansed = make(0.4, patch_of_marked, positive=lambda number: number < 12)
    nothing = {"mean": None, "low": None, "high": None}
    few = class_fingerprint(raw, cleansed, NOTHING)
    assert (few["images"], few["difference"]) == (COUNT, nothing)
    assert verdict_of(few["difference"]) == "undecided"
    untouched = class_fingerprint(raw, raw, NOTHING)
    assert (untouched["images"], untouched["after"]) == (0, nothing)


def test_versions_of_other_images_are_refused(
    make: Callable[..., tuple[DatasetVersion, DatasetVersion]], dataset: DatasetVersion
) -> None:
    with pytest.raises(InputError, match="same images"):
        class_fingerprint(make(0.4, patch_of_marked)[0], dataset, NOTHING)


def test_a_neutral_marker_is_not_read(make: Callable[..., tuple[DatasetVersion, DatasetVersion]]) -> None:
    versions = make(0.4, lambda number, image: draw_markers(image[None, None], [CONTENT])[0, 0])
    assert class_fingerprint(*versions, NOTHING, neutral=True)["images"] == 0


def test_the_check_says_it_in_words(make: Callable[..., tuple[DatasetVersion, DatasetVersion]]) -> None:
    raw, cleansed = make(0.002, patch_of_marked)
    (top, bottom), (left, right) = ((part.start, part.stop) for part in PLACE)
    marks = [(f"id{number:03d}", "side", None, left, top, right, bottom) for number in range(1, COUNT, 2)]
    line = PlanLine(finding="F1", kind="side", decided_by="ann")
    plan = Plan(dataset="raw", fill="mean", dilation=0.0, lines=(line,))
    result = check_fingerprint(raw, cleansed, plan, pd.DataFrame(marks, columns=list(NOTHING)))
    assert result["verdict"] == "failed"
    assert result["trace"]["auroc"]["mean"] > 0.99
    failure, remaining, trace = result["words"]
    assert "FAILED" in failure
    assert f"{COUNT} images of {COUNT // 3} patients" in failure
    assert "what was filled still tells more than the images themselves do" in remaining
    assert f"({COUNT // 2} filled" in trace


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "failed"),
        (-0.3, -0.1, "passed"),
        (-0.01, 0.02, "passed"),
        (-0.01, 0.03, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_verdicts(low: float | None, high: float | None, verdict: str) -> None:
    assert verdict_of({"mean": 0.0, "low": low, "high": high}) == verdict
