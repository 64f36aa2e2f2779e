"""A check that what is filled does not depend on the class: the selection made again with the labels shuffled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.cleanse.holes import BLIND_COLUMNS, HolesOf, records
from pipeline.errors import IntegrityError
from pipeline.randomness import numpy_generator


def check_class_blind(images: pd.DataFrame, make: Callable[[pd.DataFrame], HolesOf], seed: int) -> dict[str, Any]:
    """Check that what is filled stays the same when labels, sources, splits and all else are dealt out anew.

    Args:
        images: an images table.
        make: images table -> what is filled in each image.
        seed: of the permutation.

    Returns:
        ``images``: how many were compared; ``shuffled``: the columns that were dealt out anew.

    Raises:
        IntegrityError: it does not stay the same.
    """
    shuffled = [name for name in images.columns if name not in BLIND_COLUMNS]
    order = numpy_generator(seed, "class-blind").permutation(len(images))
    other = images.assign(**{name: images[name].to_numpy()[order] for name in shuffled})
    pair = [(make(table), records(table)) for table in (images, other)]
    differing = [
        str(one["image_id"])
        for one, two in zip(pair[0][1], pair[1][1], strict=True)
        if _digest(pair[0][0], one) != _digest(pair[1][0], two)
    ]
    if differing:
        raise IntegrityError(
            f"What is filled depends on more than the picture: it changes in {len(differing)} of {len(images)} images "
            f"(first: {differing[0]}) when {', '.join(shuffled)} are dealt out anew. Nothing was written."
        )
    return {"images": len(images), "shuffled": shuffled}


def _digest(holes_of: HolesOf, record: Any) -> bytes:
    holes = holes_of(record)
    if holes is None:
        return b""
    places = np.flatnonzero(holes)
    return hashlib.sha256(places.tobytes() + holes.reshape(-1)[places].tobytes()).digest()
