"""Attributes of any kind for a chunk of rows at once: columns, templates, constants, maps, and lists of child rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat

import orjson

from migrator.mapping.columns import Chunk, Column, Wires, documents, lists, texts, values
from migrator.mapping.compile_expressions import NotWorthIt
from migrator.mapping.jsontext import parse_json
from migrator.mapping.model import Children, ColumnValue, Constant, Expression, MapOf, Template
from migrator.mapping.wirevalues import OPENINGS, Odd, any_value, escapes, wire_value
from migrator.source.read import ChildRead

NULL = frozenset((type(None),))
INTEGER = frozenset((int,))
_TEXT = frozenset((str,))


# ---- templates


def parts_of(template: Template, places: Mapping[str, int]) -> tuple[str | int, ...]:
    return tuple(part if isinstance(part, str) else places[part.column] for part in template.parts)


def filled_texts(parts: tuple[str | int, ...], chunk: Chunk) -> list[str | None]:
    """A template's text for each row, None where a column is NULL."""
    pieces: list[Iterable[str]] = []
    nullable: list[Column] = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(repeat(part, chunk.count))
            continue
        column, types = chunk.columns[part], chunk.types[part]
        if not types <= _TEXT | INTEGER | NULL:
            raise Odd
        if types >= NULL:
            nullable.append(column)
        pieces.append(column if types == _TEXT else map(str, column))
    filled: list[str | None] = list(map("".join, zip(*pieces, strict=True)))
    for column in nullable:
        filled = [None if value is None else text for value, text in zip(column, filled, strict=True)]
    return filled


# ---- attributes

_Write = Callable[[Chunk], None]
#: The values of an attribute or member that no row lacks
_Form = Callable[[Chunk], Wires]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of rows, the entity's own or child rows: where its columns and its lists of child rows stand."""

    places: Mapping[str, int]
    nulls: str
    children: tuple[Children, ...] = ()
    reads: tuple[ChildRead, ...] = ()
    lists: tuple[int, ...] = ()
    depth: int = 0  #: of maps and lists around

    def below(self) -> Level:
        return replace(self, depth=self.depth + 1)


def attribute_writer(level: Level, name: str, expression: Expression) -> _Write:
    refuse_escapes(name)
    if isinstance(expression, Constant):
        kind, wire, surplus = wire_value(expression.value)
        return lambda chunk: chunk.add_constant(name, OPENINGS[kind] + wire, surplus + escapes(wire))
    if isinstance(expression, ColumnValue):
        return _column(level, name, expression)
    if isinstance(expression, Template):
        return _template(level, name, expression)
    form = _form(level, name, expression)
    return lambda chunk: chunk.add(name, form(chunk))


def refuse_escapes(name: str) -> None:
    """A name that JSON escapes counts for less than its bytes on the wire, which nothing here expects."""
    if escapes(orjson.dumps(name)):
        raise NotWorthIt


def _column(level: Level, name: str, expression: ColumnValue) -> _Write:
    place, keep, convert = level.places[expression.column], level.nulls == "keep", _converter(level, name, expression)

    def write(chunk: Chunk) -> None:
        column, types = chunk.columns[place], chunk.types[place]
        if types >= NULL:
            chunk.add_sparse(name, column, lambda given: convert(given, types - NULL), keep=keep)
        elif types == INTEGER and not expression.hint and not expression.filters:
            chunk.add(name, chunk.integers(place))
        else:
            chunk.add(name, convert(column, types))

    return write


def _converter(level: Level, name: str, expression: ColumnValue) -> Callable[[Column, frozenset[type]], Wires]:
    """What a column without NULLs is on the wire."""

    def of_documents(column: Column, types: frozenset[type]) -> Wires:
        # Other values that JSON may be, and what a hint makes of other text, are left to the other way.
        if types != _TEXT or not all(text.startswith(("{", "[")) for text in column):
            raise Odd
        return documents(column, lambda text: any_value(parse_json(text), "", name, level.depth))

    if expression.filters or expression.hint == "json":
        return of_documents
    return partial(values, hint=expression.hint)


def _template(level: Level, name: str, expression: Template) -> _Write:
    parts = parts_of(expression, level.places)

    def write(chunk: Chunk) -> None:
        filled = filled_texts(parts, chunk)
        if None in filled:
            chunk.add_sparse(name, filled, texts)
        else:
            chunk.add(name, texts(filled))

    return write


def _form(level: Level, name: str, expression: Expression) -> _Form:
    match expression:
        case MapOf(attributes):
            return _map(level, attributes)
        case Children():
            return _list(level, name, expression)
        case ColumnValue():
            return _member(level, name, expression)
    raise NotWorthIt


def _map(level: Level, attributes: tuple[tuple[str, Expression], ...]) -> _Form:
    writers = [attribute_writer(level.below(), name, expression) for name, expression in attributes]
    if not writers:
        raise NotWorthIt

    def form(chunk: Chunk) -> Wires:
        inner = chunk.inner()
        for write in writers:
            write(inner)
        return inner.as_maps()

    return form


def _member(level: Level, name: str, expression: ColumnValue) -> _Form:
    place, convert = level.places[expression.column], _converter(level, name, expression)

    def form(chunk: Chunk) -> Wires:
        if chunk.types[place] >= NULL:
            raise Odd
        return convert(chunk.columns[place], chunk.types[place])

    return form


def _list(level: Level, name: str, child: Children) -> _Form:
    """The child rows of all rows are a chunk of their own."""
    position = level.children.index(child)
    read, place = level.reads[position], level.lists[position]
    if child.shape != "list" or read.children:
        raise NotWorthIt
    own = Level({column: n for n, column in enumerate(read.columns)}, level.nulls, depth=level.depth + 1)
    form_of_member = _form(own, name, child.value or MapOf(child.attributes))

    def form(chunk: Chunk) -> Wires:
        groups = chunk.columns[place]
        rows = [row.values for group in groups for row in group]
        return lists(list(map(len, groups)), form_of_member(Chunk.of(rows)) if rows else None)

    return form
