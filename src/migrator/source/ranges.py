"""A relation cut into ranges of rows that can be read each by itself."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.engine import Connection

from migrator.source.read import WHOLE, Range
from migrator.source.relation import Relation, quote
from migrator.source.rowsql import bounds, walked_by
from migrator.source.text import SqliteValue


def iter_ranges(connection: Connection, relation: Relation, rows: int, within: Range = WHOLE) -> Iterator[Range]:
    """Cut a relation, or a range of it, into ranges of so many rows; what is only numbered stays whole."""
    walked = walked_by(relation)
    if not walked:
        yield WHOLE
        return
    names = ", ".join(map(quote, walked))
    low: tuple[SqliteValue, ...] | None = within.low
    while True:
        clauses, values = bounds(walked, Range(low, within.high))
        step = f"SELECT {names} FROM {relation.from_sql}{_where(clauses)} ORDER BY {names} LIMIT 1 OFFSET {rows - 1}"
        found = connection.exec_driver_sql(step, values).fetchone()
        if found is None:
            yield Range(low, within.high)
            return
        yield Range(low, tuple(found))
        low = tuple(found)


def count_rows(connection: Connection, relation: Relation, part: Range) -> int:
    """The rows of a range."""
    clauses, values = bounds(walked_by(relation), part)
    count: int = connection.exec_driver_sql(
        f"SELECT count(*) FROM {relation.from_sql}{_where(clauses)}", values
    ).scalar_one()
    return count


def _where(clauses: list[str]) -> str:
    return f" WHERE {' AND '.join(clauses)}" if clauses else ""
