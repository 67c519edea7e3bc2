"""Write the code for an item: its keys and attributes, and what a writer must know beside its bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import orjson

from migrator.limits import ITEM_SIZE_BYTES, WRITE_UNIT_BYTES
from migrator.mapping.compile_code import Code, Forms, Pieces, Slot, named_slot, required_slot
from migrator.mapping.compile_expressions import Level, NotWorthIt, write_expression
from migrator.mapping.compile_filters import write_filters
from migrator.mapping.compile_values import usual_integer, write_digits, write_template, write_text
from migrator.mapping.model import ColumnValue, ItemSpec, KeyAttribute, TableDefinition, Template
from migrator.mapping.prices import write_units
from migrator.mapping.validate import check_name, index_keys, table_keys
from migrator.mapping.wirejson import from_wire


def write_item(level: Level, item: ItemSpec, table: TableDefinition) -> str:
    """The expression of an EncodedItem. Raises NotWorthIt, or RowRejected for what rejects every row."""
    templates = dict(item.key)
    limits = {key.name: (key, limit) for key, limit in (*table_keys(table), *index_keys(table))}
    own = [key.name for key in table.key_attributes]
    _check_names(item, own)
    pieces, slots, identities = Pieces(), dict[str, Slot](), []
    for name in own:
        key, limit = limits[name]
        slot = slots[name] = required_slot(level.code, name, key.type, first=not slots)
        identities.append(_write_key(level, slot, pieces, key, limit, templates.pop(name), required=True))
    for name, template in templates.items():
        slot = slots[name] = named_slot(level.code, name, nested=False)
        _write_key(level, slot, pieces, *limits[name], template, required=False)
    for name, expression in (*item.attributes, *item.rest):
        slot = slots[name] = named_slot(level.code, name, nested=False)
        write_expression(level, slot, pieces, expression, name, 0, fixed=name not in limits)
        if name in limits:
            _write_fitting(slot, *limits[name])
    return _write_encoded(level.code, pieces, identities, table, slots)


def _check_names(item: ItemSpec, own: list[str]) -> None:
    names = [name for name, _ in (*item.key, *item.attributes, *item.rest)]
    for name in names:
        check_name(name)
    if len(set(names)) < len(names) or not set(own) <= set(dict(item.key)):
        raise NotWorthIt


# ---- keys


def _write_key(
    level: Level, slot: Slot, pieces: Pieces, key: KeyAttribute, limit: int, template: Template, *, required: bool
) -> str:
    """An expression for what the key compares by."""
    code = level.code
    text = "".join(part for part in template.parts if isinstance(part, str))
    if key.type == "S" and required and not any(template.columns()) and 0 < len(text.encode()) <= limit:
        pieces.add_constant(slot, "S", orjson.dumps(text), 0)
        return code.constant(text)
    identity, forms = _KEYS[key.type](level, slot, template)
    code.choice(forms, partial(code.line, "raise Odd") if required else slot.absent)
    if key.type != "N":
        code.odd_if(f"len({slot.value}) > {most_bytes(key, limit)}")
    pieces.add(slot)
    return identity


def _text_key(level: Level, slot: Slot, template: Template) -> tuple[str, Forms]:
    text = write_template(level.code, template, level.columns).variable
    return text, [(text, partial(write_text, slot, text))]


def _number_key(level: Level, slot: Slot, template: Template) -> tuple[str, Forms]:
    code = level.code
    text = write_template(code, template, level.columns)
    value, surplus, number = (code.variable("n") for _ in range(3))

    def write_usual() -> None:
        assert text.sole is not None
        code.line(f"{number} = {text.sole.variable}")
        write_digits(slot, text.variable)

    def write() -> None:
        code.line(f"{value}, {surplus}, {number} = number_key({text.variable})")
        slot.present("N", value, surplus)

    sole = text.sole.variable if text.sole else ""
    usual: Forms = [(f"type({sole}) is int and {usual_integer(sole)}", write_usual)] if sole else []
    return number, [*usual, (text.variable, write)]


def _binary_key(level: Level, slot: Slot, template: Template) -> tuple[str, Forms]:
    code = level.code
    content, value, surplus = (code.variable("n") for _ in range(3))
    sole = template.parts[0] if len(template.parts) == 1 else None
    if isinstance(sole, ColumnValue):
        x = write_filters(code, sole, level.columns).variable
        code.line(f"{content} = {x} if type({x}) is bytes else bytes_of({x})")
    else:
        code.line(f"{content} = bytes_of({write_template(code, template, level.columns).variable})")

    def write() -> None:
        code.line(f"{value}, {surplus} = binary({content})")
        slot.present("B", value, surplus)

    return content, [(content, write)]


_KEYS: Mapping[str, Callable[[Level, Slot, Template], tuple[str, Forms]]] = {
    "S": _text_key,
    "N": _number_key,
    "B": _binary_key,
}


def _write_fitting(slot: Slot, key: KeyAttribute, limit: int) -> None:
    """An attribute that an index has for a key, though no template gives it: its value decides about its type."""
    fits = "" if key.type == "N" else f" and 2 < len({slot.value}) <= {most_bytes(key, limit)}"
    slot.code.odd_if(f"{slot.head} and not ({slot.head} == {slot.heads(key.type)}{fits})")


def most_bytes(key: KeyAttribute, limit: int) -> int:
    """On the wire a key of so many bytes is surely within its limit; a longer one may be."""
    return 2 + (limit if key.type == "S" else limit // 3 * 4)


# ---- what a writer must know


def _write_encoded(
    code: Code, pieces: Pieces, identities: list[str], table: TableDefinition, slots: Mapping[str, Slot]
) -> str:
    pieces.parts.append(b"}}")
    wire, size = code.variable("w"), code.variable("z")
    code.line(f"{wire} = {pieces.joined(code)}")
    code.line(f"{size} = len({wire}) - o - {pieces.surplus + len('}}')}")
    with code.block(f"if b'\\\\' in {wire}"):
        code.line(f"{size} -= escapes({wire})")
    code.odd_if(f"{size} > {ITEM_SIZE_BYTES}")
    identity = identities[0] if len(identities) == 1 else f"({', '.join(identities)})"
    return f"new(EncodedItem, ({wire}, {identity}, {size}, {_units(code, table, slots, wire, size)}))"


def _units(code: Code, table: TableDefinition, slots: Mapping[str, Slot], wire: str, size: str) -> str:
    """An expression: one per started KB, for the table and for each index that the item is in."""
    own = {key.name for key in table.key_attributes}
    entered = ["1"]
    for index in table.indexes:
        names = [key.name for key in index.key_attributes if key.name not in own]
        if all(name in slots for name in names):
            present = " and ".join(slots[name].head for name in names)
            entered.append(f"(1 if {present} else 0)" if present else "1")
    count = " + ".join(entered)
    if all(index.projection == "ALL" for index in table.indexes):
        return f"({count}) * (({size} + {WRITE_UNIT_BYTES - 1}) // {WRITE_UNIT_BYTES})"
    larger = code.constant(partial(_units_of_larger, table))
    return f"{count} if {size} <= {WRITE_UNIT_BYTES} else {larger}({wire}, {size})"


def _units_of_larger(table: TableDefinition, wire: bytes, size_bytes: int) -> int:
    """Of an item of which the indexes may hold less than the table does."""
    return write_units(from_wire(orjson.loads(wire)), size_bytes, table)
