"""Architecture and weights of the lung segmenter."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.weights import load_into, load_state, save_state

SIDE = 256
"""Side of the square pictures it was made for, pixels."""
SHIPPED = Path(__file__).with_name("weights.pt")
SHIPPED_SHA256 = "bcd1f6fb452e4a38649973a18bad2e01d5a4fd02b7d3ce8f3bc19dd372433708"


class LungNet(nn.Module):
    """A residual U-Net (MONAI's `UNet`, 0.5 M weights) that says where aerated or diseased lung is seen.

    Each picture is standardised first and normalised within itself throughout (instance norm), so exposure and the
    other pictures of a batch do not matter.
    """

    def __init__(self, *, seed: int = 0) -> None:
        """Freshly initialised from `seed`; the global random state is left as it was."""
        from monai.networks.nets.unet import UNet  # seconds, which who only asks for the weights' hash shall not wait

        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.network = UNet(
                spatial_dims=2,
                in_channels=1,
                out_channels=1,
                channels=(16, 32, 64, 96, 128),
                strides=(2, 2, 2, 2),
                num_res_units=1,
                norm=("INSTANCE", {"affine": True}),
            )

    def forward(self, images: Tensor) -> Tensor:
        """Images float32 (B, 1, 256, 256) in [0, 1], bright = dense -> logits of lung (B, 1, 256, 256)."""
        centred = images - images.mean(dim=(2, 3), keepdim=True)
        spread = centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
        return self.network(centred / (spread + 0.02))  # type: ignore[no-any-return]


def save_lung_net(path: Path, model: LungNet) -> None:
    """Write the weights in half precision; equal weights give equal bytes."""
    rounded = LungNet()
    rounded.load_state_dict(model.state_dict())
    save_state(path, rounded.half())


def load_lung_net(path: Path | None = None) -> LungNet:
    """The segmenter with the weights at `path`, or those shipped, in evaluation mode on the CPU.

    Raises:
        ModelError: the file is missing or damaged, does not fit, or the shipped one is not the one that was released.
    """
    source = SHIPPED if path is None else path
    if path is None and _sha256(source) != SHIPPED_SHA256:
        raise ModelError(f"{source} is not the file that was released (its sha256 differs). Install cxr-audit again.")
    state = {name: value.float() for name, value in load_state(source).items()}
    model = LungNet()
    load_into(model, state, str(source))
    return model.eval()


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}). Install cxr-audit again.") from error
