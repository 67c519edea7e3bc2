"""Write the code for one column or template: its filters, then a form for each type that a value may have.

What is ordinary is written out; everything else is a call, or leaves the row to the plain renderer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from migrator.mapping import own_filters
from migrator.mapping.compile_code import Code, Forms, Slot
from migrator.mapping.filters import FILTERS, PYTHON
from migrator.mapping.model import ColumnValue, FilterCall, Template
from migrator.mapping.values import JsonNull
from migrator.mapping.wirevalues import FALSE_SURPLUS, TRUE_SURPLUS, USUAL_INTEGERS_BELOW
from migrator.source.text import InvalidText

#: Types that a value may have here; None for all that a filter can give.
Types = frozenset[type] | None

_NULL = type(None)
_RAW: Types = frozenset((_NULL, int, float, str, bytes, InvalidText))
_TEXT: Types = frozenset((str,))
_INTEGER: Types = frozenset((int,))

#: Filters of text that Python has a method for: an expression for a value that is text already.
_TEXT_METHODS: Mapping[str, str] = {
    "lower": "{}.lower()",
    "upper": "{}.upper()",
    "trim": "{}.strip()",
    "string": "{}",
}
#: What comes out of filters that always give one kind of value
_GIVES: Mapping[str, Types] = {
    **dict.fromkeys((*_TEXT_METHODS, "pad", "prefix", "sha256", "uuid5", "iso8601", "date"), _TEXT),
    **dict.fromkeys(("epoch", "epoch_ms", "shard"), _INTEGER),
    "bool": frozenset((bool,)),
    "number": frozenset((int, float, Decimal)),
    "binary": frozenset((bytes,)),
    "base64": frozenset((str, bytes)),
    "hex": frozenset((str, bytes)),
}
#: Types in the order in which they are asked for, by a column's affinity
_FIRST: Mapping[str, type] = {"INTEGER": int, "REAL": float, "NUMERIC": int, "BLOB": bytes}


@dataclass(frozen=True, slots=True)
class Value:
    """A variable that holds a row's value, and what may be in it."""

    variable: str
    types: Types
    first: type = str  #: the likeliest

    def may_be(self, kind: type) -> bool:
        return self.types is None or kind in self.types


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one level of rows: the variables that hold them, and their affinities."""

    variables: Mapping[str, str]
    affinities: Mapping[str, str]
    builtins: Mapping[str, str]  #: an expression for each

    def raw(self, column: ColumnValue) -> Value:
        if column.builtin:
            return Value(self.builtins[column.column], _INTEGER if column.column == "rowid" else _TEXT)
        first = _FIRST.get(self.affinities.get(column.column, ""), str)
        return Value(self.variables[column.column], _RAW, first)


NO_COLUMNS = Columns({}, {}, {})


# ---- filters


def write_filters(code: Code, column: ColumnValue, columns: Columns) -> Value:
    """The column's value through its filters."""
    value = columns.raw(column)
    if not column.filters:
        return value
    variable = code.variable("x")
    code.line(f"{variable} = {value.variable}")
    value = Value(variable, value.types, value.first)
    methods = 0
    while methods < len(column.filters) and column.filters[methods].name in _TEXT_METHODS:
        methods += 1
    if methods:
        value = _write_methods(code, value, column.filters[:methods])
    for call in column.filters[methods:]:
        value = _write_filter(code, value, call)
    return value


def _write_methods(code: Code, value: Value, calls: Iterable[FilterCall]) -> Value:
    inlined = value.variable
    for call in calls:
        inlined = _TEXT_METHODS[call.name].format(inlined)
    with code.block(f"if type({value.variable}) is str"):
        code.line(f"{value.variable} = {inlined}")
    with code.block(f"elif {value.variable} is not None"):
        for call in calls:
            code.line(f"{value.variable} = {code.constant(FILTERS[call.name].apply)}({value.variable})")
    return Value(value.variable, _with_null(_TEXT, value))


def _write_filter(code: Code, value: Value, call: FilterCall) -> Value:
    x, apply = value.variable, code.constant(_applied(call))
    assignment = f"{x} = {apply}({x})"
    if call.name == "default":
        code.line(assignment)
        given = frozenset((type(call.arguments[0]),))
        return Value(x, None if value.types is None else value.types - {_NULL, JsonNull} | given)
    conditions = [f"{x} is not None"] * value.may_be(_NULL) + [f"{x} is not JSON_NULL"] * value.may_be(JsonNull)
    with code.block(f"if {' and '.join(conditions) or True}"):
        code.line(assignment)
    if call.name == "nullif":
        return Value(x, None if value.types is None else value.types | {_NULL}, value.first)
    return Value(x, _with_null(_GIVES.get(call.name), value))


def _with_null(types: Types, before: Value) -> Types:
    """NULL and JSON's null pass through a filter."""
    if types is None or before.types is None:
        return None if types is None else types | {_NULL, JsonNull}
    return types | (before.types & {_NULL, JsonNull})


def _applied(call: FilterCall) -> Callable[[Any], Any]:
    """The filter itself, with its arguments."""
    if call.name.startswith(PYTHON):
        path = call.name.removeprefix(PYTHON)
        return lambda value: own_filters.call_own(value, path, *call.arguments)
    apply = FILTERS[call.name].apply
    return (lambda value: apply(value, *call.arguments)) if call.arguments else apply


# ---- attributes


