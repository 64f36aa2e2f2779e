"""Traits tied to the label: a classifier that reads them is caught, those that read something else are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour.summaries import erase_summary
from pipeline.flag.behaviour.trait_test import move_traits
from pipeline.flag.film.trait_association import Tie, tied_traits, trait_association
from pipeline.flag.film.traits_dataset import traits_dataset

SIZE, COUNT = 96, 64
CLASSES = ("rest", "covid")
SPEC = ModelSpec("toy", CLASSES, (SIZE, SIZE), mean=0.0, std=1.0)
CONFIG = FlagConfig(transplants=12)
SQUARE = (slice(20, 36), slice(20, 36))


class Brightness(nn.Module):
    """Reads the exposure: logit of covid 20·(mean − 0.45)."""

    def forward(self, images: Tensor) -> Tensor:
        score = 20 * (images.mean(dim=(1, 2, 3)) - 0.45)
        return torch.stack([torch.zeros_like(score), score], dim=1)


class Rank(nn.Module):
    """Reads how many pixels of the square are brighter than the median: no gamma changes that."""

    def forward(self, images: Tensor) -> Tensor:
        middle = images.flatten(1).median(dim=1).values[:, None, None]
        score = 6 * ((images[:, 0, *SQUARE] > middle).float().mean(dim=(1, 2)) - 0.5)
        return torch.stack([torch.zeros_like(score), score], dim=1)


class Difference(nn.Module):
    """Reads whether the square is brighter than the one beside it, as one reads an opacity."""

    def forward(self, images: Tensor) -> Tensor:
        score = 20 * (images[:, 0, *SQUARE].mean(dim=(1, 2)) - images[:, 0, 20:36, 60:76].mean(dim=(1, 2)))
        return torch.stack([torch.zeros_like(score), score], dim=1)


class Sharpness(nn.Module):
    """Reads fine detail: the mean absolute difference of neighbouring columns."""

    def forward(self, images: Tensor) -> Tensor:
        score = 800 * (images.diff(dim=3).abs().mean(dim=(1, 2, 3)) - 0.0055)
        return torch.stack([score, torch.zeros_like(score)], dim=1)


def picture(number: int, trait: str) -> NDArray[np.float64]:
    """Clouds; the odd ones, of class covid, are brighter (exposure) or blurred (sharpness)."""
    generator = np.random.default_rng(number)
    plane = sum(
        weight * cv2.GaussianBlur(generator.standard_normal((SIZE, SIZE)), (0, 0), sigma) * sigma
        for weight, sigma in ((0.5, 12), (0.4, 5), (0.35, 1))
    )
    plane = np.clip(0.4 + 0.15 * plane, 0.02, 0.98)
    if number % 2:
        plane = plane**0.65 if trait == "exposure" else cv2.GaussianBlur(plane, (0, 0), 2)
    return np.asarray(plane)


def version(folder: Path, trait: str) -> DatasetVersion:
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * COUNT)
    facts = {"width": SIZE, "height": SIZE, "scale": 1.0, "pad_x": 0.0, "pad_y": 0.0}
    table = table.assign(**facts, image_id=[f"id{n:02d}" for n in range(COUNT)])
    table["label"] = [CLASSES[n % 2] for n in range(COUNT)]
    table["split"] = ["train" if n < 40 else "test" for n in range(COUNT)]
    pixels = np.stack([np.rint(picture(n, trait) * 255).astype(np.uint8) for n in range(COUNT)])
    with write_version(folder, SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", SIZE, "uint8"), table, 1)
    return DatasetVersion(folder)


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetVersion, list[Tie]]:
    return tied(tmp_path_factory.mktemp("bright"), "exposure")


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetVersion, list[Tie]]:
    return tied(tmp_path_factory.mktemp("blurred"), "sharpness")


def tied(folder: Path, trait: str) -> tuple[DatasetVersion, list[Tie]]:
    dataset = version(folder / "v", trait)
    association = trait_association(dataset, traits_dataset(dataset, folder / "traits.parquet"), seed=0)
    return dataset, [tie for tie in tied_traits(association, 0.05, "covid") if tie.trait == trait]


def run(model: nn.Module, dataset: DatasetVersion, ties: list[Tie], **options: Any) -> pd.DataFrame:
    return move_traits(model.eval(), SPEC, dataset, ties, CONFIG, seed=1, classes=CLASSES, **options)


def confirmed(effects: pd.DataFrame, name: str = "covid") -> bool:
    (summary,) = erase_summary(effects, CLASSES, 0)
    size = summary["classes"][name]["excess"]
    return bool(summary["q"] <= CONFIG.fdr and size["mean"] >= CONFIG.min_effect and size["low"] > 0)


def test_the_tied_trait_is_found_with_its_class_and_its_usual_values(bright: tuple[DatasetVersion, list[Tie]]) -> None:
    (tie,) = bright[1]
    assert (tie.trait, tie.target) == ("exposure", "covid")
    assert tie.elsewhere == pytest.approx(0.4, abs=0.03)
    assert tie.typical == pytest.approx(0.4**0.65, abs=0.04)


def test_a_classifier_that_reads_exposure_is_confirmed(bright: tuple[DatasetVersion, list[Tie]]) -> None:
    found = run(Brightness(), *bright)
    assert len(found) == 24
    assert found["direction"].value_counts().to_dict() == {"take": 12, "give": 12}
    tested = found[found["predicted_removed"].notna()]
    assert len(tested) >= 18
    assert (tested["reached"] - tested["wanted"]).abs().max() < 0.01
    assert (tested["effect_covid"] > 0).all()
    assert tested["flip"].mean() > 0.6
    assert (tested["controls"] == 8).all()
    assert (tested["control_mean_covid"] < 0.1 * tested["effect_covid"]).all()
    # Exposure falls or rises as the mean does: worked out from the column itself.
    odds = 20 * (tested["value"] - tested["reached"]).where(
        tested["direction"] == "take", tested["reached"] - tested["value"]
    )
    assert tested["logit_effect_covid"].to_numpy(float) == pytest.approx(odds.to_numpy(float), abs=0.1)
    assert confirmed(found)
    assert not confirmed(found, "rest")


@pytest.mark.parametrize("model", [Rank(), Difference()])
def test_a_classifier_that_reads_something_else_is_not(
    model: nn.Module, bright: tuple[DatasetVersion, list[Tie]]
) -> None:
    found = run(model, *bright)
    assert found["predicted_removed"].notna().sum() >= 18
    assert not confirmed(found)
    assert not confirmed(found, "rest")


def test_sharpness_is_confirmed_where_it_is_read_and_only_there(blurred: tuple[DatasetVersion, list[Tie]]) -> None:
    assert confirmed(run(Sharpness(), *blurred))
    assert not confirmed(run(Difference(), *blurred))
    assert not confirmed(run(Brightness(), *blurred))


def test_an_image_that_lacks_the_trait_has_nothing_to_take_away(bright: tuple[DatasetVersion, list[Tie]]) -> None:
    dataset, (tie,) = bright
    found = run(Brightness(), dataset, [Tie("exposure", "covid", tie.typical, 0.99)])
    taken = found[found["direction"] == "take"]
    assert taken["reached"].notna().all()  # 0.99 is further up: exposure is "taken" by raising it
    given = run(Brightness(), dataset, [Tie("exposure", "covid", 0.02, 0.01)])
    assert given.loc[given["direction"] == "give", "predicted_removed"].isna().all()
    assert given.loc[given["direction"] == "give", "passes"].tolist() == [1] * 12


def test_numbers_of_an_image_do_not_depend_on_the_others(bright: tuple[DatasetVersion, list[Tie]]) -> None:
    dataset, ties = bright
    whole = run(Brightness(), dataset, ties).set_index("image_id")
    few = FlagConfig(transplants=3)
    alone = move_traits(Brightness().eval(), SPEC, dataset, ties, few, seed=1, classes=CLASSES).set_index("image_id")
    same = ["reached", "effect_covid", "control_mean_covid", "control_sd_covid", "p_value_covid"]
    pd.testing.assert_frame_equal(alone[same], whole.loc[alone.index, same], check_exact=True)


def test_an_interrupted_run_resumes_to_the_same_table(bright: tuple[DatasetVersion, list[Tie]], tmp_path: Path) -> None:
    first = run(Brightness(), *bright, out=tmp_path / "chunks")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "chunks").glob("*.parquet")}
    again = run(Brightness(), *bright, out=tmp_path / "chunks")
    assert stamps
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "chunks").glob("*.parquet")}
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    pd.testing.assert_frame_equal(first, run(Brightness(), *bright), check_exact=True)


def test_nothing_tied_gives_an_empty_table(bright: tuple[DatasetVersion, list[Tie]]) -> None:
    found = run(Brightness(), bright[0], [])
    assert len(found) == 0
    assert {"effect_covid", "logit_control_mean_rest", "flip", "kind_looks"} <= set(found)
