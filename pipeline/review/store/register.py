"""From a run folder to rows: an audit enters the review, and again whenever its artifacts changed."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import delete, exc, insert, select
from sqlalchemy.orm import Session

from pipeline.artifacts import content_hash, sha256_file
from pipeline.dataset import DatasetVersion
from pipeline.errors import IntegrityError
from pipeline.review.store import rows
from pipeline.review.store.bulk import analyse, insert_frame
from pipeline.review.store.derived import rebuild
from pipeline.review.store.engine import Store
from pipeline.review.store.score import region_scores
from pipeline.review.store.tables import Decision, Finding, Item, Region, Run

_FORM = 1
"""Grows when rows are made differently of the same artifacts: older ones are made anew."""
_BOX = ["x0", "y0", "x1", "y1"]
_MEASURED = ["cluster", "share", "enrichment", "effect"]
"""Columns of a region that the audit says of its box: a person's box has none of them."""
_MACHINE = [*_MEASURED, "held_back"]
"""Columns of a region that are the audit's."""


def register(store: Store, run: Path, dataset: DatasetVersion) -> bool:
    """Bring the rows of an audit up to date with its artifacts.

    Reads findings.json, regions_all.parquet (or regions.parquet) and, where they exist, predictions, evidence, effects,
    saliency tables, clusters.json, lungs, held_back, residual and lookalikes. What people did stays: decisions, tags,
    regions that were drawn, changed or deleted. How images are ordered: `pipeline.review.store.score`.

    Args:
        store: where to.
        run: folder of a finished audit.
        dataset: the version that was audited.

    Returns:
        Whether anything had to be done. It had not when the rows were made of these very artifacts.

    Raises:
        IntegrityError: an artifact is missing or broken, or findings changed under decisions that people made.
    """
    made_of = content_hash([_FORM, *((str(path.relative_to(run)), sha256_file(path)) for path in rows.sources(run))])
    with store.reading() as session:
        if session.scalar(select(Run.made_of).where(Run.run == run.name)) == made_of:
            return False
    findings, regions, items = rows.finding_rows(run), rows.region_rows(run, dataset), rows.item_rows(run, dataset)
    with store.writing() as session:
        audit = _audit(session, run, dataset)
        if audit.made_of == made_of:  # another server was faster
            return False
        _check_decided(session, run.name, findings)
        regions = _with_peoples(session, run.name, regions)
        tags = session.execute(select(Item.image, Item.tagged).where(Item.run == run.name, Item.tagged)).all()
        for table in (Region, Item, Finding):
            session.execute(delete(table).where(table.run == run.name))
        audit.made_of = made_of
        audit.revision += 1
        _insert(
            session, audit, findings, regions, items.assign(tagged=items["image"].isin([image for image, _ in tags]))
        )
        if session.scalar(select(Decision.id).where(Decision.run == run.name).limit(1)) is not None:
            rebuild(session, run.name)
        analyse(session, Item, Region, Finding)
    return True


def _audit(session: Session, run: Path, dataset: DatasetVersion) -> Run:
    """The audit's row, locked; a new one where there was none."""
    new = {
        "run": run.name,
        "dataset": f"{dataset.path.parent.name}/{dataset.path.name}",
        "title": dataset.meta.title,
        "classes": list(dataset.meta.classes),
        "positive": dataset.meta.positive,
        "registered": datetime.now(UTC),
        "made_of": "",
    }
    found = session.get(Run, run.name, with_for_update=True)
    if found is None:
        with suppress(exc.IntegrityError), session.begin_nested():  # another server enters it at this moment
            session.execute(insert(Run).values(**new))
        found = session.get_one(Run, run.name, with_for_update=True)
    return found


def _check_decided(session: Session, run: str, findings: pd.DataFrame) -> None:
    decided = select(Decision.subject_id).where(Decision.run == run, Decision.subject == "finding")
    old = session.execute(
        select(Finding.finding, Finding.kind, Finding.text).where(Finding.run == run, Finding.finding.in_(decided))
    ).all()
    now = {name: (kind, text) for name, kind, text in findings[["finding", "kind", "text"]].itertuples(index=False)}
    for finding, kind, text in old:
        if now.get(finding) != (kind, text):
            raise IntegrityError(
                f"Run {run} was reviewed with a finding {finding} about {kind}; its findings.json now says otherwise. "
                "Restore the run's files, or audit again with another seed: decisions never move to other findings."
            )


def _with_peoples(session: Session, run: str, found: pd.DataFrame) -> pd.DataFrame:
    """`found`, with the regions that people drew, changed or deleted as they left them.

    A residual region that was decided stays too: the repair that removes it is the reason why it is found no more.
    """
    columns = [column for column in Region.__table__.columns if column.name not in ("run", "verdict", "status")]
    decided = select(Decision.subject_id).where(Decision.run == run, Decision.subject == "region")
    settled = (Region.origin == "residual") & Region.region.in_(decided)
    theirs = (Region.origin == "drawn") | Region.edited | Region.deleted | settled
    kept = pd.DataFrame(
        session.execute(select(*columns).where(Region.run == run, theirs)).all(),
        columns=[each.name for each in columns],
    )
    every = found.assign(deleted=False, edited=False)
    if kept.empty:
        return every
    machine = found.drop_duplicates("region").set_index("region")[[*_MACHINE, *_BOX]].reindex(kept["region"])
    known = kept["region"].isin(found["region"]).to_numpy()
    there = known & (kept[_BOX].to_numpy(float) == machine[_BOX].to_numpy(float)).all(axis=1)
    for names, which in ((_MEASURED, there), (["held_back"], known)):
        kept.loc[which, names] = machine.loc[which, names].to_numpy()
    return pd.concat([every[~every["region"].isin(kept["region"])], kept], ignore_index=True)


def _insert(session: Session, audit: Run, findings: pd.DataFrame, regions: pd.DataFrame, items: pd.DataFrame) -> None:
    regions = regions.assign(run=audit.run, finding=rows.naming(findings, regions), verdict=None, status="open")
    present = regions[~regions["deleted"].astype(bool)]
    per_image = present.groupby("image").size()
    regions_of = items["image"].map(per_image).fillna(0).astype(int)
    per_finding = present.groupby("finding").size()
    session.flush()
    insert_frame(
        session,
        Finding,
        findings.assign(
            run=audit.run,
            regions=findings["finding"].map(per_finding).fillna(0).astype(int),
            verdict=None,
            status="open",
        ),
    )
    scores = items["image"].map(_scores(findings, present)).fillna(0.0)
    insert_frame(
        session,
        Item,
        items.assign(
            run=audit.run, score=scores, regions=regions_of, open=regions_of, conflicts=0, version=audit.revision
        ),
    )
    insert_frame(session, Region, regions)


def _scores(findings: pd.DataFrame, regions: pd.DataFrame) -> pd.Series[float]:
    """Image id -> score, see `score`."""
    status = regions["finding"].map(findings.set_index("finding")["audit_status"])
    # Rows that people made or kept bring nulls of other kinds than the audit's own.
    measured = regions[["share", "enrichment"]].astype("Float64").astype("float64")
    excess = regions["effect"].map(_excess).astype("Float64").astype("float64")
    each = region_scores(status, excess, measured["share"], measured["enrichment"])
    return pd.Series(each, index=regions.index).groupby(regions["image"]).max()


def _excess(effect: dict[str, float | None] | None) -> float | None:
    if not isinstance(effect, dict) or effect["effect"] is None:
        return None
    return effect["effect"] - (effect["control_mean"] or 0.0)
