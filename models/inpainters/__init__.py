"""Learned inpainters: a small gated network whose weights are shipped beside this file (CARD.md), and others of it."""

from models.inpainters.bundle import SHIPPED, load_inpainter, save_inpainter
from models.inpainters.ground import Ground, smooth_fill
from models.inpainters.network import SIDE, Inpainter, InpainterSpec

__all__ = [
    "SHIPPED",
    "SIDE",
    "Ground",
    "Inpainter",
    "InpainterSpec",
    "load_inpainter",
    "save_inpainter",
    "smooth_fill",
]
