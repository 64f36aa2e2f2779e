from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from models.lungs import load_lung_net
from pipeline.benchmark import lungs
from pipeline.benchmark.lungs import dice, mean_dice, real_example, score_lungs, train_lungs
from pipeline.errors import EmptyResultError
from pipeline.ingest.lung_masks import MaskedImage
from pipeline.ingest.synthetic.phantom import PhantomSpec, render


def test_dice_by_hand() -> None:
    first, second = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    first[:2], second[1:3] = True, True
    assert dice(first, second) == 2 * 4 / 16
    assert dice(first, first) == 1
    assert dice(first, ~first) == 0
    assert dice(first & False, first & False) == 1


def test_scores_are_of_cleaned_masks_and_unfound_lungs_are_zero() -> None:
    truth = np.zeros((100, 100), dtype=bool)
    truth[20:80, 10:40] = truth[20:80, 60:90] = True
    specks = truth.astype(np.float32)
    specks[2:5, 2:5] = 1
    images = [MaskedImage("clean", "a", specks, truth), MaskedImage("none", "b", np.zeros_like(specks), truth)]

    def segmenter(images: Tensor) -> Tensor:
        return images

    table = score_lungs(segmenter, images)
    assert table["dice"].tolist() == [1.0, 0.0]
    assert table["found"].tolist() == [True, False]
    result = mean_dice(table, 0)
    assert (result["dice"], result["dice_lowest"], result["images"], result["not_found"]) == (0.5, 0.0, 2, 1)
    assert (result["dice_low"], result["dice_high"]) == (0, 1)


def test_pictures_of_one_patient_widen_the_interval() -> None:
    """Half of the pictures have Dice 0.8, half 1.0: means vary by 0.1 / sqrt(40), or by patient 0.1 / sqrt(4)."""
    values = np.repeat([0.8, 1.0, 0.8, 1.0], 10)
    apart = pd.DataFrame({"name": range(40), "group": range(40), "dice": values, "found": True})
    same = apart.assign(group=np.repeat(range(4), 10))
    widths = [each["dice_high"] - each["dice_low"] for each in (mean_dice(apart, 0), mean_dice(same, 0))]
    assert widths[1] > 2 * widths[0]
    with pytest.raises(EmptyResultError):
        mean_dice(apart[:0], 0)


def test_training_pictures_are_square_and_keep_their_aspect() -> None:
    truth = np.zeros((60, 120), dtype=bool)
    truth[:, :60] = True
    example = real_example(MaskedImage("a", "a", truth.astype(np.float32), truth))
    assert example.picture.shape == example.lungs.shape == (lungs.SIDE, lungs.SIDE)
    assert example.lungs.mean() == pytest.approx(0.25, abs=0.01)
    assert not example.lungs[: lungs.SIDE // 4 - 2].any()


def test_a_training_leaves_weights_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lungs, "PHANTOMS", PhantomSpec(images=2, other_source_images=2, size=256))
    for name in ("pictures", "masks"):
        (tmp_path / name).mkdir()
    for index in range(8):
        phantom = render(PhantomSpec(images=8, size=128, seed=1), index, "phantom-a")
        for folder, pixels in (("pictures", phantom.image), ("masks", phantom.lungs)):
            cv2.imwrite(str(tmp_path / folder / f"{index}.png"), np.rint(pixels.astype(float) * 255).astype(np.uint8))
    stages: list[str] = []
    metrics = train_lungs(
        tmp_path / "pictures",
        tmp_path / "masks",
        tmp_path / "out",
        steps=2,
        progress=lambda stage, done, total: stages.append(f"{stage} {done}/{total}"),
    )
    assert stages == [*(f"phantoms {n}/4" for n in range(1, 5)), "train lungs 1/2", "train lungs 2/2"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert (metrics["images"], metrics["trained_on"], metrics["phantoms"]) == (2, 6, 4)
    assert len(pd.read_csv(tmp_path / "out" / "lungs.csv")) == 2
    assert load_lung_net(tmp_path / "out" / "weights.pt")(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 256, 256)
