"""Samples in which rare combinations are not crowded out."""

from __future__ import annotations

import pandas as pd

from pipeline.randomness import derive_seed


def in_turn(images: pd.DataFrame, strata: list[str], seed: int, purpose: str) -> list[int]:
    """Values of `row`, one of each stratum after the other, in an order that depends on seed, purpose and image alone.

    Args:
        images: table with `image_id`, `row` and the columns `strata`; null is a value.
        strata: columns whose combinations take turns, so that rare ones are not crowded out of a sample.
        seed: of the run.
        purpose: what the sample is for.
    """
    draws = [derive_seed(seed, purpose, str(image_id)) for image_id in images["image_id"]]
    shuffled = images.assign(draw=draws).sort_values("draw")
    turn = shuffled.groupby(strata, dropna=False).cumcount()
    return [int(row) for row in shuffled.assign(turn=turn).sort_values(["turn", "draw"])["row"]]
