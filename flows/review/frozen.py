"""What reviewers decided about a run, copied into its folder: what a repair follows must not change under it.

decisions.json            the decision in force of every decided finding
reviewed_regions.parquet  every region that a person touched, as it is now

Plans read these two files alone, so a worker on another machine needs no database.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from flows.workspace import Workspace, has_review_database, review_database
from pipeline.artifacts import read_json, read_parquet, write_json, write_parquet
from pipeline.cleanse import with_reviewed
from pipeline.dataset import DatasetVersion
from pipeline.review.store import Store, open_store
from pipeline.review.values import Verdict

_log = logging.getLogger("cxr_audit.review")

DECISIONS = "decisions.json"
REVIEWED = "reviewed_regions.parquet"

COLUMNS: Final = (
    dict.fromkeys(("region_id", "image_id", "kind", "text"), "string")
    | dict.fromkeys(("x0", "y0", "x1", "y1"), "float64")
    | {"detector": "string", "confidence": "float64", "origin": "string", "deleted": "bool", "edited": "bool"}
    | {"verdict": "string", "decided_by": "string"}
)
"""Columns of reviewed_regions.parquet; see `pipeline.review.store.in_force`."""


@dataclass(frozen=True)
class Decided:
    """The decision in force about one finding."""

    finding: str
    decision: Verdict
    reviewers: tuple[str, ...]
    comment: str
    time: str
    """ISO 8601, UTC."""
    software: str

    @property
    def who(self) -> str:
        """As plans name the one who decided."""
        return f"reviewer{'s' if len(self.reviewers) > 1 else ''} {', '.join(self.reviewers)}"


@dataclass(frozen=True)
class Review:
    """All that was decided about a run.

    Attributes:
        findings: decisions in force by finding.
        regions: rows of `COLUMNS`.
    """

    findings: dict[str, Decided]
    regions: pd.DataFrame

    @property
    def removes(self) -> bool:
        """Whether a person accepted single regions."""
        return bool(((self.regions["verdict"] == "accepted") & ~self.regions["deleted"]).fillna(False).any())

    def over(self, regions: pd.DataFrame) -> pd.DataFrame:
        """`regions` as reviewers left them, see `pipeline.cleanse.with_reviewed`."""
        return with_reviewed(regions, self.regions)


def freeze(run: Path, database: str | None = None) -> None:
    """Write decisions.json and reviewed_regions.parquet of what is in force now; the same bytes for the same review.

    Without a database the copies that the run holds stay, or empty ones are written; none is created.

    Args:
        run: folder of an audited run.
        database: path or URL; None: `flows.workspace.review_database`.

    Raises:
        InputError, StorageError: the database cannot be used.
    """
    found = review_now(run, database)
    if found is None:
        if (run / DECISIONS).exists() and (run / REVIEWED).exists():
            return
        found = Review({}, _typed(pd.DataFrame()))
    write_parquet(run / REVIEWED, found.regions)
    write_json(run / DECISIONS, {name: asdict(each) for name, each in sorted(found.findings.items())})
    _log.info("decisions frozen", extra={"findings": len(found.findings), "regions": len(found.regions)})


def frozen(run: Path) -> Review:
    """What `freeze` wrote last; nothing where it never did."""
    entries: dict[str, Any] = read_json(run / DECISIONS) if (run / DECISIONS).exists() else {}
    findings = {name: Decided(**{**each, "reviewers": tuple(each["reviewers"])}) for name, each in entries.items()}
    regions = read_parquet(run / REVIEWED) if (run / REVIEWED).exists() else pd.DataFrame()
    return Review(findings, _typed(regions))


def review_now(run: Path, database: str | None = None) -> Review | None:
    """What is in force now; None without a database. A run that the database does not know is entered into it."""
    if not database and not has_review_database(run.parent.parent):
        return None
    place = database or review_database(run.parent.parent)
    if not database_exists(place):
        return None
    store = open_store(place)
    try:
        return review_in(store, run)
    finally:
        store.dispose()


def review_in(store: Store, run: Path) -> Review:
    """What is in force in an open database."""
    from pipeline.review.store.in_force import in_force

    enter(store, run)
    with store.reading() as session:
        found = in_force(session, run.name)
    findings = {
        name: Decided(
            name, each.verdict, each.reviewers, each.comment, each.at.isoformat(timespec="seconds"), each.software
        )
        for name, each in found.findings.items()
    }
    return Review(findings, _typed(found.regions))


def enter(store: Store, run: Path) -> None:
    """Enter a run into the database, or what changed of it."""
    from pipeline.review.store.register import register

    dataset = Workspace(run.parent.parent).datasets / read_json(run / "run.json")["request"]["dataset"]
    register(store, run, DatasetVersion(dataset))


def database_exists(place: str) -> bool:
    """Whether a database exists; a server is asked by opening it."""
    kind, separator, path = place.partition("://")
    if not separator:
        return Path(place).expanduser().exists()
    return not kind.startswith("sqlite") or Path(path.removeprefix("/")).expanduser().exists()


def _typed(regions: pd.DataFrame) -> pd.DataFrame:
    typed = regions.reindex(columns=list(COLUMNS)).astype(COLUMNS)
    return typed.sort_values("region_id", kind="stable").reset_index(drop=True)
