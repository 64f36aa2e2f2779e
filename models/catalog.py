"""The architectures we know by name, each described once: for building it and for the bundle that carries it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import nn

from models.errors import ModelError, unknown
from models.spec import ModelSpec


@dataclass(frozen=True)
class Architecture:
    """How a network is called.

    Attributes:
        target: dotted path of its constructor, MONAI's `_target_`; imported only when built.
        inputs: the constructor's argument for the number of input channels.
        outputs: the constructor's argument for the number of classes.
        fixed: further arguments.
        options: what a user may set, with defaults.
    """

    target: str
    inputs: str
    outputs: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


_CATALOG: dict[str, Architecture] = {
    "small": Architecture("models.small.SmallNet", "in_channels", "num_classes", options={"width": 16}),
    # MONAI's default first stride is 1: 4-6 times slower than the ResNet-18 of He et al. 2016, which has 2.
    "resnet18": Architecture(
        "monai.networks.nets.resnet18", "n_input_channels", "num_classes", {"spatial_dims": 2, "conv1_t_stride": 2}
    ),
    "densenet121": Architecture(
        "monai.networks.nets.DenseNet121", "in_channels", "out_channels", {"spatial_dims": 2, "pretrained": False}
    ),
    "efficientnet-b0": Architecture(
        "monai.networks.nets.EfficientNetBN",
        "in_channels",
        "num_classes",
        {
            "model_name": "efficientnet-b0",
            "spatial_dims": 2,
            "pretrained": False,
        },
    ),
}


def available() -> tuple[str, ...]:
    """Names that `build` accepts."""
    return tuple(_CATALOG)


def build(
    name: str, *, classes: Sequence[str], input_size: tuple[int, int], seed: int = 0, **options: Any
) -> tuple[nn.Module, ModelSpec]:
    """A freshly initialised single-channel classifier in evaluation mode, and its contract.

    Args:
        name: one of `available()`.
        classes: class names in output order, at least two, all different.
        input_size: (height, width) in pixels, each at least 32.
        seed: of the initial weights; the global random state is left as it was.
        options: options of the architecture (`small`: width).

    Raises:
        ModelError: unknown name or option, or classes or size that cannot be.
    """
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise ModelError(f"A classifier needs at least two different classes, found {list(classes)}.")
    if min(input_size) < 32:
        raise ModelError(f"input_size must be at least 32 x 32 pixels, found {input_size[0]} x {input_size[1]}.")
    chosen = tuple(sorted(options.items()))
    spec = ModelSpec(name, tuple(classes), (int(input_size[0]), int(input_size[1])), options=chosen)
    return build_network(spec, seed=seed), spec


def build_network(spec: ModelSpec, *, seed: int = 0) -> nn.Module:
    """The network of `spec`, freshly initialised from `seed`, in evaluation mode.

    Raises:
        ModelError: the spec names an architecture or option that is not in the catalog.
    """
    definition = network_definition(spec)
    module, _, constructor = definition.pop("_target_").rpartition(".")
    create = getattr(import_module(module), constructor)
    # torch's initialisers only know the global generator: seed a fork of it.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network: nn.Module = create(**definition)
    return network.eval()


def network_definition(spec: ModelSpec) -> dict[str, Any]:
    """Constructor and arguments of the network in the form of a MONAI bundle's `network_def`.

    Raises:
        ModelError: the spec names an architecture or option that is not in the catalog.
    """
    if spec.name not in _CATALOG:
        raise unknown("architecture", spec.name, _CATALOG)
    architecture = _CATALOG[spec.name]
    options = dict(architecture.options)
    for key, value in spec.options:
        if key not in options:
            raise unknown(f"option of {spec.name}", key, options)
        options[key] = value
    sizes = {architecture.inputs: spec.channels, architecture.outputs: len(spec.classes)}
    return {"_target_": architecture.target, **architecture.fixed, **options, **sizes}
