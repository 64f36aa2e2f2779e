"""Bring in a classifier made elsewhere, checked before anything is computed with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

import models
from models import ModelSpec
from models.bundle import METADATA, WEIGHTS
from pipeline.errors import ModelError
from pipeline.integrity import check
from pipeline.randomness import torch_generator


@contextmanager
def model_errors() -> Iterator[None]:
    """Turn `models.ModelError` into the one of our error tree; `models` cannot know that tree."""
    try:
        yield
    except models.ModelError as error:
        raise ModelError(str(error)) from error


def load_classifier(path: Path, spec_path: Path | None = None) -> tuple[nn.Module, ModelSpec]:
    """A classifier in evaluation mode on the CPU and its contract, checked with `models.check_classifier`.

    Args:
        path: a bundle's folder, or a state dict made by ``torch.save(model.state_dict(), path)``.
        spec_path: JSON of `ModelSpec.as_dict`; wanted with a state dict, refused with a bundle, which has its own.

    Raises:
        ModelError: neither bundle nor state dict, weights that do not fit, or a broken contract.
    """
    with model_errors():
        model, spec = _load(path, spec_path)
        models.check_classifier(model, spec, probe_images(spec.input_size))
    return model, spec


def _load(path: Path, spec_path: Path | None) -> tuple[nn.Module, ModelSpec]:
    if not path.exists():
        raise ModelError(f"{path} does not exist. Give the folder of a MONAI bundle, or a state dict and its spec.")
    if path.is_dir():
        if spec_path is not None:
            raise ModelError(f"{path} is a bundle and carries its spec: leave {spec_path} out.")
        check(path, *(name.as_posix() for name in (METADATA, WEIGHTS)))
        return models.load_bundle(path)
    if spec_path is None:
        raise ModelError(
            f"{path} is a file: a state dict says nothing about classes and input. Give its spec as well, JSON with "
            f"name ({', '.join(models.available())}), classes, input_size, channels, value_range, mean, std."
        )
    spec = _read_spec(spec_path)
    return models.load_state_dict_model(path, spec), spec


def _read_spec(path: Path) -> ModelSpec:
    try:
        return ModelSpec.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        example = json.dumps(ModelSpec("resnet18", ("negative", "positive"), (224, 224)).as_dict())
        raise ModelError(f"{path} is not a model spec ({type(error).__name__}: {error}). Example: {example}") from error


def probe_images(size: tuple[int, int], count: int = 4) -> Tensor:
    """Smooth random pictures, float32 (count, 1, *size) in [0, 1], always the same: only to run a model on."""
    generator = torch_generator("probe-images")
    coarse = torch.rand(count, 1, 7, 7, generator=generator)
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=True).clamp(0, 1)
