"""Lung segmenters: a small U-Net whose weights are shipped beside this file (CARD.md), and adapters for others."""

from models.lungs.network import SHIPPED, SIDE, LungNet, load_lung_net, save_lung_net
from models.lungs.segmenter import (
    Segmenter,
    bundle_segmenter,
    chestxdet_segmenter,
    file_segmenter,
    script_segmenter,
    shipped_segmenter,
)

__all__ = [
    "SHIPPED",
    "SIDE",
    "LungNet",
    "Segmenter",
    "bundle_segmenter",
    "chestxdet_segmenter",
    "file_segmenter",
    "load_lung_net",
    "save_lung_net",
    "script_segmenter",
    "shipped_segmenter",
]