def write_attribute(code: Code, slot: Slot, value: Value, hint: str, nulls: str, name: str, depth: int) -> None:
    """The value by its type. `depth` counts the maps and lists around it."""
    x = value.variable
    order = sorted(filter(value.may_be, _FORMS), key=lambda kind: kind is not value.first)
    forms: Forms = [(_is(kind, x), partial(_FORMS[kind], slot, x)) for kind in order]
    if value.may_be(_NULL):
        forms.insert(1, (f"{x} is None", partial(_write_null, slot, nulls)))
    call = f"any_value({x}, {hint!r}, {code.constant(name)}, {depth})"
    forms = [*_hinted(slot, x, hint, call), *forms]
    if value.types is None:
        code.choice(forms, lambda: _write_any(slot, call))
    elif value.types - {*_FORMS, _NULL}:
        code.choice(forms, lambda: code.line("raise Odd"))
    else:  # These are all: the last needs no asking.
        code.choice(forms[:-1], forms[-1][1])


def _write_null(slot: Slot, nulls: str) -> None:
    if nulls == "keep":
        slot.present("NULL", "b'true'", TRUE_SURPLUS)
    else:
        slot.absent()


def _is(kind: type, x: str) -> str:
    return f"{x} is JSON_NULL" if kind is JsonNull else f"type({x}) is {kind.__name__}"


def _write_any(slot: Slot, call: str) -> None:
    code = slot.code
    kind, value, surplus = (code.variable("a") for _ in range(3))
    code.line(f"{kind}, {value}, {surplus} = {call}")
    slot.present_any(kind, value, surplus)


def write_text(slot: Slot, x: str) -> None:
    slot.present("S", f"dumps({x})")


def _write_integer(slot: Slot, x: str) -> None:
    def write_usual() -> None:
        text = slot.code.variable("t")
        slot.code.line(f"{text} = str({x})")
        write_digits(slot, text)

    slot.code.choice([(usual_integer(x), write_usual)], partial(_write_number, slot, x))


def usual_integer(x: str) -> str:
    """A condition: an integer of the many whose digits need no look."""
    return f"0 <= {x} < {USUAL_INTEGERS_BELOW}"


def write_digits(slot: Slot, text: str) -> None:
    """The text of such an integer."""
    slot.present("N", f"dumps({text})", f'INTEGER_SURPLUS[len({text})][len({text}.rstrip("0"))]')


def _write_number(slot: Slot, x: str) -> None:
    _write_pair("N", "number", slot, x)


def _write_pair(kind: str, function: str, slot: Slot, x: str) -> None:
    value, surplus = slot.code.variable("n"), slot.code.variable("n")
    slot.code.line(f"{value}, {surplus} = {function}({x})")
    slot.present(kind, value, surplus)


def _write_boolean(slot: Slot, x: str) -> None:
    true = partial(slot.present, "BOOL", "b'true'", TRUE_SURPLUS)
    slot.code.choice([(x, true)], partial(slot.present, "BOOL", "b'false'", FALSE_SURPLUS))


_FORMS: Mapping[type, Callable[[Slot, str], None]] = {
    str: write_text,
    int: _write_integer,
    float: partial(_write_pair, "N", "real"),
    bool: _write_boolean,
    Decimal: _write_number,
    bytes: partial(_write_pair, "B", "binary"),
    JsonNull: lambda slot, x: slot.present("NULL", "b'true'", TRUE_SURPLUS),
}


def _hinted(slot: Slot, x: str, hint: str, call: str) -> Forms:
    """What a hint makes of a raw value that it takes for what was certainly meant."""
    any_of = partial(_write_any, slot, call)
    hinted: Mapping[str, Forms] = {
        "": [],
        "bool": [(f"type({x}) is int and 0 <= {x} <= 1", partial(_write_boolean, slot, x))],
        "json": [(f"type({x}) is str and {x}.lstrip().startswith(JSON_BEGINS)", any_of)],
        "number": [(f"type({x}) is str and is_canonical({x})", partial(_write_number, slot, x))],
    }
    return hinted[hint]


# ---- templates


@dataclass(frozen=True, slots=True)
class Text:
    """A variable that holds a template's text, or None where a placeholder is NULL."""

    variable: str
    nullable: bool
    sole: Value | None  #: the only placeholder, where there is nothing else


def write_template(code: Code, template: Template, columns: Columns) -> Text:
    parts: list[str] = []
    nullable: list[str] = []
    sole = None
    for part in template.parts:
        if isinstance(part, str):
            parts.append(code.constant(part))
            continue
        sole = write_filters(code, part, columns)
        parts.append(write_placeholder(code, sole))
        if sole.may_be(_NULL) or sole.may_be(JsonNull):
            nullable.append(parts[-1])
    text = code.variable("t")
    joined = 'f"' + "".join(f"{{{part}}}" for part in parts) + '"'
    missing = " or ".join(f"{part} is None" for part in nullable)
    code.line(f"{text} = None if {missing} else {joined}" if missing else f"{text} = {joined}")
    return Text(text, bool(nullable), sole if len(parts) == 1 else None)


def write_placeholder(code: Code, value: Value) -> str:
    """A placeholder's variable, which holds text, an integer or None."""
    if value.types in (_TEXT, _INTEGER):
        return value.variable
    placeholder, x = code.variable("y"), value.variable
    plain = f"type({x}) is str or type({x}) is int"
    code.line(f"{placeholder} = {x} if {plain} else text_of({x})")
    return placeholder
