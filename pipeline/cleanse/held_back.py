"""What a plan does not touch before a person has looked: regions in the lungs, and those it lists for review."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from pipeline.cleanse.holes import records
from pipeline.cleanse.lungs import LUNG_SHARE, Lungs
from pipeline.cleanse.masks import box_window
from pipeline.cleanse.plan import FILLING, Plan, by_lines, policies
from pipeline.dataset import DatasetVersion
from pipeline.types import Box

REASONS = ("in-lungs", "lungs-unknown", "review")
"""Why: more than `LUNG_SHARE` of it lies in the lungs; no plausible lungs were found on its image; the plan says so."""
COLUMNS = ("region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1", "lung_share", "reason")


def hold_back(plan: Plan, regions: pd.DataFrame, dataset: DatasetVersion, lungs: Lungs | None) -> pd.DataFrame:
    """`regions` with what is held back marked; whatever applies a plan leaves those rows alone.

    Args:
        plan: whose lines select, and say whether lungs may be filled.
        regions: all regions, see `make_plan`; earlier marks of this function are dropped.
        dataset: what they were found on.
        lungs: its lung fields; None: nobody looked for lungs, and nothing is held back for their sake.

    Returns:
        The same rows and more columns: `held_back` (string), one of `REASONS` or null; `lung_share` (Float64), the
        share of the region, grown as it would be filled, that lies in the lungs, null where unknown or not asked;
        `by_rule` (bool), whether the lines alone would fill it; `exception` (string), removed, kept or review where
        a person decided about the very region and that differs from what the lines alone would do, else null.
    """
    lines, final = by_lines(plan, regions), policies(plan, regions)
    wanted = lines["policy"].isin(FILLING)
    asked = wanted | final["policy"].isin(FILLING)
    share = pd.Series(pd.NA, index=regions.index, dtype="Float64")
    reason = pd.Series(pd.NA, index=regions.index, dtype="string")
    reason[lines["policy"] == "review"] = "review"
    if lungs is not None:
        share[asked] = _lung_shares(plan, regions[asked], lines.loc[asked, "line"], dataset, lungs)
        careful = [number for number, line in enumerate(plan.lines) if line.in_lungs == "refuse"]
        refused = wanted & lines["line"].isin(careful)
        reason[refused & share.isna()] = "lungs-unknown"
        reason[refused & (share > LUNG_SHARE).fillna(False)] = "in-lungs"
    by_rule = wanted & reason.isna()
    decided = _decided(regions)
    return regions.assign(
        held_back=reason.mask(decided != "").mask(decided == "review", "review"),
        lung_share=share,
        by_rule=by_rule,
        exception=_exceptions(decided, by_rule, reason),
    )


def held_back_table(judged: pd.DataFrame) -> pd.DataFrame:
    """The rows that `hold_back` marked, as `COLUMNS` (those that there are); `reason` is why."""
    table = judged[judged["held_back"].notna()].rename(columns={"held_back": "reason"})
    return table[[name for name in COLUMNS if name in table]].reset_index(drop=True)


def _decided(regions: pd.DataFrame) -> pd.Series[str]:
    """What a person decided about the very region; empty where nobody did."""
    if "decided" in regions:
        return regions["decided"].astype("string").fillna("")
    return pd.Series("", index=regions.index, dtype="string")


def _exceptions(decided: pd.Series[str], by_rule: pd.Series[bool], reason: pd.Series[str]) -> pd.Series[str]:
    exception = pd.Series(pd.NA, index=decided.index, dtype="string")
    exception[(decided == "remove") & ~by_rule] = "removed"
    exception[(decided == "keep") & by_rule] = "kept"
    exception[(decided == "review") & (reason.fillna("") != "review")] = "review"
    return exception


def _lung_shares(
    plan: Plan, regions: pd.DataFrame, lines: pd.Series[int], dataset: DatasetVersion, lungs: Lungs
) -> pd.Series[float]:
    known = {str(record["image_id"]): record for record in records(dataset.images)}
    order = np.argsort(regions["image_id"].to_numpy(dtype=str), kind="stable")
    corners = (regions[name].to_numpy() for name in ("x0", "y0", "x1", "y1"))
    columns = (regions["image_id"].to_numpy(dtype=str), lines.to_numpy(dtype=object), *corners)
    rows = zip(order, *(column[order] for column in columns), strict=True)
    shares: list[Any] = [pd.NA] * len(regions)
    for image_id, own in groupby(rows, key=itemgetter(1)):
        record = known[image_id]
        field = lungs.field(record)
        if field is None:
            continue
        for place, _, line, *values in own:
            box = Box(*map(float, values))
            shares[place] = field[box_window(box, record, plan.dilation_of(line))].mean()
    return pd.Series(shares, index=regions.index, dtype="Float64")
