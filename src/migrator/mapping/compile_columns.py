"""The second way to encode: a chunk of rows column by column, where all its rows are ordinary.

It costs half of what the generated function of `mapping.compile` does, which looks at one value after another. A chunk
in which anything is out of the ordinary goes to that function, and so does an entity with rules, filters, conditions or
several items a row. The same tests hold both to the plain renderer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import repeat
from typing import Any

import orjson
from msgspec import Struct

from migrator.errors import RowRejected
from migrator.mapping.column_members import Named
from migrator.mapping.column_numbers import numbers
from migrator.mapping.column_sparse import spread
from migrator.mapping.column_values import Level, attribute_writer, filled_texts, parts_of, refuse_escapes
from migrator.mapping.column_wires import Column, Wires
from migrator.mapping.columns import INTEGER, NULL, Chunk, texts
from migrator.mapping.compile_expressions import NotWorthIt
from migrator.mapping.compile_items import most_bytes
from migrator.mapping.encoded import EncodedItems
from migrator.mapping.model import (
    Children,
    ColumnValue,
    Constant,
    Entity,
    Expression,
    FilterCall,
    KeyAttribute,
    MapOf,
    TableDefinition,
    Template,
)
from migrator.mapping.reads import RawRows, child_expressions
from migrator.mapping.validate import index_keys, table_keys
from migrator.mapping.wirevalues import OPENINGS, Odd, escapes
from migrator.source.rows import RawRow

#: The items of a chunk of rows; None where the chunk, or the entity, is not for this way.
EncodeItems = Callable[[list[RawRow]], EncodedItems | None]

_JSON = (FilterCall("json"),)
_NOT_THIS_WAY = (Odd, RowRejected, orjson.JSONEncodeError, UnicodeEncodeError)
_INTEGER_BYTES_MAX = len(str(-(2**63)))


def no_items(_: list[RawRow]) -> None:
    """For an entity that has to go the other way."""


class _Key(Struct, frozen=True):
    """A key attribute, the most bytes it may have, and its template: literals, and places of columns."""

    attribute: KeyAttribute
    limit: int
    parts: tuple[str | int, ...]
    required: bool

    def write(self, chunk: Chunk, items: Named) -> Iterable[Any]:
        """Add it to the items; what the key compares by."""
        return _KEYS[self.attribute.type](self, chunk, items)


def compile_columns(
    entity: Entity, rows: RawRows, table: TableDefinition, *, identities: bool = True, by_name: bool = False
) -> EncodeItems:
    """Without `identities` the items have None for theirs; `by_name` is the order of their attributes."""
    if len(entity.items) > 1 or entity.items[0].where or entity.rules:
        return no_items
    item = entity.items[0]
    limits = {key.name: (key, limit) for key, limit in (*table_keys(table), *index_keys(table))}
    own = [key.name for key in table.key_attributes]
    attributes = (*item.attributes, *item.rest)
    if not all(_is_plain(expression) for _, expression in (*item.key, *attributes)) or limits.keys() & dict(attributes):
        return no_items
    templates = dict(item.key)

    def key(name: str) -> _WriteKey:
        key = _Key(*limits[name], parts_of(templates[name], rows.places), name in own)
        return key.write if identities else _without_text(key)

    writers: dict[str, Callable[[Chunk, Named], Any]] = {name: key(name) for name in (*own, *templates)}
    level = Level(rows, entity.nulls)
    try:
        for name in templates:
            refuse_escapes(name)
        writers |= {name: attribute_writer(level, name, expression) for name, expression in attributes}
    except NotWorthIt:
        return no_items
    if by_name:
        writers = dict(sorted(writers.items()))
    entered = [index for index in table.indexes if {key.name for key in index.key_attributes} <= templates.keys()]

    def encode(raws: list[RawRow]) -> EncodedItems | None:
        chunk, items = Chunk.of(raws), Named(len(raws), in_order=by_name)
        try:
            written = {name: write(chunk, items) for name, write in writers.items()}
            compared = [written[name] for name in own]
            return items.encoded(_identities(compared) if identities else repeat(None, len(raws)), entered)
        except _NOT_THIS_WAY:
            return None

    return encode


def _is_plain(expression: Expression | None) -> bool:
    """Whether it is known here; what of it is used is decided where it is written."""
    match expression:
        case ColumnValue(filters=filters, builtin=builtin):
            return not builtin and filters in ((), _JSON)
        case Template(parts):
            return all(isinstance(part, str) or (_is_plain(part) and not part.filters) for part in parts)
        case MapOf(attributes):
            return all(_is_plain(each) for _, each in attributes)
        case Children():
            return all(map(_is_plain, child_expressions(expression)))
    return isinstance(expression, Constant)


def is_spelled_alike(entity: Entity) -> bool:
    """Whether items `by_name` stand on the wire as `canonical.digest` spells them.

    SQLite's own numbers do; those of a document may be spelled otherwise, and its names stand as they came.
    """
    return all(
        _is_spelled_alike(expression) for item in entity.items for _, expression in (*item.attributes, *item.rest)
    )


def _is_spelled_alike(expression: Expression) -> bool:
    match expression:
        case ColumnValue(filters=filters, hint=hint):
            return not filters and hint != "json"
        case Constant(value):
            return not value.keys().isdisjoint(("S", "BOOL", "NULL"))
    return isinstance(expression, Template)


def _identities(compared: list[Iterable[Any]]) -> Iterable[Any]:
    return zip(*compared, strict=True) if len(compared) > 1 else compared[0]


# ---- keys

_WriteKey = Callable[[Chunk, Named], Iterable[Any]]


def _text_key(key: _Key, chunk: Chunk, items: Named) -> Iterable[Any]:
    name = key.attribute.name
    if key.required and len(key.parts) == 1 and isinstance(key.parts[0], str):
        wire = orjson.dumps(key.parts[0])
        _check_length(key, [wire])
        items.add(name, Wires((OPENINGS["S"] + wire,), escapes(wire)))
        return repeat(key.parts[0], chunk.count)
    filled = filled_texts(key.parts, chunk)
    if all(filled):
        items.add(name, _fitting(key, filled))
    elif key.required:
        raise Odd
    else:
        items.add_sparse(name, [text or None for text in filled], spread(partial(_fitting, key)))
    return filled


def _fitting(key: _Key, column: Column) -> Wires:
    wires = texts(column)
    _check_length(key, wires.joined(len(column)))
    return wires


def _without_text(key: _Key) -> _WriteKey:
    """What adds a key of which nobody asks for the text: numbers in it stay the bytes that they are elsewhere."""
    places = [part for part in key.parts if isinstance(part, int)]
    wires = [part if isinstance(part, int) else orjson.dumps(part)[1:-1] for part in key.parts]
    text = "".join(part for part in key.parts if isinstance(part, str)).encode()
    if key.attribute.type != "S" or not places or len(text) + len(places) * _INTEGER_BYTES_MAX > key.limit:
        return key.write
    surplus = sum(len(wire) for wire in wires if isinstance(wire, bytes)) - len(text)

    def write(chunk: Chunk, items: Named) -> Iterable[Any]:
        if any(chunk.types(place) != INTEGER for place in places):
            return key.write(chunk, items)
        pieces = [wire if isinstance(wire, bytes) else chunk.integers(wire).pieces[1] for wire in wires]
        items.add(key.attribute.name, Wires((OPENINGS["S"] + b'"', *pieces, b'"'), surplus))
        return ()

    return write


def _check_length(key: _Key, wires: Iterable[bytes]) -> None:
    if not len('""') < max(map(len, wires)) <= most_bytes(key.attribute, key.limit):
        raise Odd


def _number_key(key: _Key, chunk: Chunk, items: Named) -> Iterable[Any]:
    """Only integers as they are: they compare by what they are."""
    place = key.parts[0]
    if len(key.parts) > 1 or isinstance(place, str):
        raise Odd
    column, types = chunk.columns[place], chunk.types(place)
    if types == INTEGER:
        items.add(key.attribute.name, chunk.integers(place))
    elif key.required or not types <= INTEGER | NULL:
        raise Odd
    else:
        items.add_sparse(key.attribute.name, column, spread(numbers))
    return column


def _no_key(key: _Key, chunk: Chunk, items: Named) -> Iterable[Any]:
    raise Odd


_KEYS: Mapping[str, Callable[[_Key, Chunk, Named], Iterable[Any]]] = {"S": _text_key, "N": _number_key, "B": _no_key}
