"""A generative model of a data set's pictures: a deep convolutional GAN of MONAI's generator and discriminator."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from monai.networks.nets.classifier import Discriminator
from monai.networks.nets.generator import Generator
from torch import Tensor, nn

from models.errors import ModelError
from models.weights import load_into, load_state, save_state

SPEC = "generator.json"
WEIGHTS = "generator.pt"

INITIAL_DEVIATION = 0.02
"""Of the initial weights (Radford, Metz and Chintala, ICLR 2016)."""


@dataclass(frozen=True)
class GenerativeSpec:
    """What is needed to rebuild the networks.

    Attributes:
        latent: numbers in a latent.
        width: channels of the discriminator's first layer; each later layer has twice as many, and the generator
            mirrors it. Thakur and Fischmeister use 64, with which a training on a CPU takes days.
    """

    latent: int = 100
    width: int = 16


class PictureModel(nn.Module):
    """Generator and discriminator of pictures of 64 x 64 grey pixels in [-1, 1].

    After Thakur and Fischmeister's program for 64 pixels: four convolutions of 5 x 5 with stride 2 each way, ReLU and
    batch norm in the generator, leaky ReLU (0.2) and batch norm in the discriminator. One channel for their three,
    and batch norm in the discriminator's first layer too, as MONAI builds it.
    """

    size = 64

    def __init__(self, spec: GenerativeSpec, *, seed: int = 0) -> None:
        """Freshly initialised from `seed`; the global random state is left as it was."""
        super().__init__()
        self.spec = spec
        self.latent = spec.latent
        widths = [spec.width * 2**layer for layer in range(5)]
        common: dict[str, Any] = {"strides": (2, 2, 2, 2), "kernel_size": 5, "num_res_units": 0, "norm": "BATCH"}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.generator = Generator((spec.latent,), (widths[4], 4, 4), (*widths[3:0:-1], 1), act="RELU", **common)
            self.discriminator = Discriminator(
                (1, self.size, self.size),
                widths[:4],
                act=("LEAKYRELU", {"negative_slope": 0.2}),
                dropout=None,
                last_act=None,
                **common,
            )
            for module in self.modules():
                if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                    nn.init.normal_(module.weight, std=INITIAL_DEVIATION)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (n, latent) in [-1, 1] -> pictures (n, 1, 64, 64) in [-1, 1]."""
        return torch.tanh(self.generator(latents))

    def implausibility(self, pictures: Tensor) -> Tensor:
        """Cross-entropy between the discriminator's verdict on pictures (n, 1, 64, 64) and "real", (n,)."""
        return functional.softplus(-self.discriminator(pictures).flatten())


def save_generative(folder: Path, model: PictureModel) -> None:
    """Write weights and spec into `folder`; equal models give equal bytes."""
    save_state(folder / WEIGHTS, model)
    (folder / SPEC).write_text(json.dumps(asdict(model.spec), sort_keys=True, indent=2) + "\n", encoding="utf-8")


def load_generative(folder: Path) -> PictureModel:
    """The model that `save_generative` wrote, in evaluation mode on the CPU.

    Raises:
        ModelError: a file is missing, damaged, or does not fit.
    """
    try:
        values = json.loads((folder / SPEC).read_text(encoding="utf-8"))
        spec = GenerativeSpec(latent=int(values["latent"]), width=int(values["width"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / SPEC} does not describe a generative model ({error}). Delete {folder}; it is trained again."
        ) from error
    model = PictureModel(spec)
    load_into(model, load_state(folder / WEIGHTS), str(folder / WEIGHTS))
    return model.eval()
