"""Inpainters on disk: a MONAI bundle each, and the one that is shipped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.bundle import METADATA, README, SPEC_KEY, WEIGHTS, BundleCard, card_metadata
from models.errors import ModelError
from models.inpainters.network import Inpainter, InpainterSpec
from models.weights import load_into, load_state, save_state

SHIPPED = Path(__file__).with_name("weights.pt")
SHIPPED_SHA256 = "290399ce0e4697a4bbc1bc7ec778822d88322e173d930a62a7c7d4357d534720"
KIND = "inpainter"
"""What the metadata say this bundle is."""


def save_inpainter(folder: Path, model: Inpainter, card: BundleCard) -> None:
    """Write configs/metadata.json, models/model.pt and docs/README.md into `folder`; equal input gives equal bytes.

    Not atomic: give a working folder.
    """
    for name in (METADATA, WEIGHTS, README):
        (folder / name.parent).mkdir(parents=True, exist_ok=True)
    save_state(folder / WEIGHTS, model)
    text = json.dumps(_metadata(model.spec, card), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / METADATA).write_text(text + "\n", encoding="utf-8")
    (folder / README).write_text(card.readme, encoding="utf-8")


def load_inpainter(folder: Path | None = None) -> Inpainter:
    """The inpainter of a bundle that `save_inpainter` wrote, or the one shipped, in evaluation mode on the CPU.

    Raises:
        ModelError: a file is missing or damaged, does not fit, or the shipped one is not the one that was released.
    """
    if folder is None:
        model, weights = Inpainter(), SHIPPED
        _check_shipped()
    else:
        model, weights = Inpainter(_read_spec(folder / METADATA)), folder / WEIGHTS
    load_into(model, load_state(weights), str(weights))
    return model.eval()


def _check_shipped() -> None:
    try:
        found = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{SHIPPED} cannot be read ({error.strerror}). Install cxr-audit again.") from error
    if found != SHIPPED_SHA256:
        raise ModelError(f"{SHIPPED} is not the file that was released (its sha256 differs). Install cxr-audit again.")


def _read_spec(path: Path) -> InpainterSpec:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))[SPEC_KEY]
        return InpainterSpec(values["widths"], values["dilations"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} does not describe an inpainter ({type(error).__name__}: {error}). "
            "Give a folder that `cxr-audit train-inpainter` made."
        ) from error


def _metadata(spec: InpainterSpec, card: BundleCard) -> dict[str, Any]:
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "CR, DX",
        "num_channels": 1,
        "spatial_shape": ["*", "*"],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": True,
        "channel_def": {"0": "image"},
    }
    hole = {**image, "format": "segmentation", "dtype": "bool", "channel_def": {"0": "hole"}}
    noise = {**image, "format": "magnitude", "value_range": [], "channel_def": {"0": "standard normal noise"}}
    return {
        **card_metadata(card),
        "network_data_format": {
            "inputs": {"image": image, "hole": hole, "noise": noise},
            "outputs": {"pred": image},
        },
        SPEC_KEY: {"kind": KIND, **asdict(spec)},
    }
