"""Holes shaped like real marks on clean ground, each with an untouched counterpart on another x-ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.benchmark.fills.subjects import Plane, Subject
from pipeline.cleanse.masks import Mask, Piece, free_place, pieces
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.types import PRINTED_KINDS

SIZES: dict[str, int] = {"mark": 1, "large": 3}
"""How holes are called -> how many times larger than the marks they are, each side."""
CLEAR = 6
"""Pixels that the box of a hole keeps from every detected mark."""
MOST = 0.75
"""Longest side of a hole, share of the image's."""
TRIES = 50
"""Marks, and images, looked at for one whose place is free."""


@dataclass(frozen=True)
class Place:
    """A shape somewhere on an x-ray.

    Attributes:
        subject: number of the x-ray.
        piece: shape and place.
    """

    subject: int
    piece: Piece

    def mask(self, size: tuple[int, int]) -> Mask:
        """Bool (h, w) of an x-ray of `size`."""
        mask = np.zeros(size, dtype=np.bool_)
        mask[self.piece.window(self.piece.y, self.piece.x)] = self.piece.shape
        return mask

    def around(self, plane: Plane, margin: int) -> tuple[slice, slice]:
        """Rows and columns of its box on `plane`, `margin` wider."""
        rows, columns = self.piece.window(self.piece.y, self.piece.x)
        return (
            slice(max(rows.start - margin, 0), min(rows.stop + margin, plane.shape[0])),
            slice(max(columns.start - margin, 0), min(columns.stop + margin, plane.shape[1])),
        )


@dataclass(frozen=True)
class Hole:
    """Where a hole is made, and the same shape at the same relative place of another x-ray, which stays untouched."""

    here: Place
    counterpart: Place


def holes(subjects: Sequence[Subject], size: str, seed: int) -> Iterator[Hole]:
    """At most one hole on each x-ray, at the relative place where its mark stands on the x-ray it was taken from.

    Where that is not clean ground for any of `TRIES` marks, a clean place is drawn. X-rays without any, or for which no
    other x-ray is clean there, get no hole.

    Args:
        subjects: the x-rays; marks are taken from all that have some.
        size: of `SIZES`.
        seed: draws marks, places and counterparts.
    """
    donors = [
        (number, _enlarged(piece, SIZES[size]))
        for number, subject in enumerate(subjects)
        for piece in pieces(subject.marked(frozenset(PRINTED_KINDS)))
    ]
    blocked = [subject.marked(dilation=CLEAR + 2) for subject in subjects]
    for number, subject in enumerate(subjects):
        order = sorted(range(len(donors)), key=lambda donor: derive_seed(seed, size, subject.image_id, donor))
        fitting = [donors[donor] for donor in order if donors[donor][0] != number]
        piece = _placed(number, subjects, fitting[:TRIES], blocked[number], seed)
        others = sorted(
            (other for other in range(len(subjects)) if other != number),
            key=lambda other: derive_seed(seed, "counterpart", subject.image_id, subjects[other].image_id),
        )
        counterpart = piece and _counterpart(piece, subject.size, others[:TRIES], subjects, blocked)
        if piece and counterpart:
            yield Hole(Place(number, piece), counterpart)


def _enlarged(piece: Piece, times: int) -> Piece:
    """`piece` about its own middle; it may leave the image."""
    height, width = piece.shape.shape
    shape = cv2.resize(
        piece.shape.astype(np.uint8), (width * times, height * times), interpolation=cv2.INTER_NEAREST
    ).astype(np.bool_)
    return Piece(piece.y - height * (times - 1) // 2, piece.x - width * (times - 1) // 2, shape)


def _placed(
    number: int, subjects: Sequence[Subject], donors: Sequence[tuple[int, Piece]], blocked: Mask, seed: int
) -> Piece | None:
    size = subjects[number].size
    small = [(home, piece) for home, piece in donors if _fits(piece, size) and _fits(piece, subjects[home].size)]
    for home, piece in small:
        there = _moved(piece, subjects[home].size, size)
        if not blocked[there.window(there.y, there.x)].any():
            return there
    for _, piece in small[:1]:
        generator = numpy_generator(seed, "hole", subjects[number].image_id)
        y, x = free_place(piece, blocked, generator)
        if not blocked[piece.window(y, x)].any():
            return Piece(y, x, piece.shape)
    return None


def _fits(piece: Piece, size: tuple[int, int]) -> bool:
    return all(side <= MOST * whole for side, whole in zip(piece.shape.shape, size, strict=True))


def _moved(piece: Piece, home: tuple[int, int], size: tuple[int, int]) -> Piece:
    """`piece`, first moved into its own image, at the same relative place of one of `size`."""
    height, width = piece.shape.shape
    y, x = min(max(piece.y, 0), home[0] - height), min(max(piece.x, 0), home[1] - width)
    return Piece(*Piece(y, x, piece.shape).same_place(home, size), piece.shape)


def _counterpart(
    piece: Piece, home: tuple[int, int], others: Sequence[int], subjects: Sequence[Subject], blocked: Sequence[Mask]
) -> Place | None:
    for other in others:
        if _fits(piece, subjects[other].size):
            there = _moved(piece, home, subjects[other].size)
            if not blocked[other][there.window(there.y, there.x)].any():
                return Place(other, there)
    return None
