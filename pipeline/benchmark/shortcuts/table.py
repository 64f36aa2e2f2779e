"""The results as Markdown: rates with N and Wilson intervals, and every wrong verdict with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from pipeline.benchmark.shortcuts.grid import CHARACTERS, FIGURES, STRONG, TRAITS
from pipeline.benchmark.shortcuts.reasons import MOSTLY
from pipeline.benchmark.shortcuts.repair import METRICS
from pipeline.flag.profile.association import wilson

GROUPS = {"characters": CHARACTERS, "figures": FIGURES, "image-wide traits": TRAITS}
NONE = "–"


def render_table(trials: pd.DataFrame) -> str:
    """The tables of a benchmark, ready to be pasted into a page.

    Args:
        trials: trials.parquet.
    """
    planted, controls = trials[trials["arm"] == "planted"], trials[trials["arm"] != "planted"]
    sections = {
        "Targets": _rows(("measure", "result"), _targets(planted, controls)),
        "Planted shortcuts": _rows(_HEADS, _breakdown(planted)),
        "Controls": _rows(("", "falsely confirmed", "of the planted kind"), _controls(controls)),
        "Wrong verdicts": _rows(("trial", "confirmed instead", "why"), _wrong(trials)),
    }
    return "\n".join(f"### {title}\n\n{body}\n" for title, body in sections.items() if body)


def rate(successes: pd.Series) -> str:
    """Share of true values with its 95 % Wilson interval and counts; missing values are left out."""
    known = successes.dropna().astype(bool)
    if known.empty:
        return NONE
    low, high = wilson(int(known.sum()), len(known))
    return f"{known.mean():.0%} ({low:.0%} to {high:.0%}), {int(known.sum())}/{len(known)}"


def median(values: pd.Series, form: str = ".0%") -> str:
    """Median with the quartiles and N; missing values are left out."""
    known = values.dropna().astype(float)
    if known.empty:
        return NONE
    low, middle, high = (format(known.quantile(share), form) for share in (0.25, 0.5, 0.75))
    return f"{middle} (quartiles {low} to {high}), N = {len(known)}"


def _targets(planted: pd.DataFrame, controls: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    strong = planted[planted["strength"] >= STRONG]
    learnt = strong[strong["learnt"].fillna(False).astype(bool)]
    regional = strong[~strong["mark"].isin(TRAITS)]
    characters = planted[planted["mark"].isin(CHARACTERS)]
    yield f"strong shortcuts (strength at least {STRONG}) confirmed", rate(strong["confirmed"])
    yield "of these, those the classifier learnt", rate(learnt["confirmed"])
    yield "strong shortcuts that have a place", rate(regional["confirmed"])
    yield "strong shortcuts confirmed under whatever name", rate(_any_name(strong))
    yield "controls falsely confirmed", rate(controls["confirmed"])
    for metric in METRICS:
        yield f"{metric} won back, characters (median)", median(characters[f"won_{metric}"])


def _any_name(planted: pd.DataFrame) -> pd.Series:
    """Whether the kind is confirmed, or what most of its marks were taken for, or any trait in place of a trait."""
    return planted["confirmed"].astype(bool) | (planted["mark_confirmed"].astype("Float64") >= MOSTLY).fillna(False)


_HEADS = ("", "confirmed", "learnt", "mark found", "IoU", "pointing", "image precision", "image recall", "F1 won back")


def _breakdown(planted: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    group_of = planted["mark"].map({name: group for group, names in GROUPS.items() for name in names})
    for title, key in (
        ("", group_of),
        ("", planted["mark"]),
        ("strength ", planted["strength"]),
        ("", planted["polarity"]),
        ("place ", planted["place"]),
        ("goes with ", planted["target"]),
    ):
        for name, part in planted.groupby(key, sort=False):
            yield (f"{title}{name}", *_summary(part))
    yield ("all", *_summary(planted))


def _summary(part: pd.DataFrame) -> tuple[str, ...]:
    return (
        rate(part["confirmed"]),
        rate(part["learnt"]),
        _mean(part["mark_found"]),
        _mean(part["mark_iou"], ".2f"),
        _pointing(part),
        _mean(part["image_precision"]),
        _mean(part["image_recall"]),
        median(part["won_f1"]),
    )


def _pointing(part: pd.DataFrame) -> str:
    """Over images, not over trials: a trial explains but a few."""
    known = part.dropna(subset=["pointing"])
    images = int(known["pointing_n"].sum())
    if not images:
        return NONE
    hits = round(float((known["pointing"] * known["pointing_n"]).sum()))
    low, high = wilson(hits, images)
    return f"{hits / images:.0%} ({low:.0%} to {high:.0%}), {hits}/{images}"


def _mean(values: pd.Series, form: str = ".0%") -> str:
    known = values.dropna().astype(float)
    return f"{known.mean():{form}}, N = {len(known)}" if len(known) else NONE


def _controls(controls: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for title, part in (
        *((f"{name} at random", part) for name, part in _by_group(controls)),
        ("no marks", controls[controls["arm"] == "none"]),
        ("all", controls),
    ):
        yield title, rate(part["confirmed"]), rate(_own_kind(part))


def _by_group(controls: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for name, marks in GROUPS.items():
        part = controls[controls["mark"].isin(marks)]
        if len(part):
            yield name, part


def _own_kind(controls: pd.DataFrame) -> pd.Series:
    """Whether the kind that was planted at random is among those confirmed; null where nothing was planted."""
    named: Callable[[pd.Series], object] = lambda row: (  # noqa: E731
        None if pd.isna(row["kind"]) else row["kind"] in str(row["confirmed_kinds"]).split("|")
    )
    return controls.apply(named, axis=1) if len(controls) else pd.Series(dtype="object")


def _wrong(trials: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    for row in trials[trials["reason"].notna()].to_dict("records"):
        yield str(row["id"]), str(row["confirmed_kinds"]).replace("|", ", ") or NONE, str(row["reason"])


def _rows(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *lines])
