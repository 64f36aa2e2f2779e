"""A finding as its page shows it: words, charts, pictures, and who may decide what."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.artifacts import read_json
from pipeline.review.store.tables import Item, Region
from pipeline.review.values import Actor, FindingView, Verdict
from pipeline.review.web.charts import Chart, charts, interval_words, percent
from pipeline.storage import storage_errors
from pipeline.types import Box, StoreTransform


@dataclass(frozen=True)
class PercentBox:
    """A box on a stored picture, in percent of its side."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Picture:
    """A thumbnail with boxes."""

    image_id: str
    name: str
    boxes: tuple[PercentBox, ...]


@dataclass(frozen=True)
class Card:
    """One finding."""

    view: FindingView
    lead: str
    """First sentence of its summary."""
    rest: str
    """The others."""
    charts: list[Chart]
    pictures: list[Picture]
    decidable: tuple[Verdict, ...]
    reason: str
    """Why not every verdict can be given; empty where it can."""


@dataclass(frozen=True)
class Table:
    """Numbers of a finding, ready to be printed."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def card(view: FindingView, actor: Actor, min_effect: float | None, pictures: list[Picture]) -> Card:
    """Put together what one finding shows."""
    lead, *rest = re.split(r"(?<=\.)\s+(?=[A-Z])", str(view.payload.get("summary", "")), maxsplit=1)
    decidable = () if actor.role == "viewer" else view.decidable
    drawn = charts(view.payload, min_effect)
    return Card(view, lead, "".join(rest), drawn, pictures, decidable, _reason(view, actor))


def _reason(view: FindingView, actor: Actor) -> str:
    if actor.role == "viewer":
        return "Your role is viewer: you may look, not decide."
    if "accepted" not in view.decidable:
        return "It names no regions that could be removed from images, so it cannot be accepted for repair."
    return ""


def pictures(session: Session, run: str, findings: Iterable[FindingView], dataset: Path) -> dict[str, list[Picture]]:
    """Example images of findings with the regions in question boxed, by finding.

    Args:
        session: to read.
        run: the audit.
        findings: with their entries of findings.json, which name examples.
        dataset: folder of the data set version that was audited.
    """
    examples = {view.id: [str(image) for image in view.payload.get("examples", [])] for view in findings}
    wanted = sorted({image for images in examples.values() for image in images})
    numbered = session.execute(select(Item.image, Item.row).where(Item.run == run, Item.image.in_(wanted)))
    rows: dict[str, int] = {image: row for image, row in numbered}
    boxes = _boxes(session, run, dataset, wanted)

    def picture(view: FindingView, image: str) -> Picture:
        about = tuple(box for kind, text, box in boxes[image] if kind == view.kind and view.text in (None, text))
        return Picture(image, f"image {rows[image]}", about)

    return {view.id: [picture(view, image) for image in examples[view.id] if image in rows] for view in findings}


_Boxed = tuple[str, str | None, PercentBox]
"""Kind, text and box of a region."""


def _boxes(session: Session, run: str, dataset: Path, images: Sequence[str]) -> dict[str, list[_Boxed]]:
    """The regions of images on their stored pictures, by image."""
    size = int(read_json(dataset / "meta.json")["size"])
    columns = ["image_id", "scale", "pad_x", "pad_y", "width", "height"]
    with storage_errors(dataset):
        placed = pd.read_parquet(dataset / "images.parquet", columns=columns, filters=[("image_id", "in", images)])
    transforms = {image: StoreTransform(*placing) for image, *placing in placed.itertuples(index=False)}
    found: dict[str, list[_Boxed]] = defaultdict(list)
    for region in session.scalars(select(Region).where(Region.run == run, Region.image.in_(images), ~Region.deleted)):
        box = transforms[region.image].to_store(Box(region.x0, region.y0, region.x1, region.y1))
        shares = (round(100 * float(value) / size, 2) for value in (box.x0, box.y0, box.width, box.height))
        found[region.image].append((region.kind, region.text, PercentBox(*shares)))
    return found


def tables(payload: Mapping[str, Any]) -> list[Table]:
    """The numbers of a finding that its charts do not tell, as tables; only those that it has."""
    made = [_removal(payload), _texts(payload.get("texts") or ()), _saliency(payload.get("saliency") or {})]
    return [table for table in made if table is not None]


def _removal(payload: Mapping[str, Any]) -> Table | None:
    tests = {"removed where it is": payload.get("effect"), "pasted where it is not": payload.get("transplant")}
    rows = tuple(
        (
            name,
            _shown(test.get("excess"), interval_words),
            _shown(test.get("logit_excess"), interval_words),
            _shown(test.get("flip_rate"), percent),
            f"{test['q']:.2g}" if test.get("q") is not None else "",
            f"{test['available']:,}" if test.get("available") is not None else "",
            str(test.get("stopped") or ""),
        )
        for name, test in tests.items()
        if test
    )
    if not rows:
        return None
    columns = ("Test", "Change of probability", "Change of logit", "Predicted class changes", "q", "Images", "Ended")
    return Table("Causal tests", "Changes are beyond those of matched controls, with 95% intervals.", columns, rows)


def _texts(texts: Sequence[Mapping[str, Any]]) -> Table | None:
    rows = tuple((f"“{entry['text']}”", _shown(entry.get("odds_ratio"), interval_words)) for entry in texts)
    if not rows:
        return None
    caption = "How much more often each text stands on images of the class than on others."
    return Table("What is written", caption, ("Text", "Odds ratio"), rows)


def _saliency(methods: Mapping[str, Mapping[str, Any]]) -> Table | None:
    rows = tuple(
        (method, _shown(entry.get("share"), percent), _shown(entry.get("enrichment"), interval_words))
        for method, entry in methods.items()
    )
    if not rows:
        return None
    caption = "Share of the saliency that lies on it, and how many times the share of its area that is."
    return Table("Saliency", caption, ("Explainer", "Share", "Enrichment"), rows)


def _shown(estimate: Mapping[str, Any] | None, words: Any) -> str:
    return words(estimate) if estimate and estimate.get("mean") is not None else ""
