"""MONAI bundles: a folder that carries a classifier and says what it is.

    configs/metadata.json    what it is, its input and output, versions; our `ModelSpec` under `cxr_audit`
            inference.json   how MONAI's ConfigParser builds the network and loads the weights
    models/model.pt          the state dict
    docs/README.md           the model card

Source: MONAI Bundle Specification, https://docs.monai.io/en/stable/mb_specification.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from models.catalog import build_network, network_definition
from models.errors import ModelError
from models.spec import ModelSpec
from models.weights import load_into, load_state, save_state

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
METADATA = Path("configs", "metadata.json")
INFERENCE = Path("configs", "inference.json")
WEIGHTS = Path("models", "model.pt")
README = Path("docs", "README.md")
SPEC_KEY = "cxr_audit"


@dataclass(frozen=True)
class BundleCard:
    """What a bundle says about its classifier beside the contract.

    Attributes:
        version: of the bundle.
        task: what it is meant to do, one line.
        description: what it is, one paragraph.
        intended_use: and what it must not be used for.
        data_source: what it was trained on.
        readme: the model card, Markdown.
        metrics: metric name -> value.
        packages: packages needed beside MONAI's own requirements -> version.
    """

    version: str
    task: str
    description: str
    intended_use: str
    data_source: str
    readme: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


def save_bundle(folder: Path, model: nn.Module, spec: ModelSpec, card: BundleCard) -> None:
    """Write the bundle's files into `folder`; equal input gives equal bytes. Not atomic: give a working folder.

    Args:
        folder: made when absent.
        model: the network of `spec`.
        spec: its contract.
        card: what else the bundle says.

    Raises:
        ModelError: the spec names an architecture that is not in the catalog.
    """
    inference = _inference(spec)
    for name in (METADATA, WEIGHTS, README):
        (folder / name.parent).mkdir(parents=True, exist_ok=True)
    save_state(folder / WEIGHTS, model)
    _write_json(folder / METADATA, _metadata(spec, card))
    _write_json(folder / INFERENCE, inference)
    (folder / README).write_text(card.readme, encoding="utf-8")


def load_bundle(path: Path) -> tuple[nn.Module, ModelSpec]:
    """The classifier of a bundle, in evaluation mode on the CPU, and its contract.

    Raises:
        ModelError: not a bundle, not one of ours, or its weights do not fit its network.
    """
    spec = _read_spec(path)
    return load_state_dict_model(path / WEIGHTS, spec), spec


def load_state_dict_model(path: Path, spec: ModelSpec) -> nn.Module:
    """The network of `spec` with the weights of the state dict at `path`, in evaluation mode on the CPU.

    Raises:
        ModelError: the file is not a state dict, or missing and unexpected keys and wrong shapes, listed.
    """
    state = load_state(path)
    model = build_network(spec)
    load_into(model, state, str(path))
    return model


def _read_spec(path: Path) -> ModelSpec:
    missing = [str(name) for name in (METADATA, WEIGHTS) if not (path / name).is_file()]
    if missing:
        raise ModelError(
            f"{path} is not a MONAI bundle: {' and '.join(missing)} not found. "
            "Give a folder with both, or a state dict together with its spec."
        )
    try:
        metadata = json.loads((path / METADATA).read_text(encoding="utf-8"))
        return ModelSpec.from_dict(metadata[SPEC_KEY])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelError(
            f"{path / METADATA} has no usable {SPEC_KEY!r} entry ({type(error).__name__}: {error}), which holds "
            f"the model's spec. For a bundle made elsewhere give {path / WEIGHTS} together with a spec."
        ) from error


def _metadata(spec: ModelSpec, card: BundleCard) -> dict[str, Any]:
    return {
        **card_metadata(card),
        "pred_classes": ", ".join(f"{index}: {name}" for index, name in enumerate(spec.classes)),
        "network_data_format": _data_format(spec),
        SPEC_KEY: spec.as_dict(),
    }


def card_metadata(card: BundleCard) -> dict[str, Any]:
    """The entries of a bundle's metadata.json that say what was trained, by what and for what."""
    return {
        "schema": SCHEMA,
        "version": card.version,
        "changelog": {card.version: card.description},
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "required_packages_version": dict(card.packages),
        "task": card.task,
        "description": card.description,
        "authors": "Trained by whoever ran cxr-audit; see docs/README.md.",
        "copyright": "Subject to the terms of the training data; see docs/README.md.",
        "intended_use": card.intended_use,
        "data_source": card.data_source,
        "eval_metrics": dict(card.metrics),
    }


def _data_format(spec: ModelSpec) -> dict[str, Any]:
    low, high = ((value - spec.mean) / spec.std for value in spec.value_range)
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "CR, DX",
        "num_channels": spec.channels,
        "spatial_shape": list(spec.input_size),
        "dtype": "float32",
        "value_range": [low, high],
        "is_patch_data": False,
        "channel_def": {str(channel): "image" for channel in range(spec.channels)},
    }
    scores = {
        "type": "probabilities",
        "num_channels": len(spec.classes),
        "spatial_shape": [],
        "dtype": "float32",
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(spec.classes)},
    }
    return {
        "inputs": {"image": image},
        "outputs": {"pred": {**scores, "format": "logits", "value_range": []}},
        "post_processed_outputs": {"pred": {**scores, "format": "classes", "value_range": [0, 1]}},
    }


def _inference(spec: ModelSpec) -> dict[str, Any]:
    load = "torch.load(@bundle_root + '/models/model.pt', map_location=@device, weights_only=True)"
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "cpu",
        "network_def": network_definition(spec),
        "network": "$@network_def.to(@device).eval()",
        "load": f"$@network.load_state_dict({load})",
        "inferer": {"_target_": "SimpleInferer"},
    }


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
