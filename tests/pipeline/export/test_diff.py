"""Two versions whose difference is known, pixel by pixel."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.dataset import DatasetVersion, derive_version
from pipeline.errors import InputError
from pipeline.export import diff_markdown, diff_versions, render_diff
from tests.pipeline.export.films import make_version


@pytest.fixture
def changed(study: DatasetVersion, tmp_path: Path) -> DatasetVersion:
    """`study` without its first image, a 4 x 5 square of the second one inverted."""

    def edit(table, images: torch.Tensor) -> torch.Tensor:
        edited = images.clone()
        edited[0, 0, 20:24, 30:35] = 1 - edited[0, 0, 20:24, 30:35]
        return edited

    return derive_version(study, tmp_path / "datasets/study/v1", np.arange(1, 5), edit, "v1", {"operation": "test"})


def test_every_image_is_accounted_for(study: DatasetVersion, changed: DatasetVersion) -> None:
    found = diff_versions(study, changed)
    assert found.images["status"].tolist() == ["missing", "changed", "same", "same", "same"]
    assert found.images["path"].tolist() == study.images["path"].tolist()
    assert found.images["changed_pixels"].tolist()[1:] == [20, 0, 0, 0]
    content = 64 * 48
    assert found.counts == {
        "images": 5, "changed": 1, "added": 0, "missing": 1, "same": 3, "relabelled": 0, "moved_to_another_split": 0,
        "changed_pixels": 20, "content_pixels": 4 * content, "share_of_pixels": 20 / (4 * content),
    }  # fmt: skip
    label = found.groups[found.groups["group"] == "label"].set_index("value")
    assert label.loc["rest", ["images", "changed", "missing", "same"]].tolist() == [3, 0, 1, 2]
    assert label.loc["covid", ["images", "changed", "missing", "same"]].tolist() == [2, 1, 0, 1]
    assert (found.groups.groupby("group")["images"].sum() == 5).all()


def test_the_other_way_round_what_was_missing_is_added(study: DatasetVersion, changed: DatasetVersion) -> None:
    found = diff_versions(changed, study)
    assert (found.counts["added"], found.counts["missing"]) == (1, 0)
    assert found.images["status"].iloc[-1] == "added"


def test_a_version_equals_itself(study: DatasetVersion) -> None:
    found = diff_versions(study, study)
    assert (found.counts["same"], found.counts["changed_pixels"]) == (5, 0)
    assert found.to_dict()["images"] == []


def test_other_labels_and_splits_are_counted(study: DatasetVersion, data_root: Path, tmp_path: Path) -> None:
    other = make_version(tmp_path / "datasets/study/v2", data_root)
    other.images.loc[0, "label"] = "covid"
    other.images.loc[1, "split"] = "val"
    found = diff_versions(study, other)
    assert (found.counts["relabelled"], found.counts["moved_to_another_split"]) == (1, 1)
    assert found.images["label_before"].iloc[0] == "rest"
    assert "1 have another label; 1 are in another split" in diff_markdown(found)


def test_the_page_stands_alone_and_shows_the_pair(study: DatasetVersion, changed: DatasetVersion) -> None:
    found = diff_versions(study, changed)
    page = render_diff(found, study, changed)
    assert page.count("<figure>") == 2
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert "1 of 4 images in both versions changed" in page
    assert render_diff(found, study, changed) == page


def test_markdown_is_a_table(study: DatasetVersion, changed: DatasetVersion) -> None:
    lines = diff_markdown(diff_versions(study, changed)).splitlines()
    assert lines[0] == "# v0 → v1"
    assert {line.count("|") for line in lines if line.startswith("|")} == {8}


def test_versions_without_a_common_image_are_refused(study: DatasetVersion, changed: DatasetVersion) -> None:
    changed.images["image_id"] = changed.images["image_id"] + "x"
    with pytest.raises(InputError, match="no image in common"):
        diff_versions(study, changed)
