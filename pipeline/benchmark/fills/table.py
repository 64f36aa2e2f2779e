"""The Markdown page that is pasted into docs/fills.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.benchmark.fills.holes import CLEAR, SIZES
from pipeline.benchmark.fills.measures import SURROUNDINGS
from pipeline.benchmark.fills.probes import CROP, FOLDS

_HEAD = ("fill", "MAE", "RMSE", "PSNR, dB", "GMSD", "texture probe", "network probe", "ms an image")
_ROW = "| " + " | ".join(["{}"] * len(_HEAD)) + " |"
_METHOD = f"""Holes have the shapes of detected printed marks, boxes grown as cleansing grows them ("large": every side
{SIZES["large"]} times as long), and stand where such marks stand, {CLEAR} pixels clear of everything detected. MAE,
RMSE and PSNR: inside the hole, grey levels of 255, mean over images. GMSD: gradient magnitude similarity deviation over
the hole and {SURROUNDINGS} pixels around it (0: alike). Probes: AUROC of telling filled places from untouched ones at
the same relative place of other images, {FOLDS} folds by patient; "texture" is logistic regression on texture
statistics, "network" a small convolutional network on crops of {CROP} pixels; 0.5: no trace. "untouched": the same
places before they were filled. Brackets: 95 % bootstrap intervals over patients. Time: median process time on the
CPU."""


def markdown(summary: pd.DataFrame, places: pd.DataFrame, subjects: int) -> str:
    """All tables under headings.

    Args:
        summary: columns of `summary.SUMMARY`.
        places: columns of `run.PLACES`.
        subjects: x-rays looked at.
    """
    parts = [_METHOD]
    for size, part in summary.groupby("size", sort=False):
        holes = places[places["size"] == size].drop_duplicates("image_id")
        first = part.iloc[0]
        parts += [
            f"## {str(size).capitalize()} holes",
            f"{len(holes)} holes on {len(holes)} of {subjects} x-rays, median {holes['pixels'].median():.0f} pixels "
            f"(5th to 95th percentile {holes['pixels'].quantile(0.05):.0f} to {holes['pixels'].quantile(0.95):.0f}); "
            f"probes: {first['filled']} filled and {first['untouched']} untouched places of "
            f"{first['probe_patients']} patients.",
            "\n".join([_ROW.format(*_HEAD), _ROW.format(*["---"] * len(_HEAD)), *map(_row, part.to_dict("records"))]),
        ]
    return "\n\n".join(parts) + "\n"


def _row(row: Mapping[Any, Any]) -> str:
    errors = [_cell(row, name, digits) for name, digits in (("mae", 1), ("rmse", 1), ("psnr", 1), ("gmsd", 3))]
    return _ROW.format(
        row["fill"], *errors, _cell(row, "texture", 2), _cell(row, "network", 2), _number(row["milliseconds"], 1)
    )


def _cell(row: Mapping[Any, Any], name: str, digits: int) -> str:
    """``mean (low-high)``."""
    if pd.isna(row[name]):
        return "-"
    return f"{row[name]:.{digits}f} ({_number(row[f'{name}_low'], digits)}-{_number(row[f'{name}_high'], digits)})"


def _number(value: Any, digits: int) -> str:
    return "-" if pd.isna(value) else f"{value:.{digits}f}"
