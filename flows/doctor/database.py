"""Can the review's database be reached, is it up to date, and can it be written?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flows.doctor.check import Check, Place, checked, skipped
from flows.workspace import has_review_database, review_database
from pipeline.errors import CxrAuditError

if TYPE_CHECKING:
    from pipeline.review.store import Store

GROUP = "database"


def checks(place: Place) -> Iterator[Check]:
    """A SQLite file that is not there is fine: `cxr-audit review` makes it."""
    from pipeline.review.store import open_store

    if not has_review_database(place.workspace):
        yield skipped(GROUP, "review", "none: a store holds no database, see CXR_AUDIT_DATABASE")
        return
    where = review_database(place.workspace)
    if "://" not in where and not Path(where).expanduser().exists():
        yield skipped(GROUP, "review", "none yet: `cxr-audit review` makes it")
        return
    try:
        store = open_store(where, migrate=False)
    except CxrAuditError as error:
        yield checked(GROUP, "review", False, str(error), "see what was found; `cxr-audit review` migrates tables")
        return
    yield skipped(GROUP, "review", f"{store.where}, tables up to date")
    try:
        yield _written(store)
    finally:
        store.dispose()


def _written(store: Store) -> Check:
    """Change nothing in a transaction that is rolled back: enough to need the right and the lock."""
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from pipeline.review.store.schema import BEGIN

    fix = "give its user the right to write, and see whether another process holds it"
    try:
        with store.engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"}).connect() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
            connection.rollback()
    except DBAPIError as error:
        return checked(GROUP, "write", False, f"refused ({type(error.orig).__name__})", fix)
    return skipped(GROUP, "write", "a change was accepted and rolled back")
