"""`optimize_mask` against masks made by the authors' implementation (noise off); see golden/README.md."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.explain import deletion_insertion, optimize_mask

VARIANTS = {"igos": "igos", "igos_plus": "igos+", "igos_pp": "igos++"}
NAG_STEP = {16: 1.0, 64: 8.0}

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore:NAG with step:UserWarning")]


@pytest.fixture(scope="module")
def golden(golden_data: Path) -> dict[str, torch.Tensor]:
    with np.load(golden_data / "igos.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope="module")
def network(golden: dict[str, torch.Tensor]) -> nn.Module:
    model = nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(1, 8, 5, stride=2, padding=2),
            r1=nn.ReLU(),
            c2=nn.Conv2d(8, 16, 3, stride=2, padding=1),
            r2=nn.ReLU(),
            c3=nn.Conv2d(16, 32, 3, stride=2, padding=1),
            r3=nn.ReLU(),
            mean=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(32, 3),
        )
    )
    model.load_state_dict(
        {name.removeprefix("weights/"): t for name, t in golden.items() if name.startswith("weights/")}
    )
    return model.eval()


@pytest.mark.parametrize("optimizer", ["LS", "NAG"])
@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_masks_and_metric_agree_with_the_authors(golden, network, variant, size, optimizer):
    image, baseline, target = golden["image"], golden["baseline"], golden["target"]
    expected = {name: golden[f"{variant}/{size}/{optimizer}/{name}"] for name in ("mask", "deletion", "insertion")}
    mask = optimize_mask(
        network,
        image,
        baseline,
        target,
        variant=VARIANTS[variant],
        size=size,
        optimizer=optimizer,
        step_size=1000.0 if optimizer == "LS" else NAG_STEP[size],
        noise_std=0.0,
    )
    difference = (mask - expected["mask"]).abs()
    if optimizer == "NAG":
        assert difference.max() <= 1e-3
    else:
        assert difference.mean(dim=(1, 2, 3)).max() <= 2e-2
    curves = deletion_insertion(network, image, baseline, 1 - mask, target, official=True)
    torch.testing.assert_close(curves.deletion_auc, expected["deletion"], atol=0.01, rtol=0)
    torch.testing.assert_close(curves.insertion_auc, expected["insertion"], atol=0.01, rtol=0)


@pytest.mark.parametrize("key", ["igos/16/NAG", "igos_plus/64/LS", "igos_pp/64/NAG"])
def test_official_metric_of_the_authors_masks(golden, network, key):
    curves = deletion_insertion(
        network, golden["image"], golden["baseline"], 1 - golden[f"{key}/mask"], golden["target"], official=True
    )
    torch.testing.assert_close(curves.deletion_auc, golden[f"{key}/deletion"], atol=1e-5, rtol=0)
    torch.testing.assert_close(curves.insertion_auc, golden[f"{key}/insertion"], atol=1e-5, rtol=0)


def test_planted_shape_is_what_the_mask_removes(golden, network):
    mask = optimize_mask(network, golden["image"], golden["baseline"], golden["target"], size=64)
    removed = (1 - mask)[0, 0]
    planted = golden["planted"][0]
    assert removed[planted].mean() > 5 * removed[~planted].mean()
