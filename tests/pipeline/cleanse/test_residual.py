"""What detectors find after cleansing is put in its place: left over, drawn by a fill, known before, or new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from pipeline.cleanse import Plan, PlanLine, check_residual, filled_rows
from pipeline.cleanse.normalise import draw_markers
from pipeline.cleanse.residual import RESIDUAL_COLUMNS
from pipeline.dataset import DatasetVersion, derive_version

Corners = tuple[float, float, float, float]

FILLED = (slice(4, 10), slice(12, 20))  # stored pixels of the marks of the fixture: originals / 2, padded by 8
MARK: Corners = (8, 8, 24, 20)
DATE: Corners = (40, 100, 80, 120)
Cleanse = Callable[..., DatasetVersion]


def plan(policy: str = "remove") -> Plan:
    line = PlanLine(finding="F1", kind="side", policy=policy, decided_by="ann")
    return Plan(dataset="v0", fill="mean", dilation=0.0, lines=(line,))


def found(*regions: tuple[str, str, Corners]) -> pd.DataFrame:
    rows = [
        {"image_id": name, "kind": kind, "text": None, "confidence": 0.5}
        | dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))
        for name, kind, corners in regions
    ]
    return pd.DataFrame(rows, columns=["image_id", "kind", "text", "x0", "y0", "x1", "y1", "confidence"])


@pytest.fixture
def cleanse(tmp_path: Path, dataset: DatasetVersion) -> Cleanse:
    def made(*numbers: int, marker: bool = False) -> DatasetVersion:
        """The place of the mark filled in these images."""

        def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
            edited = images.clone()
            for number in numbers:
                edited[number, 0, *FILLED] = 0.3
            return draw_markers(edited, table.to_dict("records")) if marker else edited

        return derive_version(dataset, tmp_path / "cleansed", np.arange(len(dataset)), edit, "cleansed", {})

    return made


def test_what_is_left_of_a_mark_goes_back_to_review(
    dataset: DatasetVersion, regions: pd.DataFrame, cleanse: Cleanse
) -> None:
    cleansed = cleanse(1, 3, 8, 9)
    assert filled_rows(dataset, cleansed, plan()).tolist() == [1, 3, 8, 9]
    again = found(
        ("id01", "arrow", (8, 8, 16, 20)),  # half of the mark
        ("id03", "device", (8, 14, 24, 26)),  # half of it was filled, half sticks out
        ("id08", "side", (20, 20, 40, 30)),  # beside the filled place, not known before
        ("id09", "date", (42, 100, 80, 120)),  # known before, and to stay
    )
    counts, left = check_residual(dataset, cleansed, plan(), regions, again)
    assert list(left) == list(RESIDUAL_COLUMNS)
    assert left["image_id"].to_list() == ["id01", "id03"]
    assert left["overlap"].to_list() == [1.0, 0.5]
    assert left["place"].to_list() == ["mark", "mark"]
    share = counts.pop("share")
    assert share["mean"] == 0.5
    assert share["low"] < 0.5 < share["high"]
    words = counts.pop("words")
    assert counts == {
        "checked_images": 4, "decoy_images": 0, "filled_regions": 4, "still_found": 2,
        "by_kind": {"arrow": 1, "device": 1}, "at_decoys": 0, "neutral_markers": 0, "new_elsewhere": 1, "overlap": 0.3,
    }  # fmt: skip
    assert "2 regions are still found at filled places (1 arrow, 1 device)" in words[0]
    assert "50.0% of the 4 filled regions" in words[0]


def test_decoys_count_apart(dataset: DatasetVersion, regions: pd.DataFrame, cleanse: Cleanse) -> None:
    again = found(("id00", "glyph", MARK), ("id01", "date", DATE))
    counts, left = check_residual(dataset, cleanse(0, 1), plan(), regions, again)
    assert (counts["decoy_images"], counts["at_decoys"], counts["still_found"]) == (1, 1, 0)
    assert (counts["filled_regions"], counts["share"]["mean"], counts["new_elsewhere"]) == (1, 0.0, 0)
    assert left["place"].to_list() == ["decoy"]
    assert "none of the 1 filled regions is still found" in counts["words"][0]


def test_a_neutral_marker_is_no_residue(dataset: DatasetVersion, regions: pd.DataFrame, cleanse: Cleanse) -> None:
    # The disc has a diameter of 2 stored pixels and stands 1.44 from the corner: original pixels 3 to 7.
    cleansed, normalising = cleanse(1, marker=True), plan("normalise")
    assert filled_rows(dataset, cleansed, normalising).tolist() == [1]
    again = found(("id01", "side", (3, 3, 7, 7)), ("id01", "side", MARK))
    counts, left = check_residual(dataset, cleansed, normalising, regions, again)
    assert (counts["neutral_markers"], counts["still_found"]) == (1, 1)
    assert left["x0"].to_list() == [8.0]


def test_what_was_to_go_but_was_held_back_is_not_counted(
    dataset: DatasetVersion, regions: pd.DataFrame, cleanse: Cleanse
) -> None:
    both = pd.concat([regions, found(("id01", "side", (60, 60, 76, 72)))], ignore_index=True)
    counts, left = check_residual(dataset, cleanse(1), plan(), both, found(("id01", "side", (60, 60, 76, 72))))
    assert (counts["filled_regions"], counts["still_found"], counts["new_elsewhere"], len(left)) == (1, 0, 0, 0)


def test_nothing_found_is_an_empty_table_with_its_columns(
    dataset: DatasetVersion, regions: pd.DataFrame, cleanse: Cleanse
) -> None:
    counts, left = check_residual(dataset, cleanse(1), plan(), regions, found())
    assert counts["by_kind"] == {}
    assert left.dtypes.astype(str).to_dict() == RESIDUAL_COLUMNS


def test_the_class_is_not_looked_at(
    make_dataset: Callable[..., DatasetVersion], regions: pd.DataFrame, cleanse: Cleanse
) -> None:
    again = found(("id01", "arrow", MARK), ("id00", "glyph", MARK))
    cleansed = cleanse(0, 1, 8)
    results = [
        check_residual(make_dataset(labels=labels, name=labels[0]), cleansed, plan(), regions, again)
        for labels in (["rest", "covid"] * 12, ["covid"] * 12 + ["rest"] * 12)
    ]
    assert results[0][0] == results[1][0]
    pd.testing.assert_frame_equal(results[0][1], results[1][1])
