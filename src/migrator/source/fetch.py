"""A query's rows as they are: some at a time, by their size, and none lost to text that is not UTF-8."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy.engine import Connection

FETCH_ROWS = 500
#: Rows of 300 KB must not come in hundreds. The size of the last one stands for those that follow.
FETCH_BYTES = 4 * 1024 * 1024
FIRST_ROWS = 16
_ROW_BYTES = 200  #: of a child row, beside its texts

#: A row as it is read: what tells it and its ancestors apart, what else is read of it, then a sequence of child rows
#: for each child read. `source.rows.Layout` says what stands where.
RawRow = tuple[Any, ...]


def fetch(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> Iterator[list[RawRow]]:
    """A query's rows, some hundred at a time.

    sqlite3 decodes text faster by itself than by calling `decode_text`, but raises at the first text that is not
    UTF-8 and loses the rows it had fetched with it. Such a query is asked again, and its rest read with care.
    """
    raw: Any = connection.connection.driver_connection
    cursor = raw.cursor()
    fetched, count = 0, FIRST_ROWS
    try:
        with _own_decoding(raw):
            cursor.execute(sql, parameters)
        while True:
            with _own_decoding(raw):
                rows = cursor.fetchmany(count)
            if not rows:
                return
            fetched += len(rows)
            yield rows
            count = count_like(rows[-1])
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):  # SQLite's own errors have one
            raise
    cursor.execute(sql, parameters)
    for _ in islice(cursor, fetched):
        pass
    while rows := cursor.fetchmany(count):
        yield rows
        count = count_like(rows[-1])


def count_like(row: RawRow) -> int:
    """How many rows of this size are taken at once."""
    return max(1, min(FETCH_ROWS, FETCH_BYTES // (_size_bytes(row) + 1)))


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
