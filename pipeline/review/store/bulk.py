"""Many rows at once, by the fastest way that each database has."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import JSON, Select, String, text
from sqlalchemy.orm import Session

from pipeline.review.store.tables import Table

CHUNK = 20_000
"""Rows a piece: bounds memory."""
_NULL = r"\N"


def insert_frame(session: Session, table: type[Table], rows: pd.DataFrame) -> None:
    """Insert `rows` in the session's transaction.

    Args:
        session: of `Store.writing`.
        table: where to.
        rows: one column for every column of the table that has no default in the database; JSON as values, not text.
    """
    session.flush()
    for start in range(0, len(rows), CHUNK):
        _insert(session, table, rows.iloc[start : start + CHUNK])


def analyse(session: Session, *tables: type[Table]) -> None:
    """Let the database count what is in `tables` now, by which it plans its queries; by itself it would minutes later.

    Until then PostgreSQL reads far more than it needs.
    """
    for table in tables:
        session.execute(text(f"ANALYZE {table.__tablename__}"))


def _insert(session: Session, table: type[Table], rows: pd.DataFrame) -> None:
    columns = table.__table__.columns
    cells = [_cells(rows[name], isinstance(columns[name].type, JSON)) for name in rows.columns]
    # Names come from `table`, values are bound or copied.
    names = ", ".join(f'"{columns[name].name}"' for name in rows.columns)
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(rows.columns))
        statement = f"INSERT INTO {table.__tablename__} ({names}) VALUES ({marks})"  # noqa: S608
        connection.exec_driver_sql(statement, list(zip(*cells, strict=True)))
        return
    piece = io.StringIO()
    csv.writer(piece).writerows(
        zip(*([_NULL if cell is None else cell for cell in column] for column in cells), strict=True)
    )
    piece.seek(0)
    cursor: Any = connection.connection.cursor()
    cursor.execute(f"COPY {table.__tablename__} ({names}) FROM STDIN WITH (FORMAT csv, NULL '{_NULL}')", stream=piece)


def _cells(values: pd.Series[Any], is_json: bool) -> Sequence[Any]:
    """Plain Python values, null as None."""
    if is_json:
        return [None if value is None else json.dumps(value) for value in values]
    return values.astype(object).where(values.notna(), None).tolist()


def read_frame(session: Session, statement: Select[Any]) -> pd.DataFrame:
    """What `statement` selects, many rows at once.

    Words are Python strings, null is None in columns of words and NaN in others; truth values may come as 0 and 1.
    """
    connection = session.connection()
    sql = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
    names = [column.name for column in statement.selected_columns]
    words = [column.name for column in statement.selected_columns if isinstance(column.type, String)]
    cursor: Any = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        columns: list[list[Any]] = [[] for _ in names]
        cursor.execute(sql)
        while chunk := cursor.fetchmany(CHUNK):  # not fetchall: the collector would walk all rows again and again
            for column, cells in zip(columns, zip(*chunk, strict=True), strict=True):
                column.extend(cells)
        return pd.DataFrame(
            {
                name: pd.Series(column, dtype=object if name in words else None)
                for name, column in zip(names, columns, strict=True)
            }
        )
    rows = io.BytesIO()
    cursor.execute(f"COPY ({sql}) TO STDOUT WITH (FORMAT csv, NULL '{_NULL}')", stream=rows)
    rows.seek(0)
    form: dict[str, Any] = {"names": names, "dtype": dict.fromkeys(words, object), "keep_default_na": False}
    found: pd.DataFrame = pd.read_csv(rows, **form, na_values=[_NULL], true_values=["t"], false_values=["f"])
    return found
