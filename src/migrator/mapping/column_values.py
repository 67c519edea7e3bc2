"""Attributes of any kind for a chunk of rows at once: columns, templates, constants, maps, and lists of child rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain, repeat

import orjson
from msgspec import Struct
from msgspec.structs import replace

from migrator.limits import NESTING_LEVELS
from migrator.mapping.column_documents import documents
from migrator.mapping.column_members import EMPTY_LISTS, Named, lists
from migrator.mapping.column_sparse import sparse_texts, spread
from migrator.mapping.column_wires import Column, Wires
from migrator.mapping.columns import INTEGER, NULL, TEXT, Chunk, texts, values
from migrator.mapping.compile_expressions import NotWorthIt
from migrator.mapping.model import Children, ColumnValue, Constant, Expression, MapOf, Template
from migrator.mapping.reads import RawRows
from migrator.mapping.wirevalues import OPENINGS, Odd, escapes, wire_value

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
        column, types = chunk.columns[part], chunk.types(part)
        if not types <= TEXT | INTEGER | NULL:
            raise Odd
        if types >= NULL:
            nullable.append(column)
        pieces.append(column if types == TEXT else map(str, column))
    filled: list[str | None] = list(map("".join, zip(*pieces, strict=True)))
    for column in nullable:
        filled = [None if value is None else text for value, text in zip(column, filled, strict=True)]
    return filled


# ---- attributes

#: Adds an attribute of all these rows.
_Write = Callable[[Chunk, Named], None]
#: The values of an attribute or member that no row lacks
_Form = Callable[[Chunk], Wires]


class Level(Struct, frozen=True):
    """One level of rows, the entity's own or child rows. `depth` counts the maps and lists around."""

    rows: RawRows
    nulls: str
    depth: int = 0

    def deeper(self) -> Level:
        return replace(self, depth=self.depth + 1)

    def below(self, child: Children) -> tuple[int, Level]:
        """Where the rows of this child source stand, and their level as members of a list."""
        place, rows = self.rows.below(child)
        return place, replace(self, rows=rows, depth=self.depth + 1)


def attribute_writer(level: Level, name: str, expression: Expression) -> _Write:
    refuse_escapes(name)
    match expression:
        case ColumnValue():
            return _column(level, name, expression)
        case Template():
            return _template(level, name, expression)
        case Children(shape="one"):
            return _one(level, name, expression)
    form = _form(level, name, expression)
    return lambda chunk, named: named.add(name, form(chunk))


def refuse_escapes(name: str) -> None:
    """A name that JSON escapes counts for less than its bytes on the wire, which nothing here expects."""
    if escapes(orjson.dumps(name)):
        raise NotWorthIt


def _column(level: Level, name: str, expression: ColumnValue) -> _Write:
    place, keep = level.rows.places[expression.column], level.nulls == "keep"
    form, convert = _form(level, name, expression), _converter(level, name, expression)
    is_plain = _is_plain(expression)

    def write(chunk: Chunk, named: Named) -> None:
        types = chunk.types(place)
        if not types >= NULL:
            named.add(name, form(chunk))
        elif types == TEXT | NULL and is_plain:
            named.add_sparse(name, chunk.columns[place], sparse_texts, keep=keep)
        else:
            values_of = spread(lambda given: convert(given, types - NULL))
            named.add_sparse(name, chunk.columns[place], values_of, keep=keep)

    return write


def _is_plain(expression: ColumnValue) -> bool:
    """Whether a value's type alone says what becomes of it."""
    return not expression.hint and not expression.filters


def _converter(level: Level, name: str, expression: ColumnValue) -> Callable[[Column, frozenset[type]], Wires]:
    """What a column without NULLs is on the wire."""

    def of_documents(column: Column, types: frozenset[type]) -> Wires:
        if types != TEXT:
            raise Odd
        return documents(column, name, level.depth)

    if expression.filters or expression.hint == "json":
        return of_documents
    return partial(values, hint=expression.hint)


def _template(level: Level, name: str, expression: Template) -> _Write:
    parts = parts_of(expression, level.rows.places)

    def write(chunk: Chunk, named: Named) -> None:
        filled = filled_texts(parts, chunk)
        if None in filled:
            named.add_sparse(name, filled, sparse_texts)
        else:
            named.add(name, texts(filled))

    return write


def _one(level: Level, name: str, child: Children) -> _Write:
    """The one child row of each row that has any."""
    place, own = level.below(child)
    form = _map(replace(own, depth=level.depth), child.attributes)

    def write(chunk: Chunk, named: Named) -> None:
        groups = chunk.columns[place]
        if max(map(len, groups)) > 1:
            raise Odd
        rows = [group[0] if group else None for group in groups]
        named.add_sparse(name, rows, spread(lambda given: form(Chunk.of(given))))

    return write


def _form(level: Level, name: str, expression: Expression) -> _Form:
    match expression:
        case Constant(value):
            kind, wire, surplus = wire_value(value)
            wires = Wires((OPENINGS[kind] + wire,), surplus + escapes(wire))
            return lambda chunk: wires
        case MapOf(attributes):
            return _map(level, attributes)
        case Children(shape="list"):
            return _list(level, name, expression)
        case ColumnValue():
            return _values(level, name, expression)
    raise NotWorthIt


def _map(level: Level, attributes: tuple[tuple[str, Expression], ...]) -> _Form:
    if level.depth >= NESTING_LEVELS:
        raise NotWorthIt
    writers = [attribute_writer(level.deeper(), name, expression) for name, expression in attributes]

    def form(chunk: Chunk) -> Wires:
        named = Named(chunk.count, nested=True)
        for write in writers:
            write(chunk, named)
        return named.maps()

    return form


def _values(level: Level, name: str, expression: ColumnValue) -> _Form:
    place, convert = level.rows.places[expression.column], _converter(level, name, expression)
    is_plain = _is_plain(expression)

    def form(chunk: Chunk) -> Wires:
        types = chunk.types(place)
        if types == INTEGER and is_plain:
            return chunk.integers(place)
        if types >= NULL:
            raise Odd
        return convert(chunk.columns[place], types)

    return form


def _list(level: Level, name: str, child: Children) -> _Form:
    """The child rows of all rows are a chunk of their own."""
    if level.depth >= NESTING_LEVELS:
        raise NotWorthIt
    place, own = level.below(child)
    form_of_member = _form(own, name, child.value or MapOf(child.attributes))

    def form(chunk: Chunk) -> Wires:
        groups = chunk.columns[place]
        rows = list(chain.from_iterable(groups))
        return lists(list(map(len, groups)), form_of_member(Chunk.of(rows))) if rows else EMPTY_LISTS

    return form
