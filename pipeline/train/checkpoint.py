"""Reading back what a training kept after its last epoch."""

from __future__ import annotations

import logging
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from pipeline.integrity import set_aside

_LOGGER = logging.getLogger("cxr_audit.train")


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `torch.save` wrote to `path`; None where there is nothing, or a damaged file, which is set aside."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not compare the checksums of its own files
        if damaged is None:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError):
        pass
    place = set_aside(path)
    _LOGGER.warning("The checkpoint %s is damaged and set aside as %s: the training starts anew.", path, place.name)
    return None
