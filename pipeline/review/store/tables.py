"""The tables of the review. What people did is append-only; what follows from it is kept beside it, for speed.

Append-only: `decisions`, `edits`, `batches`, `log`. Derived and rebuilt at any time: `verdict`, `status`, `version` and
counts of `findings`, `regions` and `items`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, Index, String, Text, TypeDecorator
from sqlalchemy import DateTime as _DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets the zone; it comes back with it."""

    impl = _DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012 - SQLAlchemy's form


class Run(Table):
    """An audit in the review."""

    __tablename__ = "runs"

    run: Mapped[str] = mapped_column(String(64), primary_key=True)
    dataset: Mapped[str] = mapped_column(String(200))
    """<name>/<version> below the workspace's datasets/."""
    title: Mapped[str] = mapped_column(Text)
    classes: Mapped[list[str]]
    positive: Mapped[str] = mapped_column(String(200))
    registered: Mapped[datetime]
    made_of: Mapped[str] = mapped_column(String(64))
    """Hash of the artifacts the rows were made of: other artifacts, other rows."""
    readers: Mapped[int] = mapped_column(default=1)
    blind: Mapped[bool] = mapped_column(default=True)
    revision: Mapped[int] = mapped_column(default=0)
    """Grows with every batch."""


class Finding(Table):
    """A finding of an audit, and what the readers made of it."""

    __tablename__ = "findings"

    run: Mapped[str] = mapped_column(ForeignKey("runs.run", ondelete="CASCADE"), primary_key=True)
    finding: Mapped[str] = mapped_column(String(32), primary_key=True)
    rank: Mapped[int]
    kind: Mapped[str] = mapped_column(String(250))
    text: Mapped[str | None] = mapped_column(String(200))
    title: Mapped[str] = mapped_column(Text)
    audit_status: Mapped[str] = mapped_column(String(32))
    payload: Mapped[dict[str, Any]]
    regions: Mapped[int] = mapped_column(default=0)
    """Regions of which it is the first finding that names them; 0 for findings that are about no region."""
    verdict: Mapped[str | None] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="open")


class Item(Table):
    """An image of an audit."""

    __tablename__ = "items"

    run: Mapped[str] = mapped_column(ForeignKey("runs.run", ondelete="CASCADE"), primary_key=True)
    image: Mapped[str] = mapped_column(String(64), primary_key=True)
    row: Mapped[int]
    """Of the images table and the pixel store."""
    width: Mapped[int]
    """Of the original image, pixels: what a person draws is cut to it. Filled by `register` from the images table."""
    height: Mapped[int]
    label: Mapped[str] = mapped_column(String(200))
    source: Mapped[str | None] = mapped_column(String(200))
    split: Mapped[str | None] = mapped_column(String(32))
    predicted: Mapped[str | None] = mapped_column(String(200))
    probability: Mapped[float | None]
    """Of the predicted class."""
    probabilities: Mapped[dict[str, Any] | None]
    """Class -> probability."""
    score: Mapped[float] = mapped_column(default=0.0)
    """How much it is worth looking at, [0, 1]: see `register`."""
    explained: Mapped[bool] = mapped_column(default=False)
    methods: Mapped[list[str]] = mapped_column(default=list)
    """Explainers with a saliency map of it."""
    explained_class: Mapped[str | None] = mapped_column(String(200))
    lungs: Mapped[bool] = mapped_column(default=False)
    """The run has its lung fields."""
    saliency_cluster: Mapped[str | None] = mapped_column(String(250))
    regions: Mapped[int] = mapped_column(default=0)
    """Not deleted."""
    open: Mapped[int] = mapped_column(default=0)
    """Of these, neither decided themselves nor by their finding (status open or second)."""
    conflicts: Mapped[int] = mapped_column(default=0)
    tagged: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column(default=0)
    """Revision of the audit that last decided or changed something about it or its regions."""

    __table_args__ = (Index("items_by_row", "run", "row"),)


