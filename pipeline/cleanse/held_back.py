"""What a plan does not touch before a person has looked: regions in the lungs, and those it lists for review."""

from __future__ import annotations

import pandas as pd

from pipeline.cleanse.holes import records
from pipeline.cleanse.lungs import LUNG_SHARE, Lungs
from pipeline.cleanse.masks import box_window
from pipeline.cleanse.plan import Plan, policies
from pipeline.dataset import DatasetVersion
from pipeline.types import Box

REASONS = ("in-lungs", "lungs-unknown", "review")
"""Why: more than `LUNG_SHARE` of it lies in the lungs; no plausible lungs were found on its image; the plan says so."""
COLUMNS = ("region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1", "lung_share", "reason")


def hold_back(plan: Plan, regions: pd.DataFrame, dataset: DatasetVersion, lungs: Lungs | None) -> pd.DataFrame:
    """`regions` with what is held back marked; whatever applies a plan leaves those rows alone.

    Args:
        plan: whose lines select, and say whether lungs may be filled.
        regions: all detected regions, see `make_plan`; earlier marks of this function are dropped.
        dataset: what they were found on.
        lungs: its lung fields; None: nobody looked for lungs, and nothing is held back for their sake.

    Returns:
        The same rows and two more columns: `held_back` (string), one of `REASONS` or null; `lung_share` (Float64), the
        share of the region, grown as it would be filled, that lies in the lungs, null where unknown or not asked.
    """
    judged = policies(plan, regions)
    wanted = judged["policy"].isin(["remove", "normalise"])
    share = pd.Series(pd.NA, index=regions.index, dtype="Float64")
    reason = pd.Series(pd.NA, index=regions.index, dtype="string")
    reason[judged["policy"] == "review"] = "review"
    if lungs is not None:
        share[wanted] = _lung_shares(plan, regions[wanted], judged.loc[wanted, "line"], dataset, lungs)
        careful = [number for number, line in enumerate(plan.lines) if line.in_lungs == "refuse"]
        refused = wanted & judged["line"].isin(careful)
        reason[refused & share.isna()] = "lungs-unknown"
        reason[refused & (share > LUNG_SHARE).fillna(False)] = "in-lungs"
    return regions.assign(held_back=reason, lung_share=share)


def held_back_table(judged: pd.DataFrame) -> pd.DataFrame:
    """The rows that `hold_back` marked, as `COLUMNS` (those that there are); `reason` is why."""
    table = judged[judged["held_back"].notna()].rename(columns={"held_back": "reason"})
    return table[[name for name in COLUMNS if name in table]].reset_index(drop=True)


def _lung_shares(
    plan: Plan, regions: pd.DataFrame, lines: pd.Series[int], dataset: DatasetVersion, lungs: Lungs
) -> pd.Series[float]:
    known = {str(record["image_id"]): record for record in records(dataset.images)}
    shares = pd.Series(pd.NA, index=regions.index, dtype="Float64")
    for image_id, own in regions.groupby("image_id", sort=False):
        record = known[str(image_id)]
        field = lungs.field(record)
        if field is None:
            continue
        for index, *corners in own[["x0", "y0", "x1", "y1"]].itertuples():
            dilation = plan.lines[int(lines[index])].dilation
            box = Box(*(float(value) for value in corners))
            shares[index] = field[box_window(box, record, plan.dilation if dilation is None else dilation)].mean()
    return shares
