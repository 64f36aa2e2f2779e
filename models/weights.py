"""State dicts on disk: never pickled modules, and the same weights always give the same bytes."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ModelError


def save_state(path: Path, model: nn.Module) -> None:
    """Write the model's state dict; equal weights give equal bytes, whatever their memory layout or device."""
    # `contiguous()` would keep the strides of dimensions of size 1, which are saved as well.
    plain = torch.contiguous_format
    state = {key: value.detach().cpu().clone(memory_format=plain) for key, value in model.state_dict().items()}
    path.write_bytes(saved_bytes(state))


def saved_bytes(state: Mapping[str, Any]) -> bytes:
    """What `torch.save` makes of `state`, to be written by Python.

    Given a path, torch writes its name into the archive, so that the bytes would depend on it; and on a full disk its
    own writer raises a RuntimeError about positions instead of the OSError of the system.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running any code from the file.

    Raises:
        ModelError: the file is missing, damaged, or holds anything but a state dict.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}). Give the path of a state dict.") from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds pickled Python objects, which are never loaded because unpickling runs code. "
            "Where the model was made, write torch.save(model.state_dict(), path) and give that file."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is not a file of torch.save, or is damaged ({error}). Get it again.") from error
    return _checked(path, loaded)


def _checked(path: Path, loaded: object) -> dict[str, Tensor]:
    if isinstance(loaded, Mapping) and loaded and all(isinstance(value, Tensor) for value in loaded.values()):
        return {str(key): value for key, value in loaded.items()}
    found = f"a mapping with {_few(list(loaded))}" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
    raise ModelError(f"{path} holds {found}, not a state dict. Save the inner state dict alone and give that file.")


def load_into(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy `state` into `model`.

    Args:
        model: receives the weights.
        state: must hold exactly the model's keys and shapes.
        source: where `state` is from, for the message.

    Raises:
        ModelError: lists missing and unexpected keys and wrong shapes.
    """
    wanted = model.state_dict()
    shared = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    parts = {
        "missing": [key for key in wanted if key not in state],
        "unexpected": [key for key in state if key not in wanted],
        "of another shape": [f"{key} {tuple(state[key].shape)} for {tuple(wanted[key].shape)}" for key in shared],
    }
    problems = [f"{len(keys)} {kind}: {_few(keys)}" for kind, keys in parts.items() if keys]
    if problems:
        prefixed = bool(state) and all(key.startswith("module.") for key in state)
        hint = " All keys start with 'module.': remove that prefix of DataParallel." if prefixed else ""
        raise ModelError(f"{source} does not fit the network. Weights {'; '.join(problems)}.{hint}")
    model.load_state_dict(dict(state), strict=True)


def _few(names: list[str], most: int = 5) -> str:
    listed = ", ".join(str(name) for name in names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