class Region(Table):
    """A region of an image: detected, drawn, or found again on the cleansed image."""

    __tablename__ = "regions"

    run: Mapped[str] = mapped_column(String(64), primary_key=True)
    region: Mapped[str] = mapped_column(String(16), primary_key=True)
    image: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    text: Mapped[str | None] = mapped_column(String(200))
    x0: Mapped[float]
    y0: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    detector: Mapped[str] = mapped_column(String(64))
    confidence: Mapped[float]
    origin: Mapped[str] = mapped_column(String(16), default="detected")
    place: Mapped[str] = mapped_column(String(16))
    """One of the nine fields of the picture: {top,middle,bottom}-{left,center,right}."""
    finding: Mapped[str | None] = mapped_column(String(32))
    """The first finding, by rank, that names its kind and text."""
    cluster: Mapped[str | None] = mapped_column(String(64))
    """Regions that look alike share it."""
    share: Mapped[float | None]
    enrichment: Mapped[float | None]
    effect: Mapped[dict[str, Any] | None]
    held_back: Mapped[str | None] = mapped_column(String(32))
    deleted: Mapped[bool] = mapped_column(default=False)
    edited: Mapped[bool] = mapped_column(default=False)
    """Its box or kind is a person's."""
    verdict: Mapped[str | None] = mapped_column(String(16))
    """Its own verdict in force; null: none, its finding's counts."""
    status: Mapped[str] = mapped_column(String(16), default="open")
    """Of its own decisions alone; a decided finding decides it too."""

    __table_args__ = (
        ForeignKeyConstraint(["run", "image"], ["items.run", "items.image"], ondelete="CASCADE"),
        Index("regions_by_image", "run", "image"),
        Index("regions_by_finding", "run", "finding", "image"),
        Index("regions_by_kind", "run", "kind", "text", "place"),
        Index("regions_by_cluster", "run", "cluster"),
    )


class Batch(Table):
    """One action of one person: one key press, however many regions it reached."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.run", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(64))
    """The client's name for the request."""
    action: Mapped[str] = mapped_column(String(16))
    scope: Mapped[str] = mapped_column(String(32), default="region")
    reviewer: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    software: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int]
    """Of the audit, made by this batch."""
    request: Mapped[str] = mapped_column(String(64))
    """Hash of what was asked for: the same key for something else is refused."""
    reverts: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    """The batch that this undo or redo takes back."""
    outcome: Mapped[dict[str, Any]]
    """What the client was told: a request that is sent again is answered with it."""

    __table_args__ = (
        Index("batches_by_key", "run", "reviewer", "key", unique=True),
        Index("batches_by_reviewer", "run", "reviewer", "id"),
        Index("batches_by_revision", "run", "revision", unique=True),
        Index("batches_by_reverted", "reverts"),
    )


class Decision(Table):
    """What one person decided about one subject, and when; superseded by a later one, never overwritten."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.run", ondelete="CASCADE"))
    subject: Mapped[str] = mapped_column(String(8))
    subject_id: Mapped[str] = mapped_column(String(32))
    image: Mapped[str | None] = mapped_column(String(64))
    verdict: Mapped[str | None] = mapped_column(String(16))
    """Null: the reviewer's earlier decision is taken back."""
    comment: Mapped[str] = mapped_column(Text, default="")
    reviewer: Mapped[str] = mapped_column(String(64))
    adjudicates: Mapped[bool] = mapped_column(default=False)
    """Settles a conflict of two readers."""
    at: Mapped[datetime]
    software: Mapped[str] = mapped_column(String(64))
    batch: Mapped[int] = mapped_column(ForeignKey("batches.id"))
    supersedes: Mapped[int | None]
    """The reviewer's decision on the subject before this one."""
    standing: Mapped[int]
    """Revision from which it counts: of its batch, or, where undo or redo brought it back, the one it had at first."""

    __table_args__ = (
        Index("decisions_by_subject", "run", "subject", "subject_id", "reviewer", "id"),
        Index("decisions_by_image", "run", "image", "id"),
        Index("decisions_by_batch", "batch"),
    )


class Edit(Table):
    """What one person did to a region or an image's tag: as it was before, as it was after."""

    __tablename__ = "edits"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    run: Mapped[str] = mapped_column(ForeignKey("runs.run", ondelete="CASCADE"))
    image: Mapped[str] = mapped_column(String(64))
    region: Mapped[str | None] = mapped_column(String(16))
    """Null: about the image's tag."""
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    reviewer: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    software: Mapped[str] = mapped_column(String(64))
    batch: Mapped[int] = mapped_column(ForeignKey("batches.id"))

    __table_args__ = (Index("edits_by_image", "run", "image", "id"), Index("edits_by_batch", "batch"))


class User(Table):
    """An account."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    password: Mapped[str] = mapped_column(String(200))
    """argon2id hash."""
    role: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime]
    disabled: Mapped[bool] = mapped_column(default=False)


class Session(Table):
    """A browser that is signed in. Its cookie is known by its hash alone."""

    __tablename__ = "sessions"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    """sha256 of the cookie."""
    user: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    csrf: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime]
    expires: Mapped[datetime]


class LogEntry(Table):
    """Who signed in, failed to, changed accounts or settings, started repairs, exported."""

    __tablename__ = "log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    user: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    run: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]]
    address: Mapped[str | None] = mapped_column(String(64))
