"""One image with all that the viewer shows besides its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.dataset import DatasetVersion
from pipeline.review.store.catalogue import Catalogue, catalogue
from pipeline.review.store.conflict import Missing
from pipeline.review.store.tables import Finding, Item, Region, Run
from pipeline.review.store.verdicts import Ballot, ballots
from pipeline.review.values import Actor, BoxValue, ImageView, RegionView, Status

SIMILAR = 12
"""Images with look-alike regions that are named."""
_URGENCY: tuple[Status, ...] = ("conflict", "open", "second")
_TELLTALE = ("class", "predicted", "predicted_removed", "flip")
"""Keys of a region's effect that give the prediction away."""


def image_view(
    session: Session,
    run: str,
    image_id: str,
    actor: Actor,
    dataset: DatasetVersion,
    *,
    sees_identifiers: bool = False,
) -> ImageView:
    """All about one image, as `actor` may see it.

    In a blind audit nothing tells label, prediction or source before the image is decided. Regions come as one reads,
    from the top left.

    Args:
        session: of `Store.reading`.
        run: the audit.
        image_id: the image.
        actor: who looks; of other readers' decisions only the number and what is in force are told.
        dataset: the version that was audited.
        sees_identifiers: whether path and patient id may be told.

    Raises:
        Missing: no such audit or image.
    """
    audit, item = session.get(Run, run), session.get(Item, (run, image_id))
    if audit is None or item is None:
        raise Missing(f"The review knows no image {image_id!r} of audit {run!r}.")
    found = catalogue(session, run)
    regions = _regions(session, found, image_id, actor)
    states = {region.status for region in regions}
    status = next((each for each in _URGENCY if each in states), "decided")
    hidden = audit.blind and status != "decided"
    return ImageView(
        run=run,
        image_id=image_id,
        row=item.row,
        name=f"image {item.row}",
        version=item.version,
        hidden=hidden,
        score=item.score,
        status=status,
        tagged=item.tagged,
        regions=tuple(map(_blinded, regions)) if hidden else regions,
        methods=tuple(item.methods),
        similar=_similar(found, item.row, regions),
        lungs=item.lungs,
        **_answers(item, hidden=hidden),
        **_stored(dataset, item.row, hidden=hidden, sees_identifiers=sees_identifiers),
    )


def _answers(item: Item, *, hidden: bool) -> dict[str, Any]:
    # The split of a source that is held out whole names that source.
    names = ("label", "predicted", "probabilities", "source", "split", "explained_class", "saliency_cluster")
    return {name: None if hidden else getattr(item, name) for name in names}


def _stored(dataset: DatasetVersion, row: int, *, hidden: bool, sees_identifiers: bool) -> dict[str, Any]:
    record = dataset.images.iloc[row]
    known = {name: None if pd.isna(record[name]) else record[name] for name in ("bits", "view", "path", "patient_id")}
    return {
        "size": dataset.meta.size,
        "dtype": dataset.meta.dtype,
        "transform": {name: float(record[name]) for name in ("scale", "pad_x", "pad_y", "width", "height")},
        "bits": None if known["bits"] is None else int(known["bits"]),
        # How a picture was taken often follows from where.
        "view": None if hidden else known["view"],
        # Folders are often named after classes and sources, and patients' ids begin with the data set's name.
        "path": known["path"] if sees_identifiers and not hidden else None,
        "patient_id": known["patient_id"] if sees_identifiers and not hidden else None,
    }


def _regions(session: Session, found: Catalogue, image_id: str, actor: Actor) -> tuple[RegionView, ...]:
    here = (Region.run == found.run, Region.image == image_id, ~Region.deleted)
    rows = session.scalars(select(Region).where(*here).order_by(Region.y0, Region.x0, Region.region)).all()
    rules = {rule.finding: rule for rule in session.execute(_rules(found.run, [row.finding for row in rows]))}
    cast = ballots(session, found.run, "region", select(Region.region).where(*here))
    sizes = _cluster_sizes(found, {row.cluster for row in rows if row.cluster is not None})
    return tuple(_region(row, rules.get(row.finding), cast.get(row.region, ()), actor, sizes) for row in rows)


def _rules(run: str, findings: Sequence[str | None]) -> Any:
    return select(Finding.finding, Finding.verdict, Finding.status).where(
        Finding.run == run, Finding.finding.in_({each for each in findings if each is not None})
    )


def _region(region: Region, rule: Any, cast: Sequence[Ballot], actor: Actor, sizes: Mapping[str, int]) -> RegionView:
    ruled = rule is not None and rule.status == "decided"
    return RegionView(
        region_id=region.region,
        kind=region.kind,
        text=region.text,
        box=BoxValue(x0=region.x0, y0=region.y0, x1=region.x1, y1=region.y1),
        detector=region.detector,
        confidence=region.confidence,
        origin=region.origin,
        finding=region.finding,
        cluster=region.cluster,
        look_alikes=sizes.get(region.cluster or "", 1),
        place=region.place,
        status="decided" if ruled and region.status != "conflict" else region.status,
        verdict=region.verdict or (rule.verdict if ruled else None),
        by_rule=region.verdict is None and ruled,
        own=next((ballot.verdict for ballot in cast if ballot.reviewer == actor.name), None),
        others=sum(ballot.reviewer != actor.name for ballot in cast),
        share=region.share,
        enrichment=region.enrichment,
        effect=region.effect,
        held_back=region.held_back,
    )


def _blinded(region: RegionView) -> RegionView:
    if region.effect is None:
        return region
    shown = {name: value for name, value in region.effect.items() if name not in _TELLTALE}
    return region.model_copy(update={"effect": shown})


def _cluster_sizes(found: Catalogue, clusters: set[str]) -> dict[str, int]:
    known = found.regions["cluster"].cat.categories
    codes = found.regions["cluster"].cat.codes.to_numpy()
    return {name: int((codes == known.get_loc(name)).sum()) for name in clusters if name in known}


def _similar(found: Catalogue, row: int, regions: Sequence[RegionView]) -> tuple[str, ...]:
    """Images with look-alikes of the regions: those that share most of them first, then by score."""
    shared = np.zeros(len(found.items), dtype=np.int64)
    rows = found.regions["row"].to_numpy()
    for cluster in {region.cluster for region in regions if region.cluster is not None}:
        shared[np.unique(rows[(found.regions["cluster"] == cluster).to_numpy(dtype=bool)])] += 1
    shared[row] = 0
    some = np.flatnonzero(shared)
    chosen = some[np.lexsort((found.rank[some], -shared[some]))][:SIMILAR]
    return tuple(found.items["image"].to_numpy()[chosen].tolist())
