"""A network that the user brings as TorchScript, in the form LaMa is published in.

Suvorov et al., "Resolution-robust large mask inpainting with Fourier convolutions", WACV 2022. The file holds a module
(image (B, 3, H, W) in [0, 1], mask (B, 1, H, W), 1 = hole) -> image (B, 3, H, W); sides are multiples of `MULTIPLE`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.fills.contract import Fill, check, with_holes

MULTIPLE = 8
"""Sides are padded to a multiple of it, as the networks halve them three times."""


def torchscript(file: Path) -> Fill:
    """The network in `file`, run on the device of the images, one image at a time.

    Raises:
        InputError: `file` cannot be read or is not TorchScript; on use, it fails on an image or returns something else.
    """
    _loaded(*_version(file), "cpu")

    def apply(images: Tensor, where: Tensor, _: torch.Generator | None = None) -> Tensor:
        check(images, where)
        network = _loaded(*_version(file), str(images.device))
        filled = images.clone()
        for index in with_holes(where):
            painted = _painted(network, file, images[index : index + 1], where[index : index + 1])
            filled[index] = torch.where(where[index], painted, images[index])
        return filled

    return apply


def _version(file: Path) -> tuple[Path, int]:
    try:
        return file.resolve(), file.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error}). Give the path of a TorchScript file.") from error


@cache
def _loaded(file: Path, _: int, device: str) -> Any:
    try:
        # Loaded on the CPU first: a file saved on a GPU must also open where there is none.
        return torch.jit.load(str(file), map_location="cpu").eval().to(device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{file} is not a TorchScript file. Save the network with torch.jit.script or torch.jit.trace and "
            "torch.jit.save; weights alone (a state dict) hold no network."
        ) from error


@torch.no_grad()
def _painted(network: Any, file: Path, image: Tensor, where: Tensor) -> Tensor:
    """One image (1, C, H, W) in [0, 1] as `network` completes it, (C, H, W)."""
    channels, height, width = image.shape[1:]
    known = image.masked_fill(where, 0)
    three = known if channels == 3 else known.flatten(0, 1)[:, None].expand(-1, 3, -1, -1)
    holes = where.to(image.dtype).expand(len(three), -1, -1, -1)
    try:
        painted = network(_padded(three), _padded(holes))
    except RuntimeError as error:
        raise InputError(f"The network in {file} failed on an image: {error}") from error
    if not isinstance(painted, Tensor) or painted.shape != _padded(three).shape or not painted.isfinite().all():
        found = tuple(painted.shape) if isinstance(painted, Tensor) else type(painted).__name__
        raise InputError(
            f"The network in {file} returned {found} for an image {tuple(_padded(three).shape)}; "
            "it must return the whole image, (B, 3, H, W) of finite numbers in [0, 1]."
        )
    cut = painted[..., :height, :width].clamp(0, 1)
    return cut[0] if channels == 3 else cut.mean(dim=1)


def _padded(images: Tensor) -> Tensor:
    """Right and lower border mirrored up to the next multiple; as often as needed where the image is tiny."""
    for axis in (-2, -1):
        missing = -images.shape[axis] % MULTIPLE
        while missing:
            step = min(missing, images.shape[axis])
            border = images.narrow(axis, images.shape[axis] - step, step).flip(axis)
            images = torch.cat([images, border], dim=axis)
            missing -= step
    return images
