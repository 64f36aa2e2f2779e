"""The generative model: shapes and ranges, what it judges, and that it comes back from disk as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from models import ModelError
from models.generative import SPEC, WEIGHTS, GenerativeSpec, PictureModel, load_generative, save_generative

TINY = GenerativeSpec(latent=6, width=2)


def test_pictures_are_64_grey_pixels_between_minus_one_and_one() -> None:
    model = PictureModel(TINY).eval()
    with torch.no_grad():
        pictures = model(torch.full((3, 6), 1e4))
    assert pictures.shape == (3, 1, 64, 64)
    assert float(pictures.abs().max()) <= 1
    assert float(pictures.std()) > 0


def test_the_layers_are_the_papers_at_its_width() -> None:
    model = PictureModel(GenerativeSpec(width=64))
    ups = [m for m in model.generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    downs = [m for m in model.discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in ups] == [1024, 512, 256, 128]
    assert [m.out_channels for m in downs] == [64, 128, 256, 512]
    assert {(m.kernel_size, m.stride) for m in (*ups, *downs)} == {((5, 5), (2, 2))}
    assert {m.negative_slope for m in model.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    assert {(m.eps, m.momentum) for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {(1e-5, 0.1)}
    assert ups[0].weight.std().item() == pytest.approx(0.02, rel=0.01)


def test_implausibility_is_the_cross_entropy_to_real() -> None:
    model = PictureModel(TINY).eval()
    pictures = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        logits = model.discriminator(pictures).flatten()
        assert torch.allclose(model.implausibility(pictures), -torch.log(torch.sigmoid(logits)), atol=1e-6)
    assert len(set(logits.tolist())) == 4


def test_the_seed_decides_the_weights_and_nothing_else_does() -> None:
    state = torch.random.get_rng_state()
    one, same, other = PictureModel(TINY, seed=1), PictureModel(TINY, seed=1), PictureModel(TINY, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    key = "generator.linear.weight"
    assert torch.equal(one.state_dict()[key], same.state_dict()[key])
    assert not torch.equal(one.state_dict()[key], other.state_dict()[key])


def test_comes_back_from_disk(tmp_path: Path) -> None:
    model = PictureModel(TINY, seed=5).eval()
    save_generative(tmp_path, model)
    loaded = load_generative(tmp_path)
    latents = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))
    assert not loaded.training
    assert loaded.spec == TINY
    assert torch.equal(loaded(latents), model(latents))


@pytest.mark.parametrize("text", [None, "{", '{"latent": 6}', '{"latent": "x", "width": 2}', "[]"])
def test_a_broken_description_is_an_error(tmp_path: Path, text: str | None) -> None:
    save_generative(tmp_path, PictureModel(TINY))
    if text is None:
        (tmp_path / SPEC).unlink()
    else:
        (tmp_path / SPEC).write_text(text)
    with pytest.raises(ModelError, match=r"generator\.json does not describe"):
        load_generative(tmp_path)


def test_weights_of_another_width_are_an_error(tmp_path: Path) -> None:
    save_generative(tmp_path, PictureModel(TINY))
    (tmp_path / SPEC).write_text(json.dumps({"latent": 6, "width": 3}))
    with pytest.raises(ModelError, match=WEIGHTS):
        load_generative(tmp_path)
