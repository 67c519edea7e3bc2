"""One generated function for each entity: raw rows -> items as they go on the wire, in one pass.

The function encodes what is ordinary. A row that is odd in any way, and so each row that may have to be rejected,
goes to the plain renderer, which alone decides about codes, columns and words. A test holds the two together for
any mapping and any row (tests/unit/mapping/test_compile.py). Before either, a whole chunk is tried by columns
(`mapping.compile_columns`), which is cheaper still.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import orjson
from msgspec import Struct

from migrator.errors import RowRejected
from migrator.mapping.compile_code import Code
from migrator.mapping.compile_columns import EncodeItems, compile_columns, is_spelled_alike, no_items
from migrator.mapping.compile_expressions import Level, NotWorthIt
from migrator.mapping.compile_items import write_item
from migrator.mapping.decimals import is_canonical
from migrator.mapping.encoded import EncodedItem, EncodedRow, encode_item
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import Entity, ItemSpec, TableDefinition
from migrator.mapping.of_file import fill_entity
from migrator.mapping.reads import RawRows
from migrator.mapping.render import EntityRenderer, count_warnings
from migrator.mapping.values import JSON_NULL
from migrator.mapping.wirevalues import (
    INTEGER_SURPLUS,
    OPENINGS,
    Odd,
    any_value,
    binary,
    bytes_of,
    escapes,
    number,
    number_key,
    real,
    text_of,
)
from migrator.source.read import Read
from migrator.source.rows import Layout, RawRow

#: What becomes of a row; a rejection is handed over, not raised.
Outcome = EncodedRow | RowRejected
EncodeRows = Callable[[list[RawRow]], list[Outcome]]


class EntityEncoder(Struct, frozen=True):
    """Encodes the rows of one entity as `source.rows.iter_batches` gives them."""

    encode_rows: EncodeRows
    encode_items: EncodeItems  #: nearly always possible, and half the work
    layout: Layout  #: of the raw rows
    is_canonical: bool  #: `canonical.wire_digest` may be asked of what `encode_items` gives


def compile_entity(
    entity: Entity,
    read: Read,
    table: TableDefinition,
    context: RenderContext,
    *,
    validate: bool = True,
    identities: bool = True,
    canonical: bool = False,
) -> EntityEncoder:
    """The encoder of a bound entity; `read` is what `mapping.reads` makes of it.

    Without `identities` items may have None for theirs: nobody asks where no two items can have one key.
    With `canonical` they stand as they are digested, wherever the entity allows it without a look at each.
    """
    rows = RawRows.of(entity, read)
    layout = rows.layout
    renderer = EntityRenderer(entity, read, table, context, validate=validate)

    def plain(raw: RawRow) -> Outcome:
        try:
            rendered = renderer.render(layout.row(raw))
        except RowRejected as reject:
            return reject
        items = tuple((position, encode_item(item, table)) for position, item in rendered.items)
        return EncodedRow(items, rendered.warnings)

    entity = fill_entity(entity, context.texts)
    try:
        encode_rows = _generate(entity, rows, table, context, plain)
    except (NotWorthIt, RowRejected, UnicodeEncodeError):
        # Whatever is wrong with the mapping rejects rows, and the plain renderer says which.
        return EntityEncoder(lambda raws: [plain(raw) for raw in raws], no_items, layout, is_canonical=False)
    canonical = canonical and is_spelled_alike(entity)
    encode_items = compile_columns(entity, rows, table, identities=identities, by_name=canonical)
    return EntityEncoder(encode_rows, encode_items, layout, canonical)


#: What generated code calls by name
_NAMES: dict[str, Any] = {
    "Decimal": Decimal,
    "EncodedItem": EncodedItem,
    "EncodedRow": EncodedRow,
    "INTEGER_SURPLUS": INTEGER_SURPLUS,
    "JSON_BEGINS": ("{", "["),
    "JSON_NULL": JSON_NULL,
    "ODD": (Odd, RowRejected, orjson.JSONEncodeError, UnicodeEncodeError),
    "OPENINGS": OPENINGS,
    "Odd": Odd,
    "any_value": any_value,
    "binary": binary,
    "bytes_of": bytes_of,
    "count_warnings": count_warnings,
    "dumps": orjson.dumps,
    "escapes": escapes,
    "is_canonical": is_canonical,
    # The constructor of a NamedTuple is a Python function, and twice as slow.
    "new": tuple.__new__,
    "number": number,
    "number_key": number_key,
    "real": real,
    "text_of": text_of,
}


def _generate(
    entity: Entity,
    rows: RawRows,
    table: TableDefinition,
    context: RenderContext,
    plain: Callable[[RawRow], Outcome],
) -> EncodeRows:
    code = Code({**_NAMES, "plain": plain})
    with code.block("def encode_rows(rows)"):
        code.line("outcomes = []")
        code.line("append = outcomes.append")
        with code.block("for raw in rows"):
            with code.block("try"):
                level = Level(code, rows, entity.nulls, context).unpacked("raw")
                code.line(f"append({_write_row(level, entity, table)})")
            with code.block("except ODD"):
                code.line("append(plain(raw))")
        code.line("return outcomes")
    return code.function("encode_rows")


def _write_row(level: Level, entity: Entity, table: TableDefinition) -> str:
    """An expression for the row's outcome."""
    code, warnings = level.code, "0"
    if entity.rules:
        warnings = code.variable("x")
        watched = {rule.column: level.columns.variables[rule.column] for rule in entity.rules}
        values = ", ".join(f"{code.constant(column)}: {variable}" for column, variable in watched.items())
        code.line(f"{warnings} = count_warnings({code.constant(entity.rules)}, {{{values}}})")
    asked = iter(level.variables[place] for place in level.rows.layout.conditions)
    pairs: list[str] = []
    for position, item in enumerate(entity.items):
        pairs.append(code.variable("i"))
        write = partial(_write_pair, level, table, pairs[-1], position, item)
        if item.where:
            code.choice([(next(asked), write)], partial(code.line, f"{pairs[-1]} = ()"))
        else:
            write()
    return f"new(EncodedRow, ({' + '.join(pairs)}, {warnings}))"


def _write_pair(level: Level, table: TableDefinition, pair: str, position: int, item: ItemSpec) -> None:
    """An item with its position, in a tuple of its own: of an item whose condition fails there is an empty one."""
    level.code.line("o = 0")
    level.code.line(f"{pair} = ({position}, {write_item(level, item, table)}),")
