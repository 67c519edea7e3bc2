"""The SELECTs behind a read: each source a subquery of its own, so that a `where` sees one source's names only.

Parents and children are joined in the order of the parents, whose identity (rowid, key or number) each child row
repeats, so that both can be read side by side.
"""

from __future__ import annotations

import re

from msgspec import Struct

from migrator.source.read import ChildRead, Range, Read
from migrator.source.relation import Relation, quote
from migrator.source.text import InvalidText, SqliteValue


class Level(Struct, frozen=True):
    """One source as a subquery: `identity` tells its rows apart and orders them."""

    sql: str
    parameters: tuple[SqliteValue, ...]
    identity: tuple[str, ...]  #: output names
    outputs: tuple[str, ...]
    names: dict[str, str]  #: column -> output name, for children to match
    order: tuple[str, ...]  #: terms of ORDER BY, {level} standing for the alias
    join: str = ""


def walked_by(relation: Relation) -> tuple[str, ...]:
    if relation.rowid:
        return (relation.rowid,)
    return relation.key if relation.key_walks else ()


def top_level(read: Read, part: Range, *, full: bool) -> Level:
    """The parents of a range. Without `full`, only what children need to find them again."""
    relation = read.relation
    walked = walked_by(relation)
    identity, select = parts_of(read)
    if not full and walked:
        # A numbering is only the same in two queries when their texts are: planner and ties may differ otherwise.
        needed = {quote(parent) for child in read.children for _, parent in child.match}
        select = [expression for expression in select if expression in needed]
    names = [f"i{n}" for n in range(len(identity))]
    outputs = [f"c{n}" for n in range(len(select))]
    named = dict(zip((*identity, *select), (*names, *outputs), strict=True))
    within, parameters = bounds(walked, part)
    clauses = [f"({read.where})"] * bool(read.where) + within
    return Level(
        sql=_subquery(relation, [*identity, *select], [*names, *outputs], clauses),
        parameters=parameters,
        identity=tuple(names),
        outputs=tuple(outputs),
        names={column: named[quote(column)] for column in read.columns if quote(column) in named},
        order=tuple(f"{{level}}.{name}" for name in names),
    )


def bounds(walked: tuple[str, ...], part: Range) -> tuple[list[str], tuple[SqliteValue, ...]]:
    """The conditions of a range, and their parameters.

    >>> bounds(("id",), Range((3,), (7,)))
    (['("id") > (?)', '("id") <= (?)'], (3, 7))
    """
    names = ", ".join(map(quote, walked))
    given = [(bound, comparison) for bound, comparison in ((part.low, ">"), (part.high, "<=")) if bound is not None]
    clauses = [f"({names}) {comparison} ({marks(bound)})" for bound, comparison in given]
    return clauses, tuple(value for bound, _ in given for value in bound)


def parts_of(read: Read) -> tuple[list[str], list[str]]:
    """What tells the rows apart, and what else is read of them; nothing is read twice."""
    relation = read.relation
    identity = [quote(c) for c in walked_by(relation)] or [_numbered(relation.key or read.columns)]
    wanted = [*map(quote, (*relation.key, *read.columns)), *(f"({c})" for c in read.conditions)]
    return identity, [expression for expression in dict.fromkeys(wanted) if expression not in identity]


def child_level(child: ChildRead, parent: Level, parent_alias: str) -> Level:
    relation = child.relation
    terms = _order_terms(child.order_by) if child.order_by else [(quote(c), "") for c in relation.key]
    # Ties are broken by what tells rows apart; where nothing does, by everything that is read of them.
    identity = [quote(c) for c in walked_by(relation)] or [_numbered(child.columns)] * bool(child.children)
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
    return Level(
        sql=_subquery(relation, select, names, [f"({child.where})"] if child.where else []),
        parameters=(),
        identity=tuple(f"i{n}" for n in range(identity_width(child))),
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


def identity_width(child: ChildRead) -> int:
    """By how many values the child rows of a parent are told apart, where anybody asks; each value read costs time."""
    return (len(walked_by(child.relation)) or 1) if child.children or child.rowid else 0


def marks(values: tuple[SqliteValue, ...]) -> str:
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


def select_rows(levels: list[Level], wanted: tuple[str, ...]) -> tuple[str, tuple[SqliteValue, ...]]:
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
