"""Read a relation's rows, a segment at a time, with the child rows that belong inside them.

A rowid table is walked in the order of its rowid and a WITHOUT ROWID table in that of its key, so that a
segment is a range and reads only itself. Views and queries have no order of their own: they are numbered
by the order of their key columns and are one segment.

Children come from one query for each child source and segment, which joins the segment's parents to their
children and is sorted as the parents are, so that both are read side by side: never a query for each parent,
never a table in memory (`source.rowsql` writes the SQL).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from migrator.source.read import ChildRead, Range, Read
from migrator.source.relation import Relation, quote
from migrator.source.rowsql import child_level, parts_of, select_rows, top_level, walked_by
from migrator.source.text import SqliteValue

FETCH_ROWS = 500
#: Rows of 300 KB must not come in hundreds. The size of the last one stands for those that follow.
FETCH_BYTES = 4 * 1024 * 1024
FIRST_ROWS = 16


class Row(NamedTuple):
    """`values` are in the order of the read's columns, `children` in that of its child reads."""

    values: tuple[SqliteValue, ...]
    key: tuple[SqliteValue, ...] = ()  #: the source key's values; () for child rows
    conditions: tuple[SqliteValue, ...] = ()
    rowid: int | None = None
    children: Sequence[list[Row]] = ()


#: A row as it is read: identity, columns and conditions, then a list of child rows for each child read.
RawRow = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a row stand in a raw one: each column that is read is there once."""

    key: tuple[int, ...]
    values: tuple[int, ...]
    conditions: tuple[int, ...]
    children: tuple[int, ...]  #: lists of child rows
    length: int
    rowid: bool

    def row(self, raw: RawRow) -> Row:
        return Row(
            values=tuple([raw[n] for n in self.values]),
            key=tuple([raw[n] for n in self.key]),
            conditions=tuple([raw[n] for n in self.conditions]),
            rowid=raw[0] if self.rowid else None,
            children=[raw[n] for n in self.children],
        )


def layout_of(read: Read) -> Layout:
    """How `iter_batches` lays out the rows of a read."""
    identity, outputs = parts_of(read)
    places = {expression: place for place, expression in enumerate((*identity, *outputs))}
    end = len(places)
    return Layout(
        key=tuple(places[quote(column)] for column in read.relation.key),
        values=tuple(places[quote(column)] for column in read.columns),
        conditions=tuple(places[f"({condition})"] for condition in read.conditions),
        children=tuple(range(end, end + len(read.children))),
        length=end + len(read.children),
        rowid=read.relation.rowid is not None,
    )


def is_numbered(relation: Relation) -> bool:
    """Whether its rows have no key to walk by, only a place: a range of them cannot begin in the middle."""
    return not walked_by(relation)


def rest_after(relation: Relation, part: Range, row: Row) -> Range:
    """What of a range comes after a row of it; the whole range where rows are only numbered."""
    if relation.rowid:
        return replace(part, low=(row.rowid,))
    return part if is_numbered(relation) else replace(part, low=row.key)


def iter_rows(connection: Connection, read: Read, part: Range) -> Iterator[Row]:
    """The rows of a range in order, each with its children. Raises as `iter_batches`."""
    layout = layout_of(read)
    for batch in iter_batches(connection, read, part):
        yield from map(layout.row, batch)


def iter_batches(connection: Connection, read: Read, part: Range) -> Iterator[list[RawRow]]:
    """The rows of a range in order, raw, some hundred at a time.

    Raises sqlite3.DatabaseError where the file is damaged, and AssertionError where child rows are left over,
    which would mean that the two orders differ.
    """
    level = top_level(read, part, full=True)
    width = len(level.identity)
    streams = [_ChildStream(connection, read, part, (child,)) for child in read.children]
    for batch in _fetch(connection, *select_rows([level], level.identity + level.outputs)):
        yield [(*raw, *[stream.take(raw[:width]) for stream in streams]) for raw in batch] if streams else batch
    for stream in streams:
        stream.check_empty()


def _fetch(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> Iterator[list[RawRow]]:
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
            count = _count_like(rows[-1])
    except sqlite3.OperationalError as error:
        if hasattr(error, "sqlite_errorcode"):  # SQLite's own errors have one
            raise
    cursor.execute(sql, parameters)
    for _ in islice(cursor, fetched):
        pass
    while rows := cursor.fetchmany(count):
        yield rows
        count = _count_like(rows[-1])


def _count_like(row: RawRow) -> int:
    """How many rows of this size are fetched at once."""
    size_bytes = sum([len(value) for value in row if isinstance(value, (str, bytes))])
    return max(1, min(FETCH_ROWS, FETCH_BYTES // (size_bytes + 1)))


@contextmanager
def _own_decoding(raw: Any) -> Iterator[None]:
    careful = raw.text_factory
    raw.text_factory = str
    try:
        yield
    finally:
        raw.text_factory = careful


class _ChildStream:
    """The children along one path of child reads, in the order of their parents."""

    def __init__(self, connection: Connection, read: Read, part: Range, path: tuple[ChildRead, ...]) -> None:
        levels = [top_level(read, part, full=False)]
        for depth, child in enumerate(path):
            levels.append(child_level(child, levels[-1], f"l{depth}"))
        self._prefix = sum(len(level.identity) for level in levels[:-1])
        self._width = len(levels[-1].identity)
        batches = _fetch(connection, *select_rows(levels, levels[-1].identity + levels[-1].outputs))
        self._rows = chain.from_iterable(batches)
        self._next = next(self._rows, None)
        self._path = path
        self._has_rowid = path[-1].relation.rowid is not None
        self._children = [_ChildStream(connection, read, part, (*path, child)) for child in path[-1].children]

    def take(self, parents: tuple[SqliteValue, ...]) -> list[Row]:
        """The rows of this parent, which is the next in order."""
        raw, prefix, split = self._next, self._prefix, self._prefix + self._width
        has_rowid, children = self._has_rowid, self._children
        new, following = tuple.__new__, self._rows
        rows: list[Row] = []
        while raw is not None and raw[:prefix] == parents:
            below = [stream.take(raw[:split]) for stream in children] if children else ()
            # The constructor of a NamedTuple is a Python function, and four times as slow.
            rows.append(new(Row, (raw[split:], (), (), raw[prefix] if has_rowid else None, below)))
            raw = next(following, None)
        self._next = raw
        return rows

    def check_empty(self) -> None:
        if self._next is not None:
            source = self._path[-1].relation.name or "the query"
            raise AssertionError(f"child rows of {source} did not meet their parent: {self._next[: self._prefix]!r}")
        for child in self._children:
            child.check_empty()
