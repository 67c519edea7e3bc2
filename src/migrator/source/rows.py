"""Read a relation's rows, a segment at a time, with the child rows that belong inside them.

A rowid table is walked in the order of its rowid and a WITHOUT ROWID table in that of its key, so that a
segment is a range and reads only itself. Views and queries have no order of their own: they are numbered
by the order of their key columns and are one segment.

Children come from one query for each child source and segment, which joins the segment's parents to their
children and is sorted as the parents are, so that both are read side by side: never a query for each parent,
never a table in memory. Every level is wrapped in a subquery of its own, so that the user's `where` and
`order_by` see one source's names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from migrator.source.relation import Relation, quote
from migrator.source.text import InvalidText, SqliteValue

FETCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class ChildRead:
    """Child rows of each parent: what to read and how they match."""

    relation: Relation
    match: tuple[tuple[str, str], ...]  #: (child column, parent column)
    columns: tuple[str, ...]
    where: str | None = None
    order_by: str | None = None
    children: tuple[ChildRead, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of a source: which columns, which conditions to evaluate beside them, which children."""

    relation: Relation
    columns: tuple[str, ...]
    where: str | None = None
    conditions: tuple[str, ...] = ()
    children: tuple[ChildRead, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """Part of a relation, by rowid or key: low is excluded, high included, None is open."""

    low: tuple[SqliteValue, ...] | None = None
    high: tuple[SqliteValue, ...] | None = None


WHOLE = Range()


@dataclass(slots=True)
class Row:
    """`values` are in the order of the read's columns, `children` in that of its child reads."""

    values: tuple[SqliteValue, ...]
    key: tuple[SqliteValue, ...] = ()  #: the source key's values; () for child rows
    conditions: tuple[SqliteValue, ...] = ()
    rowid: int | None = None
    children: list[list[Row]] = field(default_factory=list)


def iter_ranges(connection: Connection, relation: Relation, rows: int) -> Iterator[Range]:
    """Cut a relation into ranges of so many rows."""
    walked = _walked_by(relation)
    if not walked:
        yield WHOLE
        return
    names = ", ".join(map(quote, walked))
    step = f"SELECT {names} FROM {relation.from_sql} {{}} ORDER BY {names} LIMIT 1 OFFSET {rows - 1}"
    low: tuple[SqliteValue, ...] | None = None
    while True:
        where = f"WHERE ({names}) > ({_marks(low)})" if low else ""
        found = connection.exec_driver_sql(step.format(where), low or ()).fetchone()
        if found is None:
            yield Range(low, None)
            return
        yield Range(low, tuple(found))
        low = tuple(found)


def is_numbered(relation: Relation) -> bool:
    """Whether its rows have no key to walk by, only a place: a range of them cannot begin in the middle."""
    return not _walked_by(relation)


def rest_after(relation: Relation, part: Range, row: Row) -> Range:
    """What of a range comes after a row of it; the whole range where rows are only numbered."""
    if relation.rowid:
        return replace(part, low=(row.rowid,))
    return part if is_numbered(relation) else replace(part, low=row.key)


def iter_rows(connection: Connection, read: Read, part: Range) -> Iterator[Row]:
    """The rows of a range in order, each with its children.

    Raises sqlite3.DatabaseError where the file is damaged, and AssertionError where child rows are left over,
    which would mean that the two orders differ.
    """
    level = _top_level(read, part, full=True)
    width, keys, conditions = len(level.identity), len(read.relation.key), len(read.conditions)
    streams = [_ChildStream(connection, read, part, (child,)) for child in read.children]
    first = width + keys
    last = first + len(read.columns)
    for raw in _fetch(connection, *_select([level], level.identity + level.outputs)):
        identity = raw[:width]
        yield Row(
            values=raw[first:last],
            key=raw[width:first],
            conditions=raw[last : last + conditions],
            rowid=identity[0] if read.relation.rowid else None,  # type: ignore[arg-type]  # a rowid is an integer
            children=[stream.take(identity) for stream in streams],
        )
    for stream in streams:
        stream.check_empty()


@dataclass(frozen=True, slots=True)
class _Level:
    """One source as a subquery: `identity` tells its rows apart and orders them."""

    sql: str
    parameters: tuple[SqliteValue, ...]
    identity: tuple[str, ...]  #: output names
    outputs: tuple[str, ...]
    names: dict[str, str]  #: column -> output name, for children to match
    order: tuple[str, ...]  #: terms of ORDER BY, {level} standing for the alias
    join: str = ""


def _walked_by(relation: Relation) -> tuple[str, ...]:
    if relation.rowid:
        return (relation.rowid,)
    return relation.key if relation.key_walks else ()


def _top_level(read: Read, part: Range, *, full: bool) -> _Level:
    """The parents of a range. Without `full`, only what children need to find them again."""
    relation = read.relation
    walked = _walked_by(relation)
    needed = {parent for child in read.children for _, parent in child.match}
    if full or not walked:
        # A numbering is only the same in two queries when their texts are: planner and ties may differ otherwise.
        columns, offset = read.columns, len(relation.key)
        select = [*map(quote, (*relation.key, *columns)), *(f"({c})" for c in read.conditions)]
    else:
        columns, offset = tuple(c for c in read.columns if c in needed), 0
        select = [quote(c) for c in columns]
    outputs = [f"c{n}" for n in range(len(select))]
    identity = [quote(c) for c in walked] or [_numbered(relation.key or read.columns)]
    clauses = [f"({read.where})"] if read.where else []
    parameters: tuple[SqliteValue, ...] = ()
    names = ", ".join(map(quote, walked))
    for bound, comparison in ((part.low, ">"), (part.high, "<=")):
        if bound is not None:
            clauses.append(f"({names}) {comparison} ({_marks(bound)})")
            parameters += bound
    return _Level(
        sql=_subquery(relation, [*identity, *select], [*(f"i{n}" for n in range(len(identity))), *outputs], clauses),
        parameters=parameters,
        identity=tuple(f"i{n}" for n in range(len(identity))),
        outputs=tuple(outputs),
        names={column: f"c{offset + n}" for n, column in enumerate(columns)},
        order=tuple(f"{{level}}.i{n}" for n in range(len(identity))),
    )


def _child_level(child: ChildRead, parent: _Level, parent_alias: str) -> _Level:
    relation = child.relation
    walked = _walked_by(relation)
    terms = _order_terms(child.order_by) if child.order_by else [(quote(c), "") for c in relation.key]
    # Ties are broken by the identity; where a child has none, by everything that is read of it.
    identity = [quote(c) for c in walked] or [_numbered(child.columns)] * bool(child.children)
    ties = [] if identity else [(quote(c), "") for c in child.columns]
    expressions = {
        "i": identity,
        "m": [quote(column) for column, _ in child.match],
        "o": [expression for expression, _ in terms + ties],
        "c": [quote(column) for column in child.columns],
    }
    select = [e for group in expressions.values() for e in group]
    names = [f"{prefix}{n}" for prefix, group in expressions.items() for n in range(len(group))]
    suffixes = [suffix for _, suffix in terms + ties]
    return _Level(
        sql=_subquery(relation, select, names, [f"({child.where})"] if child.where else []),
        parameters=(),
        identity=tuple(f"i{n}" for n in range(len(identity))),
        outputs=tuple(f"c{n}" for n in range(len(child.columns))),
        names={column: f"c{n}" for n, column in enumerate(child.columns)},
        order=(
            *(f"{{level}}.o{n} {suffix}" for n, suffix in enumerate(suffixes)),
            *(f"{{level}}.i{n}" for n in range(len(identity))),
        ),
        join=" AND ".join(
            f"{{level}}.m{n} = {parent_alias}.{parent.names[column]}" for n, (_, column) in enumerate(child.match)
        ),
    )


def _marks(values: tuple[SqliteValue, ...]) -> str:
    # sqlite3 would bind the bytes of invalid text as a BLOB, which sorts after every text.
    return ", ".join("CAST(? AS TEXT)" if isinstance(value, InvalidText) else "?" for value in values)


def _numbered(columns: tuple[str, ...]) -> str:
    order = f"ORDER BY {', '.join(map(quote, columns))}" if columns else ""
    return f"row_number() OVER ({order})"


def _subquery(relation: Relation, select: list[str], names: list[str], clauses: list[str]) -> str:
    columns = ", ".join(f"{expression} AS {name}" for expression, name in zip(select, names, strict=True))
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    alias = "" if relation.name else " AS query"
    return f"SELECT {columns or '1'} FROM {relation.from_sql}{alias}{where}"


def _select(levels: list[_Level], wanted: tuple[str, ...]) -> tuple[str, tuple[SqliteValue, ...]]:
    """Join the levels, ancestors first: all identities of the ancestors, then `wanted` of the last."""
    ancestors = [f"l{n}.{name}" for n, level in enumerate(levels[:-1]) for name in level.identity]
    last = len(levels) - 1
    columns = ", ".join([*ancestors, *(f"l{last}.{name}" for name in wanted)]) or "1"
    # CROSS JOIN keeps SQLite's planner from turning the order of the levels round.
    sources = " CROSS JOIN ".join(f"({level.sql}) AS l{n}" for n, level in enumerate(levels))
    joins = " AND ".join(level.join.format(level=f"l{n}") for n, level in enumerate(levels) if level.join)
    order = ", ".join(term.format(level=f"l{n}") for n, level in enumerate(levels) for term in level.order)
    sql = f"SELECT {columns} FROM {sources}{f' WHERE {joins}' if joins else ''}{f' ORDER BY {order}' if order else ''}"
    return sql, tuple(value for level in levels for value in level.parameters)


def _fetch(connection: Connection, sql: str, parameters: tuple[Any, ...]) -> Iterator[tuple[SqliteValue, ...]]:
    cursor = connection.connection.cursor()
    cursor.execute(sql, parameters)
    while rows := cursor.fetchmany(FETCH_ROWS):
        yield from rows


class _ChildStream:
    """The children along one path of child reads, in the order of their parents."""

    def __init__(self, connection: Connection, read: Read, part: Range, path: tuple[ChildRead, ...]) -> None:
        levels = [_top_level(read, part, full=False)]
        for depth, child in enumerate(path):
            levels.append(_child_level(child, levels[-1], f"l{depth}"))
        self._prefix = sum(len(level.identity) for level in levels[:-1])
        self._width = len(levels[-1].identity)
        self._rows = _fetch(connection, *_select(levels, levels[-1].identity + levels[-1].outputs))
        self._next = next(self._rows, None)
        self._path = path
        self._children = [_ChildStream(connection, read, part, (*path, child)) for child in path[-1].children]

    def take(self, parents: tuple[SqliteValue, ...]) -> list[Row]:
        """The rows of this parent, which is the next in order."""
        rows = []
        while self._next is not None and self._next[: self._prefix] == parents:
            split = self._prefix + self._width
            own = self._next[:split]
            rows.append(
                Row(
                    values=self._next[split:],
                    rowid=own[-1] if self._path[-1].relation.rowid else None,  # type: ignore[arg-type]  # an integer
                    children=[stream.take(own) for stream in self._children],
                )
            )
            self._next = next(self._rows, None)
        return rows

    def check_empty(self) -> None:
        if self._next is not None:
            source = self._path[-1].relation.name or "the query"
            raise AssertionError(f"child rows of {source} did not meet their parent: {self._next[: self._prefix]!r}")
        for child in self._children:
            child.check_empty()


_ORDER_SUFFIX = re.compile(r"\s+((?:ASC|DESC)(?:\s+NULLS\s+(?:FIRST|LAST))?|NULLS\s+(?:FIRST|LAST))\s*$", re.IGNORECASE)
_ORDER_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|[(),]|[^'"`\[(),]+""")


def _order_terms(order_by: str) -> list[tuple[str, str]]:
    """ORDER BY as (expression, direction).

    >>> _order_terms("max(a, b) DESC, name COLLATE NOCASE")
    [('max(a, b)', 'DESC'), ('name COLLATE NOCASE', '')]
    """
    terms, depth = [""], 0
    for token in _ORDER_TOKEN.findall(order_by):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token == "," and depth == 0:
            terms.append("")
        else:
            terms[-1] += token
    split = [(_ORDER_SUFFIX.sub("", term).strip(), _ORDER_SUFFIX.search(term)) for term in terms]
    return [(expression, match[1].upper() if match else "") for expression, match in split]
