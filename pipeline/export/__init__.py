"""Clean data sets leave here: PNG or DICOM trees, masks, annotations, a table; and what differs between versions."""

from pipeline.export.dicom_pixels import TRANSFER_SYNTAXES
from pipeline.export.diff import VersionDiff, diff_versions
from pipeline.export.diff_page import diff_markdown, render_diff
from pipeline.export.export import FORMATS, ExportOptions, available_formats, export
from pipeline.export.from_run import source_of_run, source_of_version
from pipeline.export.source import Source

__all__ = [
    "FORMATS",
    "TRANSFER_SYNTAXES",
    "ExportOptions",
    "Source",
    "VersionDiff",
    "available_formats",
    "diff_markdown",
    "diff_versions",
    "export",
    "render_diff",
    "source_of_run",
    "source_of_version",
]
