"""Any lung segmenter under one call: images in [0, 1] -> probability of lung."""

from __future__ import annotations

import json
import warnings
import zipfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.errors import ModelError
from models.lungs.network import SIDE, load_lung_net
from models.weights import load_into, load_state

Activation = Literal["sigmoid", "softmax", "none"]
_NETWORKS = "monai.networks.nets"
"""The only place that a bundle may build a network from: its configuration could otherwise name any code."""


@dataclass(frozen=True)
class Segmenter:
    """A network together with what it expects and which of its channels are lung.

    Attributes:
        network: (B, 1, *side) -> (B, C, h, w), in evaluation mode.
        side: (height, width) that the network wants, pixels.
        channels: those that show lung, e.g. the left and the right one; their largest probability counts.
        activation: that turns the network's output into probabilities.
        value_range: of the network's input.
    """

    network: nn.Module
    side: tuple[int, int] = (SIDE, SIDE)
    channels: tuple[int, ...] = (0,)
    activation: Activation = "sigmoid"
    value_range: tuple[float, float] = (0.0, 1.0)

    def __call__(self, images: Tensor) -> Tensor:
        """Images float32 (B, 1, H, W) in [0, 1], bright = dense -> probability of lung (B, 1, H, W), no gradient.

        Raises:
            ModelError: the network gives no channel of that number.
        """
        low, high = self.value_range
        with torch.no_grad():
            given = functional.interpolate(images, self.side, mode="bilinear", antialias=True, align_corners=False)
            scores = self.network(given * (high - low) + low).float()
            if scores.ndim != 4 or scores.shape[1] <= max(self.channels):
                raise ModelError(
                    f"The segmenter returns {tuple(scores.shape)}, which has no channel {max(self.channels)}. "
                    "Give the numbers of its lung channels, counted from 0."
                )
            lung = self._activated(scores)[:, list(self.channels)].amax(dim=1, keepdim=True)
            return functional.interpolate(lung, images.shape[-2:], mode="bilinear", align_corners=False)

    def _activated(self, scores: Tensor) -> Tensor:
        if self.activation == "none":
            return scores
        return torch.sigmoid(scores) if self.activation == "sigmoid" else torch.softmax(scores, dim=1)


def shipped_segmenter() -> Segmenter:
    """The one that comes with this package; see CARD.md beside this file."""
    return Segmenter(load_lung_net())


def chestxdet_segmenter(network: nn.Module) -> Segmenter:
    """A ChestX-Det PSPNet as torchxrayvision (1.0 and later) gives it: ``xrv.baseline_models.chestx_det.PSPNet()``.

    It takes (B, 1, 512, 512) in [-1024, 1024] and returns a logit for each of 14 structures, of which numbers 4 and 5
    are the left and the right lung. Not installed with this package.
    """
    return Segmenter(network.eval(), (512, 512), (4, 5), "sigmoid", (-1024.0, 1024.0))


def file_segmenter(path: Path) -> Segmenter:
    """Weights of a `LungNet`, as `cxr-audit train-lungs` leaves them, or TorchScript as `script_segmenter` takes it.

    Raises:
        ModelError: it is missing, damaged or neither.
    """
    return script_segmenter(path) if _is_script(path) else Segmenter(load_lung_net(path))


def _is_script(path: Path) -> bool:
    """Whether `path` is a TorchScript archive: unlike a state dict it holds code."""
    return zipfile.is_zipfile(path) and any("/code/" in name for name in zipfile.ZipFile(path).namelist())


def script_segmenter(path: Path) -> Segmenter:
    """A TorchScript file: (B, 1, 256, 256) in [0, 1] -> probability of lung (B, 1, 256, 256).

    Raises:
        ModelError: the file is missing or is not TorchScript.
    """
    try:
        with warnings.catch_warnings():  # deprecated, but what people have
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"{path} is not a TorchScript file ({str(error).splitlines()[0]}). "
            "Give one, a MONAI bundle's folder, or nothing for the segmenter that is shipped."
        ) from error
    return Segmenter(network.eval(), activation="none")


def bundle_segmenter(folder: Path) -> Segmenter:
    """The network of a MONAI bundle: ``network_def`` of configs/inference.json with models/model.pt.

    Input size and range and the lung channels are read from configs/metadata.json. One output channel is a logit of
    lung; of several, under a softmax, those count that ``channel_def`` calls lung, or the second of two.

    Raises:
        ModelError: files are missing, the network is none of MONAI's, or no channel is lung.
    """
    definition = _json(folder / "configs" / "inference.json").get("network_def", {})
    network = _build(definition, folder)
    load_into(network, load_state(folder / "models" / "model.pt"), str(folder))
    formats = _json(folder / "configs" / "metadata.json").get("network_data_format", {})
    image = formats.get("inputs", {}).get("image", {})
    scores = formats.get("outputs", {}).get("pred", {})
    shape = image.get("spatial_shape") or []
    side = (int(shape[0]), int(shape[1])) if [type(v) for v in shape] == [int, int] else (SIDE, SIDE)
    low, high = image.get("value_range") or (0.0, 1.0)
    channels = _lung_channels(scores, folder)
    activation: Activation = "sigmoid" if channels == (0,) else "softmax"
    return Segmenter(network.eval(), side, channels, activation, (float(low), float(high)))


def _lung_channels(scores: dict[str, Any], folder: Path) -> tuple[int, ...]:
    count = int(scores.get("num_channels", 1))
    if count == 1:
        return (0,)
    named = tuple(int(number) for number, name in scores.get("channel_def", {}).items() if "lung" in str(name).lower())
    if not named and count > 2:
        raise ModelError(
            f"{folder}: none of the {count} output channels is called lung in channel_def of configs/metadata.json. "
            "Name them there."
        )
    return named or (1,)


def _build(definition: Any, folder: Path) -> nn.Module:
    target = str(definition.get("_target_", "")) if isinstance(definition, dict) else ""
    name = target.removeprefix(_NETWORKS + ".").rpartition(".")[2]
    wanted = {key: value for key, value in definition.items() if not key.startswith("_")} if target else {}
    constructor = getattr(import_module(_NETWORKS), name, None)
    foreign = target not in (name, f"{_NETWORKS}.{name}") and not target.startswith(_NETWORKS + ".")
    if not isinstance(constructor, type) or not issubclass(constructor, nn.Module) or foreign:
        raise ModelError(
            f"{folder}: network_def builds {target or 'nothing'!r}, but only networks of {_NETWORKS} are loaded from a "
            "bundle, because anything else would run its code. Export the network as TorchScript and give that file."
        )
    if any(str(value).startswith(("$", "@")) for value in wanted.values()):
        raise ModelError(f"{folder}: network_def holds expressions ($ or @), which are not run. Write plain values.")
    try:
        network: nn.Module = constructor(**wanted)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{folder}: {target} does not take these arguments ({error}).") from error
    return network


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}). Give the folder of a MONAI bundle.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object. Give the folder of a MONAI bundle.")
    return value
