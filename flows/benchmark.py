"""The `benchmark` flow: planted shortcuts. Are they found, are controls left alone, and does repair win back?"""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel, ConfigDict, Field

from flows.console import progress
from flows.request import Place
from flows.tasks.policy import stage
from flows.workspace import Workspace, default_workspace
from pipeline.artifacts import content_hash
from pipeline.benchmark.shortcuts import ShortcutRequest, Subset, benchmark_shortcuts


class BenchmarkRequest(BaseModel):
    """One benchmark. The same request goes on where it was stopped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workspace: Place = Field(
        default_factory=default_workspace, validate_default=True, description="folder that results are kept in"
    )
    dataset: Path | None = Field(None, description="folder of a data set version; generated images without it")
    classes: list[str] = Field([], description="two of its classes, the positive one last; its own two when empty")
    sources: list[str] = Field([], description="only images of these sources; all when empty")
    images: int = Field(400, ge=60, description="at most so many images of the data set")
    subset: Subset = Field("full", description="ci: four trials on small pictures")
    seed: int = Field(0, description="0 is what is reported; try things with others")
    workers: int = Field(2, ge=1, le=64, description="processes, one trial each")


@flow(name="benchmark", description="Plant shortcuts, audit and repair them: what is found, and what is won back?")
def benchmark(request: BenchmarkRequest) -> Path:
    """Run or finish a benchmark; returns its folder, with table.md and trials.parquet.

    Raises:
        CxrAuditError: the data set cannot be used; the message says what to do.
    """
    asked = request.model_dump(mode="json", exclude={"workspace", "workers"})
    folder = Workspace(request.workspace).benchmarks / content_hash(asked)
    plant(request, folder)
    create_markdown_artifact(key="benchmark", markdown=(folder / "table.md").read_text(encoding="utf-8"))
    return folder


@stage("planted shortcuts")
def plant(request: BenchmarkRequest, folder: Path) -> None:
    """Run the trials."""
    asked = ShortcutRequest(
        request.dataset, tuple(request.classes), tuple(request.sources), request.images, request.subset, request.seed
    )
    benchmark_shortcuts(asked, folder, workers=request.workers, progress=progress())
