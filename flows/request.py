"""What a person or a schedule asks for: the typed parameters of every flow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from flows.mirror import url_of
from flows.workspace import default_workspace, workspace_at
from pipeline.config import Preset

Policy = Literal["confirmed", "none"]
Device = Literal["auto", "cpu", "cuda"]

Place = Annotated[
    Path,
    BeforeValidator(lambda place: str(workspace_at(place))),  # JSON has no paths
    AfterValidator(Path.absolute),
    PlainSerializer(lambda folder: url_of(folder) or str(folder), return_type=str, when_used="json"),
]
"""A workspace: its folder on this machine, which may mirror a URL. Other machines are told the URL."""


class AuditRequest(BaseModel):
    """One audit. Equal requests on equal data give the same run folder and do no work twice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str = Field(description="path of a manifest, or the name of a built-in one")
    data_root: Path | None = Field(None, description="folder the manifest's paths are relative to")
    workspace: Place = Field(
        default_factory=default_workspace,
        validate_default=True,
        description="folder that results are kept in, or the URL of an object store, such as s3://bucket/prefix",
    )
    preset: Preset = Field("standard", description="how thorough")
    model: Path | None = Field(None, description="bundle, or state dict with `spec`, to audit instead of training")
    spec: Path | None = Field(None, description="JSON of the state dict's ModelSpec")
    seed: int = Field(0, description="every random choice derives from it")
    device: Device = Field("auto", description="where the model runs")
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
