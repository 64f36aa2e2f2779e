"""Plain values that stages hand to each other.

Conventions, fixed here once:

* boxes are ``(x0, y0, x1, y1)`` in pixels, origin top-left, x right, y down, x1 and y1 exclusive;
* images are float32 ``(B, 1, H, W)`` in [0, 1], bright = dense (bone white), as a MONOCHROME2 display shows them;
* saliency is float32 ``(B, 1, H, W)``, larger = matters more for the target class.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

Split = Literal["train", "val", "test", "other_source"]
SPLITS: tuple[Split, ...] = get_args(Split)

RegionKind = Literal[
    "side",
    "position",
    "word",
    "panel",
    "date",
    "number",
    "identifier",
    "arrow",
    "ruler",
    "glyph",
    "border",
    "corner",
    "device",
    "mark",
]
"""What a region is.

Printed or placed: side: L/R/D/I side marker; position: AP, PORTABLE, SUPINE and the like; word: other words; panel: a
figure's panel letter; date: date or time; number: digits, day counts; identifier: text that may name the patient or the
study; arrow; ruler: scale bars and dash lines; glyph: an isolated character-like mark nobody could read; mark: any of
these (used where kinds are pooled).
Of the film: border: padding, collimation, blank bands and frames; corner: cut, masked or tinted corners.
In or on the patient: device: leads, pacemakers, tubes; they can be clinically meaningful.
"""
REGION_KINDS: tuple[RegionKind, ...] = get_args(RegionKind)
PRINTED_KINDS: frozenset[RegionKind] = frozenset(REGION_KINDS) - {"border", "corner", "device"}
"""Kinds that `mark` stands for: what is printed on or laid over the picture."""

FindingStatus = Literal["suspected", "confirmed", "not-confirmed", "accepted", "rejected", "keep"]


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in pixels, x1 and y1 exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x1 > self.x0 and self.y1 > self.y0):
            raise ValueError(f"a box needs x1 > x0 and y1 > y0, found {self.as_tuple()}")

    @property
    def width(self) -> float:
        """x1 - x0, pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """y1 - y0, pixels."""
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """width x height, square pixels."""
        return self.width * self.height

    def as_tuple(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return (self.x0, self.y0, self.x1, self.y1)

    def intersection(self, other: Box) -> float:
        """Shared area in square pixels, 0 where they do not meet."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(width, 0.0) * max(height, 0.0)

    def iou(self, other: Box) -> float:
        """Intersection over union, in [0, 1]."""
        shared = self.intersection(other)
        return shared / (self.area + other.area - shared)

    def dilated(self, pixels: float) -> Box:
        """The box grown by `pixels` on every side (may leave the image; clip where that matters)."""
        return Box(self.x0 - pixels, self.y0 - pixels, self.x1 + pixels, self.y1 + pixels)

    def clipped(self, width: float, height: float) -> Box | None:
        """The part inside a `width` x `height` image, None when nothing is left."""
        x0, y0 = max(self.x0, 0.0), max(self.y0, 0.0)
        x1, y1 = min(self.x1, width), min(self.y1, height)
        return Box(x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


@dataclass(frozen=True)
class Region:
    """A mark found on one image, in the pixels of the original file.

    Attributes:
        image_id: sha256 of the decoded pixels.
        kind: see `RegionKind`.
        box: in original pixels.
        detector: which detector found it.
        confidence: in [0, 1], larger = surer.
        text: what was read, only when it stands in a public vocabulary (a side letter, PORTABLE);
            other words may be a patient's name and are never kept.
    """

    image_id: str
    kind: RegionKind
    box: Box
    detector: str
    confidence: float
    text: str | None = None

    @property
    def region_id(self) -> str:
        """16 hex digits that name this region: a hash of image, kind and box."""
        coordinates = ",".join(f"{value:.2f}" for value in self.box.as_tuple())
        return hashlib.sha256(f"{self.image_id}|{self.kind}|{coordinates}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class StoreTransform:
    """How an original image was placed in the square pixel store: scale, then pad.

    ``stored = original * scale + pad`` for both axes (pad_x for x, pad_y for y).
    """

    scale: float
    pad_x: float
    pad_y: float
    width: int
    """Original width, pixels."""
    height: int
    """Original height, pixels."""

    @classmethod
    def fit(cls, width: int, height: int, size: int) -> StoreTransform:
        """The letterbox that centres a `width` x `height` image in a `size` x `size` square."""
        scale = size / max(width, height)
        return cls(scale, (size - round(width * scale)) // 2, (size - round(height * scale)) // 2, width, height)

    def to_store(self, box: Box) -> Box:
        """A box in original pixels, expressed in stored pixels."""
        return Box(
            box.x0 * self.scale + self.pad_x,
            box.y0 * self.scale + self.pad_y,
            box.x1 * self.scale + self.pad_x,
            box.y1 * self.scale + self.pad_y,
        )

    def to_original(self, box: Box) -> Box:
        """A box in stored pixels, expressed in original pixels (exact inverse of `to_store`)."""
        return Box(
            (box.x0 - self.pad_x) / self.scale,
            (box.y0 - self.pad_y) / self.scale,
            (box.x1 - self.pad_x) / self.scale,
            (box.y1 - self.pad_y) / self.scale,
        )
