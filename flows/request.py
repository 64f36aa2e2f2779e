"""What a person or a schedule asks for: the typed parameters of every flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flows.workspace import default_workspace
from pipeline.config import Preset

Policy = Literal["confirmed", "none"]
Device = Literal["auto", "cpu", "cuda"]


class AuditRequest(BaseModel):
    """One audit. Equal requests on equal data give the same run folder and do no work twice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str = Field(description="path of a manifest, or the name of a built-in one")
    data_root: Path | None = Field(None, description="folder the manifest's paths are relative to")
    workspace: Path = Field(default_factory=default_workspace)
    preset: Preset = "standard"
    model: Path | None = Field(None, description="bundle, or state dict with `spec`, to audit instead of training")
    spec: Path | None = Field(None, description="JSON of the state dict's ModelSpec")
    seed: int = 0
    device: Device = "auto"
    workers: int = Field(2, ge=1, le=64, description="processes for decoding and mark detection")
    cluster: str | None = Field(
        None, description="where the work is spread: `local`, `local:<workers>`, or the address of a Dask scheduler"
    )
    grow: bool = Field(
        False, description="go on from the last audit of this data set: only new and changed images are worked on"
    )
    overrides: dict[str, Any] = Field(default_factory=dict, description="settings over preset and manifest")


def resolve_device(name: str) -> str:
    """`auto` -> cuda where there is one, else cpu.

    Raises:
        InputError: cuda was asked for and there is none.
    """
    import torch

    from pipeline.errors import InputError

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: this machine shows no CUDA device. Use --device auto or cpu.")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
