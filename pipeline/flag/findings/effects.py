"""The causal effect of one kind on one class, and whether it carries a finding."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.config import FlagConfig
from pipeline.flag.behaviour.estimates import Estimate
from pipeline.flag.behaviour.summaries import Record


def class_effect(summary: Record | None, name: str, tested: pd.DataFrame) -> dict[str, Any]:
    """A finding's `effect` on class `name`, without q.

    Args:
        summary: the kind's record of `erase_summary`; None where no image was looked at.
        name: the class.
        tested: the kind's tested rows.
    """
    if summary is None:
        unknown = dict.fromkeys(("mean", "control_mean", "excess", "logit_excess", "p", "flip_rate"))
        return unknown | {"untestable": 0}
    ours, known = summary["classes"][name], bool(len(tested))
    reached = [value for value in (ours["p"], ours["logit_p"]) if value is not None]
    return {
        "mean": float(tested[f"effect_{name}"].mean()) if known else None,
        "control_mean": float(tested[f"control_mean_{name}"].mean()) if known else None,
        "excess": ours["excess"] if known else None,
        "logit_excess": ours["logit_excess"] if known else None,
        "p": min(reached, default=None),
        **{key: summary[key] for key in ("flip_rate", "available", "untestable", "stopped")},
    }


def carried(effect: dict[str, Any], config: FlagConfig) -> bool:
    """Whether the causal test confirms: q, and on one scale an interval wholly above the smallest effect that counts.

    A mean above it is not enough: of kinds whose true effect lies just below, every other sample would cry wolf.
    """
    if effect["q"] is None or effect["q"] > config.fdr:
        return False
    return _above(effect["excess"], config.min_effect) or _above(effect["logit_excess"], config.min_logit_effect)


def _above(size: Estimate | None, smallest: float) -> bool:
    return size is not None and size["low"] is not None and size["low"] > smallest
