"""From pixels to network input, by hand."""

from __future__ import annotations

import json

import torch

from models import ModelSpec


def test_preprocess_maps_unit_range_to_value_range_then_normalises() -> None:
    spec = ModelSpec("small", ("a", "b"), (2, 2), channels=3, value_range=(-1024, 1024), mean=24, std=500)
    images = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 2, 2)
    expected = torch.tensor([-1048.0, -536.0, -24.0, 1000.0]).view(1, 1, 2, 2) / 500
    assert torch.allclose(spec.preprocess(images), expected.expand(1, 3, 2, 2))


def test_preprocess_resizes_with_antialiasing() -> None:
    spec = ModelSpec("small", ("a", "b"), (4, 4), mean=0, std=1)
    stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 1, 64, 64)  # finer than 4 pixels can show
    assert torch.allclose(spec.preprocess(stripes), torch.full((1, 1, 4, 4), 0.5), atol=0.02)


def test_resize_returns_images_of_the_right_size_as_they_are() -> None:
    images = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert ModelSpec("small", ("a", "b"), (8, 8)).resize(images) is images


def test_a_spec_survives_json() -> None:
    spec = ModelSpec("small", ("a", "b"), (64, 48), value_range=(0, 255), mean=120, std=60, options=(("width", 4),))
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec
