"""Removal operators: what stands where something was taken out.

One interface for explainers, causal tests and cleansing::

    fill(images (B, C, H, W) float32 in [0, 1], where (B, 1, H, W) bool, generator) -> images

Pixels outside `where` come back bit-identical; the inputs are not modified. What an image gets depends on
that image alone, never on the batch. Nothing under `where` is read, so the removed mark cannot bleed back.
"""

from pipeline.fills.contract import Fill
from pipeline.fills.registry import available_fills, fill, fill_version

__all__ = ["Fill", "available_fills", "fill", "fill_version"]
