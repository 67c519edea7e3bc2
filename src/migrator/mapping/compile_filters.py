"""Write the code for a column through its filters, and keep count of what types its value may have after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from migrator.mapping import own_filters
from migrator.mapping.compile_code import Code
from migrator.mapping.filters import FILTERS, PYTHON
from migrator.mapping.model import ColumnValue, FilterCall
from migrator.mapping.values import JsonNull
from migrator.source.text import InvalidText

#: Types that a value may have here; None for all that a filter can give.
Types = frozenset[type] | None

NULL = type(None)
_RAW: Types = frozenset((NULL, int, float, str, bytes, InvalidText))
TEXT: Types = frozenset((str,))
INTEGER: Types = frozenset((int,))

#: Filters of text that Python has a method for: an expression for a value that is text already.
_TEXT_METHODS: Mapping[str, str] = {
    "lower": "{}.lower()",
    "upper": "{}.upper()",
    "trim": "{}.strip()",
    "string": "{}",
}
#: What comes out of filters that always give one kind of value
_GIVES: Mapping[str, Types] = {
    **dict.fromkeys((*_TEXT_METHODS, "pad", "prefix", "sha256", "uuid5", "iso8601", "date"), TEXT),
    **dict.fromkeys(("epoch", "epoch_ms", "shard"), INTEGER),
    "bool": frozenset((bool,)),
    "number": frozenset((int, float, Decimal)),
    "binary": frozenset((bytes,)),
    "base64": frozenset((str, bytes)),
    "hex": frozenset((str, bytes)),
}
#: Types in the order in which they are asked for, by a column's affinity
_FIRST: Mapping[str, type] = {"INTEGER": int, "REAL": float, "NUMERIC": int, "BLOB": bytes}


class Value(Struct, frozen=True):
    """A variable that holds a row's value, and what may be in it."""

    variable: str
    types: Types
    first: type = str  #: the likeliest

    def may_be(self, kind: type) -> bool:
        return self.types is None or kind in self.types


class Columns(Struct, frozen=True):
    """The columns of one level of rows: the variables that hold them, and their affinities."""

    variables: Mapping[str, str]
    affinities: Mapping[str, str]
    builtins: Mapping[str, str]  #: an expression for each

    def raw(self, column: ColumnValue) -> Value:
        if column.builtin:
            return Value(self.builtins[column.column], INTEGER if column.column == "rowid" else TEXT)
        first = _FIRST.get(self.affinities.get(column.column, ""), str)
        return Value(self.variables[column.column], _RAW, first)


NO_COLUMNS = Columns({}, {}, {})


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
    return Value(value.variable, _with_null(TEXT, value))


def _write_filter(code: Code, value: Value, call: FilterCall) -> Value:
    x, apply = value.variable, code.constant(_applied(call))
    assignment = f"{x} = {apply}({x})"
    if call.name == "default":
        code.line(assignment)
        given = frozenset((type(call.arguments[0]),))
        return Value(x, None if value.types is None else value.types - {NULL, JsonNull} | given)
    conditions = [f"{x} is not None"] * value.may_be(NULL) + [f"{x} is not JSON_NULL"] * value.may_be(JsonNull)
    with code.block(f"if {' and '.join(conditions) or True}"):
        code.line(assignment)
    if call.name == "nullif":
        return Value(x, None if value.types is None else value.types | {NULL}, value.first)
    return Value(x, _with_null(_GIVES.get(call.name), value))


def _with_null(types: Types, before: Value) -> Types:
    """NULL and JSON's null pass through a filter."""
    if types is None or before.types is None:
        return None if types is None else types | {NULL, JsonNull}
    return types | (before.types & {NULL, JsonNull})


def _applied(call: FilterCall) -> Callable[[Any], Any]:
    """The filter itself, with its arguments."""
    if call.name.startswith(PYTHON):
        path = call.name.removeprefix(PYTHON)
        return lambda value: own_filters.call_own(value, path, *call.arguments)
    apply = FILTERS[call.name].apply
    return (lambda value: apply(value, *call.arguments)) if call.arguments else apply
