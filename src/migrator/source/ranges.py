"""A relation cut into ranges of rows that can be read each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sqlalchemy.engine import Connection

from migrator.source.read import WHOLE, Range
from migrator.source.relation import Relation, quote
from migrator.source.rowsql import bounds, walked_by
from migrator.source.text import SqliteValue

#: Rowids are looked at in so many places, so many in each.
_PLACES, _LOOKED_AT = 16, 256
#: Without so many pages of the file for each range, to count rows is cheaper than to begin ranges that may be empty.
_PAGES_A_RANGE = 20


def iter_ranges(connection: Connection, relation: Relation, rows: int, within: Range = WHOLE) -> Iterator[Range]:
    """Cut a relation, or a range of it, into ranges of at most so many rows; what is only numbered stays whole.

    Rows are counted off, which takes a look at each, unless rowids leave out no more than every second number.
    """
    walked = walked_by(relation)
    if not walked:
        yield WHOLE
    elif relation.rowid and (taken := _taken(connection, relation, relation.rowid, rows, within)):
        inner = [(number,) for number in taken[rows - 1 : -1 : rows]]
        for low, high in pairwise((within.low, *inner, within.high)):
            yield Range(low, high)
    else:
        yield from _counted_off(connection, relation, ", ".join(map(quote, walked)), rows, within)


def _taken(connection: Connection, relation: Relation, rowid: str, rows: int, within: Range) -> range | None:
    """The numbers from the least rowid to the largest, where one in two or more is a row's, as far as is seen."""
    name = quote(rowid)
    source, values = _source(relation, within)
    # Of both at once, SQLite would look at every row.
    ends = f"SELECT (SELECT min({name}) {source}), (SELECT max({name}) {source})"
    least, largest = connection.exec_driver_sql(ends, (*values, *values)).one()
    if least is None:
        return None
    pages: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    if largest - least >= rows * max(1, pages // _PAGES_A_RANGE):
        return None
    numbers = range(least, largest + 1)
    if len(numbers) <= rows:
        return numbers
    later = f"SELECT {name} FROM {relation.from_sql} WHERE {name} >= ? ORDER BY {name} LIMIT 1 OFFSET {_LOOKED_AT - 1}"
    places = numbers[:: max(1, len(numbers) // _PLACES)]
    found = [(place, connection.exec_driver_sql(later, (place,)).scalar_one_or_none()) for place in places]
    shares = [0.0 if last is None else _LOOKED_AT / (last - place + 1) for place, last in found]
    return numbers if sum(shares) >= len(shares) / 2 else None


def _counted_off(connection: Connection, relation: Relation, names: str, rows: int, within: Range) -> Iterator[Range]:
    low: tuple[SqliteValue, ...] | None = within.low
    while True:
        source, values = _source(relation, Range(low, within.high))
        step = f"SELECT {names} {source} ORDER BY {names} LIMIT 1 OFFSET {rows - 1}"
        found = connection.exec_driver_sql(step, values).fetchone()
        if found is None:
            yield Range(low, within.high)
            return
        yield Range(low, tuple(found))
        low = tuple(found)


def count_rows(connection: Connection, relation: Relation, part: Range) -> int:
    """The rows of a range."""
    source, values = _source(relation, part)
    count: int = connection.exec_driver_sql(f"SELECT count(*) {source}", values).scalar_one()
    return count


def _source(relation: Relation, part: Range) -> tuple[str, tuple[SqliteValue, ...]]:
    """Where the rows of a range come from, and the values that this asks for."""
    clauses, values = bounds(walked_by(relation), part)
    return f"FROM {relation.from_sql}" + (f" WHERE {' AND '.join(clauses)}" if clauses else ""), values
