"""One or two readers: how an audit is read, how far two readers agree, and where a third must decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from pipeline.randomness import numpy_generator
from pipeline.review.store.agreement import cohens_kappa, kappa_interval
from pipeline.review.store.batches import lock
from pipeline.review.store.conflict import Missing
from pipeline.review.store.derived import rebuild
from pipeline.review.store.tables import Decision, Finding, Item, Region, Run
from pipeline.review.store.verdicts import Ballot, Subject, ballots
from pipeline.review.values import (
    VERDICTS,
    Disagreement,
    DisagreementPage,
    Kappa,
    SettingsRequest,
    Verdict,
    Vote,
)


def settings(session: Session, run: str, request: SettingsRequest) -> dict[str, Any]:
    """Change how an audit is read. Decisions stay; which of them are in force follows anew. Returns what changed.

    Raises:
        Missing: no such audit.
    """
    audit = lock(session, run)
    changed = {
        name: value for name, value in request.model_dump(exclude_none=True).items() if value != getattr(audit, name)
    }
    if not changed:
        return {}
    for name, value in changed.items():
        setattr(audit, name, value)
    audit.revision += 1
    session.flush()
    rebuild(session, run)
    return changed


@dataclass(frozen=True)
class _Pair:
    """What two readers said of one subject."""

    readers: tuple[str, str]
    verdicts: tuple[Verdict, Verdict]
    unit: str
    """The image; a finding is a unit of its own."""


def kappa(session: Session, run: str, seed: int) -> list[Kappa]:
    """Agreement of each two readers on what both decided, as far as they decided independently.

    Of each subject the verdicts count that stood when the second of the two decided: from then on they see each
    other's. Decisions that settle a conflict do not count.

    Args:
        session: of the database.
        run: the audit.
        seed: of the bootstrap.

    Raises:
        Missing: no such audit.
    """
    if session.get(Run, run) is None:
        raise Missing(f"The review knows no audit {run!r}.")
    pairs: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    for pair in _pairs(session, run):
        pairs[pair.readers].append(pair)
    return [_kappa(readers, pairs[readers], (seed, "kappa", run, *readers)) for readers in sorted(pairs)]


def _kappa(readers: tuple[str, str], pairs: list[_Pair], seed: tuple[str | int, ...]) -> Kappa:
    units = {unit: number for number, unit in enumerate(sorted({pair.unit for pair in pairs}))}
    number = {verdict: place for place, verdict in enumerate(VERDICTS)}
    tables = np.zeros((len(units), len(VERDICTS), len(VERDICTS)))
    for pair in pairs:
        first, second = pair.verdicts
        tables[units[pair.unit], number[first], number[second]] += 1
    table = tables.sum(axis=0)
    value = float(cohens_kappa(table[None])[0])
    low, high = (None, None) if np.isnan(value) else kappa_interval(tables, numpy_generator(*seed))
    return Kappa(
        readers=readers,
        both=len(pairs),
        agree=int(np.trace(table)),
        kappa=None if np.isnan(value) else value,
        low=low,
        high=high,
        table={first: {second: int(table[number[first], number[second]]) for second in VERDICTS} for first in VERDICTS},
    )


def _pairs(session: Session, run: str) -> Iterator[_Pair]:
    """For each subject and each two readers of it: what they said before they saw each other's."""
    present: dict[tuple[str, str], dict[str, Verdict]] = defaultdict(dict)
    done: set[tuple[str, str, str, str]] = set()
    log = (
        select(Decision.subject, Decision.subject_id, Decision.image, Decision.reviewer, Decision.verdict)
        .where(Decision.run == run, ~Decision.adjudicates)
        .order_by(Decision.id)
    )
    for subject, subject_id, image, reviewer, verdict in session.execute(log):
        said = present[subject, subject_id]
        if verdict is None:
            said.pop(reviewer, None)
            continue
        said[reviewer] = verdict
        for first, second in combinations(sorted(said), 2):
            if reviewer in (first, second) and (subject, subject_id, first, second) not in done:
                done.add((subject, subject_id, first, second))
                yield _Pair((first, second), (said[first], said[second]), image or f"finding {subject_id}")


def conflicts(session: Session, run: str, offset: int = 0, limit: int = 100) -> DisagreementPage:
    """What two readers disagree about and nobody settled: findings by rank, then regions in the order of images.

    Raises:
        Missing: no such audit.
    """
    if session.get(Run, run) is None:
        raise Missing(f"The review knows no audit {run!r}.")
    findings = select(Finding.finding).where(Finding.run == run, Finding.status == "conflict")
    regions = select(Region.region).where(Region.run == run, Region.status == "conflict", ~Region.deleted)
    of_findings, of_regions = (_count(session, chosen) for chosen in (findings, regions))
    items = _findings(session, run, findings.order_by(Finding.rank).offset(offset).limit(limit))
    in_order = regions.join(Item, (Item.run == Region.run) & (Item.image == Region.image))
    in_order = in_order.order_by(Item.row, Region.region).offset(max(0, offset - of_findings)).limit(limit - len(items))
    items += _regions(session, run, in_order)
    return DisagreementPage(total=of_findings + of_regions, offset=offset, items=tuple(items))


def _count(session: Session, chosen: Select[Any]) -> int:
    return int(session.scalar(select(func.count()).select_from(chosen.subquery())) or 0)


def _findings(session: Session, run: str, chosen: Select[Any]) -> list[Disagreement]:
    ids = list(session.scalars(chosen))
    rows = session.scalars(select(Finding).where(Finding.run == run, Finding.finding.in_(ids))).all()
    cast = _cast(session, run, "finding", ids)
    return [
        Disagreement(
            subject="finding",
            subject_id=row.finding,
            image_id=None,
            row=None,
            kind=row.kind,
            text=row.text,
            title=row.title,
            votes=_votes(cast[row.finding]),
        )
        for row in sorted(rows, key=lambda row: row.rank)
    ]


def _regions(session: Session, run: str, chosen: Select[Any]) -> list[Disagreement]:
    ids = list(session.scalars(chosen))
    cast = _cast(session, run, "region", ids)
    there = select(Region, Item.row).join(Item, (Item.run == Region.run) & (Item.image == Region.image))
    rows = session.execute(there.where(Region.run == run, Region.region.in_(ids)).order_by(Item.row, Region.region))
    return [
        Disagreement(
            subject="region",
            subject_id=region.region,
            image_id=region.image,
            row=row,
            kind=region.kind,
            text=region.text,
            title=f"{region.kind} on image {row}",
            votes=_votes(cast[region.region]),
        )
        for region, row in rows
    ]


def _cast(session: Session, run: str, subject: Subject, ids: list[str]) -> dict[str, list[Ballot]]:
    table, its_id = (Finding, Finding.finding) if subject == "finding" else (Region, Region.region)
    return ballots(session, run, subject, select(its_id).where(table.run == run, its_id.in_(ids)))


def _votes(cast: list[Ballot]) -> tuple[Vote, ...]:
    return tuple(Vote(reviewer=each.reviewer, verdict=each.verdict, comment=each.comment, at=each.at) for each in cast)
