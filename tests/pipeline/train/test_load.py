"""Classifiers brought in: a bundle, or a state dict with its spec; anything else is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from models import BundleCard, ModelSpec, build, save_bundle
from pipeline.errors import InputError, ModelError
from pipeline.train import load_classifier
from pipeline.train.load import probe_images

CARD = BundleCard("1", "task", "description", "research", "data", "# Card\n")


@pytest.fixture
def made() -> tuple[nn.Module, ModelSpec]:
    return build("small", classes=("a", "b"), input_size=(32, 32), seed=3, width=4)


def _files(folder: Path, model: nn.Module, spec: ModelSpec) -> tuple[Path, Path]:
    torch.save(model.state_dict(), folder / "weights.pt")
    (folder / "spec.json").write_text(json.dumps(spec.as_dict()))
    return folder / "weights.pt", folder / "spec.json"


def test_bundle_and_state_dict_give_the_same_classifier(made: tuple[nn.Module, ModelSpec], tmp_path: Path) -> None:
    model, spec = made
    save_bundle(tmp_path / "bundle", model, spec, CARD)
    images = probe_images(spec.input_size)
    for loaded, loaded_spec in (load_classifier(tmp_path / "bundle"), load_classifier(*_files(tmp_path, model, spec))):
        assert loaded_spec == spec
        assert not loaded.training
        assert torch.equal(spec.probabilities(loaded, images), spec.probabilities(model, images))


def test_dead_weights_are_noticed(made: tuple[nn.Module, ModelSpec], tmp_path: Path) -> None:
    model, spec = made
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(ModelError, match="same output for 4 different images"):
        load_classifier(*_files(tmp_path, model, spec))


def test_errors_belong_to_the_tree_of_the_engine(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a MONAI bundle"):
        load_classifier(tmp_path)


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_classifier(tmp_path / "absent")


def test_a_state_dict_needs_its_spec_and_a_bundle_must_have_none(
    made: tuple[nn.Module, ModelSpec], tmp_path: Path
) -> None:
    weights, spec_path = _files(tmp_path, *made)
    with pytest.raises(ModelError, match="Give its spec as well"):
        load_classifier(weights)
    save_bundle(tmp_path / "bundle", *made, CARD)
    with pytest.raises(ModelError, match="carries its spec"):
        load_classifier(tmp_path / "bundle", spec_path)


@pytest.mark.parametrize("text", ["{", "[1]", '{"name": "small"}', '{"name": "small", "classes": 3}'])
def test_a_broken_spec_is_answered_with_an_example(
    text: str, made: tuple[nn.Module, ModelSpec], tmp_path: Path
) -> None:
    weights, spec_path = _files(tmp_path, *made)
    spec_path.write_text(text)
    with pytest.raises(ModelError, match=r'not a model spec.*Example: \{"name": "resnet18"'):
        load_classifier(weights, spec_path)
    with pytest.raises(ModelError, match="cannot be read"):
        load_classifier(weights, tmp_path / "absent.json")
