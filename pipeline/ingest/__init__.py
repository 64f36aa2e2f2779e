"""From a manifest to an immutable dataset version: sources, readers, copies, splits, pixel store.

    manifest.yaml -> load_manifest -> read_rows -> ingest -> DatasetVersion

Names below are loaded when first asked for: a command that only checks a manifest must not wait for the decoders.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.ingest.build import ingest
    from pipeline.ingest.check import CheckReport, check_manifest
    from pipeline.ingest.decode import image_id, letterbox
    from pipeline.ingest.manifest import Manifest, builtin_manifests, find_manifest, load_manifest
    from pipeline.ingest.quality import data_quality
    from pipeline.ingest.readers import ReadImage, ReadLimits, read_image
    from pipeline.ingest.sources import SourceRows, read_rows

__all__ = [
    "CheckReport",
    "Manifest",
    "ReadImage",
    "ReadLimits",
    "SourceRows",
    "builtin_manifests",
    "check_manifest",
    "data_quality",
    "find_manifest",
    "image_id",
    "ingest",
    "letterbox",
    "load_manifest",
    "read_image",
    "read_rows",
]

_HOME = {
    "CheckReport": "check",
    "check_manifest": "check",
    "Manifest": "manifest",
    "ReadImage": "readers",
    "ReadLimits": "readers",
    "SourceRows": "sources",
    "builtin_manifests": "manifest",
    "data_quality": "quality",
    "find_manifest": "manifest",
    "image_id": "decode",
    "ingest": "build",
    "letterbox": "decode",
    "load_manifest": "manifest",
    "read_image": "readers",
    "read_rows": "sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
