"""Decoys: holes in images that have no mark, at the places of marks, so that the trace of filling tells no class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.cleanse.holes import Holes, HolesOf
from pipeline.cleanse.lungs import LUNG_SHARE, Lungs
from pipeline.cleanse.masks import Mask, Record, content_size, pieces
from pipeline.randomness import derive_seed

TRIES = 20
"""Marked images whose places are tried, before an image where all of them lie in the lungs is left alone."""


def with_decoys(every: Sequence[Record], holes_of: HolesOf, seed: int, lungs: Lungs | None) -> HolesOf:
    """`holes_of`, and for an image without holes those of a marked image, moved to the same relative places.

    The marked image follows from seed and image id. No decoy lies in lung fields, where they are known, nor does an
    image get one whose lungs were looked for and not found: nobody decided about those places.

    Args:
        every: all images of the data set.
        holes_of: what is filled without decoys.
        seed: draws marked images.
        lungs: lung fields; None: nobody looked for lungs.
    """
    marked = sorted((each for each in every if holes_of(each) is not None), key=lambda each: str(each["image_id"]))

    def decoyed(record: Record) -> Holes | None:
        own = holes_of(record)
        if own is not None or not marked:
            return own
        field = None if lungs is None else lungs.field(record)
        if lungs is not None and field is None:
            return None
        first = derive_seed(seed, "decoy", str(record["image_id"]))
        for step in range(min(TRIES, len(marked))):
            decoy = _borrowed(marked[(first + step) % len(marked)], record, holes_of, field)
            if decoy is not None:
                return decoy
        return None

    return decoyed


def _borrowed(donor: Record, record: Record, holes_of: HolesOf, field: Mask | None) -> Holes | None:
    """Holes of `donor` on the content of `record`; None where one of them would lie in the lungs, `field`."""
    borrowed, size, home = holes_of(donor), content_size(record), content_size(donor)
    if borrowed is None:
        return None
    decoy = np.zeros(size, dtype=np.uint8)
    for piece in pieces(borrowed > 0):
        fitting = piece.fitted(size)
        window = fitting.window(*fitting.same_place(home, size))
        if field is not None and field[window][fitting.shape].mean() > LUNG_SHARE:
            return None
        decoy[window] = np.where(fitting.shape, borrowed[fitting.window(fitting.y, fitting.x)], decoy[window])
    return decoy
