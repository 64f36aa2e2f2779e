"""From a manifest to a dataset version."""

from __future__ import annotations

import logging
from pathlib import Path

from flows.cluster import spread
from flows.console import progress
from flows.mirror import kept_below
from flows.request import AuditRequest
from flows.tasks.policy import stage
from flows.workspace import Workspace
from pipeline.artifacts import read_parquet
from pipeline.config import AuditConfig, audit_config
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError

_log = logging.getLogger("cxr_audit.ingest")


def config_of(request: AuditRequest) -> AuditConfig:
    """Settings of a request: preset, then the manifest's `audit:`, then the request's own overrides.

    Raises:
        InputError: there is no such explainer. Said here, before hours of training.
    """
    from pipeline.explain.registry import method
    from pipeline.ingest import find_manifest

    config = audit_config(
        request.preset, find_manifest(request.manifest).audit, {"seed": request.seed}, request.overrides
    )
    for name in (*config.explain.methods, *config.explain.options):
        method(name)
    return config


def name_of(request: AuditRequest) -> str:
    """Name of the data set that is asked for."""
    from pipeline.ingest import find_manifest

    return find_manifest(request.manifest).name


def generated_root(request: AuditRequest) -> Path:
    """Data root of a manifest that generates its images.

    Raises:
        InputError: the manifest generates nothing, so --data-root is needed.
    """
    from pipeline.artifacts import code_version, content_hash
    from pipeline.ingest import find_manifest

    spec = find_manifest(request.manifest).generate
    if spec is None:
        raise InputError(
            f"{request.manifest} reads images from a folder: give it with --data-root "
            "(`cxr-audit datasets fetch` prints one for manifests that pin their origin)."
        )
    key = content_hash([spec.model_dump(), code_version("pipeline.ingest.synthetic")])
    return Workspace(request.workspace).generated / key


@stage("generate phantoms")
def generate(request: AuditRequest) -> Path:
    """Make the phantoms that a manifest with `generate:` asks for; returns their data root."""
    from pipeline.ingest import find_manifest
    from pipeline.ingest.synthetic import PhantomSpec
    from pipeline.ingest.synthetic import generate as make

    folder = generated_root(request)
    spec = find_manifest(request.manifest).generate
    return make(PhantomSpec(**spec.model_dump() if spec else {}), folder, workers=request.workers, progress=progress())


def log_refused(dataset: Path) -> None:
    """Log every image that could not be used by its row in problems.parquet, which knows its file, and its reason."""
    reasons = read_parquet(dataset / "problems.parquet")["reason"]
    for row, reason in enumerate(reasons.astype(str)):
        _log.info("image refused", extra={"row": row, "reason": reason, "version": dataset.name})


@stage("ingest")
def ingest(
    request: AuditRequest, data_root: Path, config: AuditConfig, previous: Path | None = None
) -> tuple[Path, bool]:
    """Read the manifest's images under `data_root` into a dataset version; it may go on from a previous one.

    Returns its folder, and whether it had to be made.
    """
    from pipeline.ingest import find_manifest, read_rows
    from pipeline.ingest import ingest as read

    manifest = find_manifest(request.manifest)
    root = Workspace(request.workspace).datasets
    there = set(root.glob("*/*")) | kept_below(root)
    dataset = read(
        manifest,
        read_rows(manifest, data_root),
        data_root,
        root,
        config.ingest,
        request.seed,
        previous=DatasetVersion(previous) if previous else None,
        spread=spread(),
        progress=progress(),
    )
    made = dataset.path not in there
    if made:
        log_refused(dataset.path)
    return dataset.path, made
