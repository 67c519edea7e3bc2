"""Read a relation's rows, a segment at a time, with the child rows that belong inside them.

A rowid table is walked in the order of its rowid and a WITHOUT ROWID table in that of its key, so that a
segment is a range and reads only itself. Views and queries have no order of their own: they are numbered
by the order of their key columns and are one segment.

Children come from one query for each child source and segment, which joins the segment's parents to their
children and is sorted as the parents are, so that both are read side by side: never a query for each parent,
never a table in memory (`source.rowsql` writes the SQL, in `source.children` they meet).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from migrator.source.children import ChildRows, with_children
from migrator.source.fetch import RawRow, fetch
from migrator.source.quick import is_plain
from migrator.source.read import ChildRead, Range, Read
from migrator.source.relation import Relation, quote
from migrator.source.rowsql import (
    Level,
    child_level,
    identity_width,
    parts_of,
    select_rows,
    top_level,
    walked_by,
)
from migrator.source.text import SqliteValue

__all__ = [
    "Layout",
    "RawRow",
    "Row",
    "is_numbered",
    "iter_batches",
    "iter_rows",
    "layout_of",
    "rest_after",
]

#: Asks a query
_Ask = Callable[[str, tuple[SqliteValue, ...]], Iterator[list[RawRow]]]


class Row(NamedTuple):
    """`values` are in the order of the read's columns, `children` in that of its child reads."""

    values: tuple[SqliteValue, ...]
    key: tuple[SqliteValue, ...] = ()  #: the source key's values; () for child rows
    conditions: tuple[SqliteValue, ...] = ()
    rowid: int | None = None
    children: Sequence[LaidOut] = ()


class Layout(Struct, frozen=True):
    """Where the parts of a row stand in a raw one: each column that is read is there once."""

    key: tuple[int, ...]
    values: tuple[int, ...]
    conditions: tuple[int, ...]
    rowid: int | None
    length: int
    children: tuple[tuple[int, Layout], ...]  #: for each child read where its rows stand, and how each is laid out

    def key_of(self, raw: RawRow) -> tuple[SqliteValue, ...]:
        """The source key's values."""
        return tuple([raw[n] for n in self.key])

    def row(self, raw: RawRow) -> Row:
        return Row(
            values=tuple([raw[n] for n in self.values]),
            key=self.key_of(raw),
            conditions=tuple([raw[n] for n in self.conditions]),
            rowid=None if self.rowid is None else raw[self.rowid],
            children=[LaidOut(raw[n], layout) for n, layout in self.children],
        )


class LaidOut(Struct, frozen=True):
    """Child rows, each of them laid out when it is looked at: a parent may have a million."""

    raws: Sequence[RawRow]
    layout: Layout

    def __len__(self) -> int:
        return len(self.raws)

    def __iter__(self) -> Iterator[Row]:
        return map(self.layout.row, self.raws)


def layout_of(read: Read) -> Layout:
    """How `iter_batches` lays out the rows of a read."""
    identity, outputs = parts_of(read)
    places = {expression: place for place, expression in enumerate((*identity, *outputs))}
    end = len(places)
    return Layout(
        key=tuple(places[quote(column)] for column in read.relation.key),
        values=tuple(places[quote(column)] for column in read.columns),
        conditions=tuple(places[f"({condition})"] for condition in read.conditions),
        rowid=0 if read.relation.rowid else None,
        length=end + len(read.children),
        children=_layouts_below(read.children, end, len(identity)),
    )


def _layouts_below(children: tuple[ChildRead, ...], end: int, ancestors: int) -> tuple[tuple[int, Layout], ...]:
    """`end` is where the child rows begin in their parent; before their own values stand those that tell it apart."""
    return tuple((place, _layout_of_child(child, ancestors)) for place, child in enumerate(children, end))


def _layout_of_child(child: ChildRead, ancestors: int) -> Layout:
    begin = ancestors + identity_width(child)
    end = begin + len(child.columns)
    return Layout(
        key=(),
        values=tuple(range(begin, end)),
        conditions=(),
        rowid=ancestors if child.rowid else None,
        length=end + len(child.children),
        children=_layouts_below(child.children, end, begin),
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
    ask = partial(fetch, connection, plain=is_plain(read))
    batches = ask(*select_rows([level], level.identity + level.outputs))
    return _with_children(ask, batches, [top_level(read, part, full=False)], read.children)


def _with_children(
    ask: _Ask, batches: Iterator[list[RawRow]], levels: list[Level], children: tuple[ChildRead, ...]
) -> Iterator[list[RawRow]]:
    """Rows, of which `levels` tells how they and their ancestors are found again, and below them their child rows."""
    if not children:
        return batches
    width = sum(len(level.identity) for level in levels)
    return with_children(batches, width, [_child_rows(ask, levels, width, child) for child in children])


def _child_rows(ask: _Ask, above: list[Level], width: int, child: ChildRead) -> ChildRows:
    level = child_level(child, above[-1], f"l{len(above) - 1}")
    levels = [*above, level]
    batches = ask(*select_rows(levels, level.identity + level.outputs))
    rows = _with_children(ask, batches, levels, child.children)
    return ChildRows(rows, width, child.relation.name or "the query")
