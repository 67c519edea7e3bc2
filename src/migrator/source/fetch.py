"""A query's rows as they are: some at a time, by their size, and none lost to text that is not UTF-8."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection

from migrator.source.quick import ERRORS as QUICK_ERRORS

FETCH_ROWS = 500
#: Of wide rows fewer are taken: of a hundred columns, all of them in a core's cache, each costs a tenth less.
FETCH_VALUES = 12_000
#: Rows of 300 KB must not come in hundreds. The size of the last one stands for those that follow.
FETCH_BYTES = 4 * 1024 * 1024
FIRST_ROWS = 16
_ROW_BYTES = 200  #: of a child row, beside its texts

#: A row as it is read: what tells it and its ancestors apart, what else is read of it, then a sequence of child rows
#: for each child read. `source.rows.Layout` says what stands where.
RawRow = tuple[Any, ...]
#: Gives the next so many rows of a query.
_Take = Callable[[int], list[RawRow]]
_Select = Callable[[str, tuple[Any, ...]], _Take]

#: Where a connection's `info` has the QuickFile of its file, if it may be read by one
QUICK_FILE = "quick_file"


def fetch(
    connection: Connection, sql: str, parameters: tuple[Any, ...], *, plain: bool = False
) -> Iterator[list[RawRow]]:
    """A query's rows, some hundred at a time; `plain` as `quick.is_plain` says.

    The quickest reader begins. Where one meets what it cannot take, the query is asked again of the next, which goes on
    after the rows that were given.
    """
    raw: Any = connection.connection.driver_connection
    readers: list[_Select] = [partial(_decoded_by_sqlite3, raw), partial(_decoded_with_care, raw)]
    if plain and QUICK_FILE in connection.info:
        readers.insert(0, connection.info[QUICK_FILE].select)
    given, count = 0, FIRST_ROWS
    for select in readers:
        try:
            take = select(sql, parameters)
            for start in range(0, given, count):
                take(min(count, given - start))
            while rows := take(count):
                given += len(rows)
                yield rows
                count = count_like(rows[-1])
            return
        except (*QUICK_ERRORS, sqlite3.OperationalError) as error:
            # SQLite's own errors have a code, text that cannot be decoded has none.
            if hasattr(error, "sqlite_errorcode") or select is readers[-1]:
                raise


def _decoded_by_sqlite3(raw: Any, sql: str, parameters: tuple[Any, ...]) -> _Take:
    """It decodes text faster by itself than by calling `decode_text`, but raises at the first that is not UTF-8.

    The rows that it had fetched with it are lost.
    """
    cursor = raw.cursor()
    with _own_decoding(raw):
        cursor.execute(sql, parameters)

    def take(count: int) -> list[RawRow]:
        with _own_decoding(raw):
            rows: list[RawRow] = cursor.fetchmany(count)
            return rows

    return take


def _decoded_with_care(raw: Any, sql: str, parameters: tuple[Any, ...]) -> _Take:
    take: _Take = raw.cursor().execute(sql, parameters).fetchmany
    return take


def count_like(row: RawRow) -> int:
    """How many rows of this size are taken at once.

    >>> count_like((1, "a")), count_like((1,) * 99), count_like((1, "a" * 300_000))
    (500, 120, 13)
    """
    return max(1, min(FETCH_ROWS, FETCH_VALUES // (len(row) + 1), FETCH_BYTES // (_size_bytes(row) + 1)))


def _size_bytes(row: RawRow) -> int:
    """Of its texts and BLOBs and those of its child rows, each of which takes room by itself too."""
    size_bytes = sum([len(value) for value in row if isinstance(value, (str, bytes))])
    return size_bytes + sum([_ROW_BYTES + _size_bytes(child) for rows in row if type(rows) is list for child in rows])


@contextmanager
def _own_decoding(raw: Any) -> Iterator[None]:
    careful = raw.text_factory
    raw.text_factory = str
    try:
        yield
    finally:
        raw.text_factory = careful
