"""Regions as a review left them: without those that are none, with moved and new ones, and what was decided of each."""

from __future__ import annotations

from typing import Final

import pandas as pd

POLICIES: Final = {"accepted": "remove", "rejected": "keep", "keep": "keep", "unsure": "review"}
"""What a plan does with a region that a person gave a verdict of its own."""
NEW: Final = {"drawn": "reviewer", "residual": "residual"}
"""Detector of regions that the audit did not find, by origin."""
_PLACE: Final = {"kind": "string", "text": "string"} | dict.fromkeys(("x0", "y0", "x1", "y1"), "float64")


def with_reviewed(regions: pd.DataFrame, reviewed: pd.DataFrame) -> pd.DataFrame:
    """`regions` with what reviewers did to them.

    Args:
        regions: as detectors found them: `region_id`, `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1` in original
            pixels, and whatever else.
        reviewed: the same, `origin` (detected, drawn, residual), `deleted`, `edited` (bool), `verdict` and `decided_by`
            (null: no verdict of its own) of every region that a person touched.

    Returns:
        The columns of `regions` and two more: `decided` (remove, keep or review; null where no person decided about
        the very region) and `decided_by`. Regions found again on a cleansed image join once they are decided: before,
        they are remains of what is filled anyway.
    """
    touched = reviewed.set_index("region_id")
    gone = touched.index[touched["deleted"].astype(bool)]
    there = regions[~regions["region_id"].isin(gone)].reset_index(drop=True).astype(_PLACE)
    new = _new(reviewed, there)
    joined = pd.concat([there, new], ignore_index=True) if len(new) else there
    moved = joined["region_id"].isin(touched.index[touched["edited"].astype(bool)])
    if moved.any():
        own = pd.DataFrame({name: joined["region_id"].map(touched[name]) for name in _PLACE}).astype(_PLACE)
        joined = joined.assign(**{name: joined[name].mask(moved, own[name]) for name in _PLACE})
    verdict = joined["region_id"].map(touched["verdict"])
    return joined.assign(
        decided=verdict.map(POLICIES, na_action="ignore").astype("string"),
        decided_by=joined["region_id"].map(touched["decided_by"]).where(verdict.notna()).astype("string"),
    )


def _new(reviewed: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    joins = (reviewed["origin"] == "drawn") | ((reviewed["origin"] == "residual") & reviewed["verdict"].notna())
    new = reviewed[joins & ~reviewed["deleted"].astype(bool) & ~reviewed["region_id"].isin(regions["region_id"])]
    named = new.assign(detector=new["origin"].map(NEW)).sort_values("region_id", kind="stable")
    return named.reindex(columns=regions.columns).astype(regions.dtypes.to_dict())
