"""The filters of a mapping: their names, their arguments, and a value's way through them.

A filter gets the raw value and gives a value; NULL passes through every one but `default`.
What the filters do stands in `mapping.conversions`, `containers`, `binaries`, `dates` and `own_filters`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from migrator.errors import RowRejected
from migrator.mapping import binaries, containers, conversions, dates, own_filters
from migrator.mapping.model import FilterCall
from migrator.mapping.values import FilteredValue, JsonNull, to_text

__all__ = ["FILTERS", "PYTHON", "Argument", "FilterSpec", "FilteredValue", "apply_filters", "check_call"]

#: What a filter of the user's own begins with
PYTHON = "python:"

Value = str | int | float
Check = Callable[[Any], str | None]


class Argument(Struct, frozen=True):
    name: str
    types: tuple[type, ...]
    check: Check = lambda value: None  #: what is wrong with a value of the right type
    optional: bool = False
    repeats: bool = False  #: one or more


class FilterSpec(Struct, frozen=True):
    apply: Callable[..., FilteredValue]  #: (value, *arguments)
    meaning: str  #: one line, for a person
    arguments: tuple[Argument, ...] = ()
    takes_null: bool = False

    def usage(self, name: str) -> str:
        """The call as a person writes it.

        >>> FILTERS["pad"].usage("pad")
        'pad(n)'
        """
        words = [f"[{a.name}]" if a.optional else f"{a.name}, …" if a.repeats else a.name for a in self.arguments]
        return f"{name}({', '.join(words)})" if words else name


def apply_filters(value: FilteredValue, calls: tuple[FilterCall, ...], column: str) -> FilteredValue:
    """The value through the filters, in order. Calls must have passed `check_call`.

    >>> apply_filters(" A@B.C ", (FilterCall("trim"), FilterCall("lower")), "email")
    'a@b.c'
    """
    try:
        for call in calls:
            spec = FILTERS.get(call.name)
            if (value is None or isinstance(value, JsonNull)) and not (spec and spec.takes_null):
                continue
            if spec is None:
                value = own_filters.call_own(value, call.name.removeprefix(PYTHON), *call.arguments)
            else:
                value = spec.apply(value, *call.arguments)
    except RowRejected as error:
        error.column = error.column or column
        raise
    return value


def check_call(call: FilterCall) -> str | None:
    """What is wrong with a filter as it is written, or None.

    >>> check_call(FilterCall("lowr"))
    'there is no filter "lowr". Did you mean "lower"?'
    >>> check_call(FilterCall("pad"))
    'filter pad needs n: pad(n)'
    """
    if call.name.startswith(PYTHON):
        return _check_import(call.name.removeprefix(PYTHON))
    spec = FILTERS.get(call.name)
    if spec is None:
        near = difflib.get_close_matches(call.name.lower(), FILTERS, n=1)
        known = f'Did you mean "{near[0]}"?' if near else f"There are: {' '.join(FILTERS)}, and python:module.function"
        return f'there is no filter "{call.name}". {known}'
    return _check_arguments(call, spec)


def _check_import(path: str) -> str | None:
    try:
        own_filters.load_function(path)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, OSError) as error:
        return f"python:{path} cannot be used: {error}"
    return None


def _check_arguments(call: FilterCall, spec: FilterSpec) -> str | None:
    usage = spec.usage(call.name)
    expected = _expected(spec.arguments, len(call.arguments))
    if len(call.arguments) > len(expected):
        return f"filter {call.name} takes fewer arguments: {usage}"
    for argument, given in zip(expected, call.arguments, strict=False):
        if type(given) not in argument.types:
            wanted = " or ".join(_TYPE_NAMES[t] for t in argument.types if t is not float or len(argument.types) == 1)
            return f"filter {call.name}: {argument.name} must be {wanted}, not {given!r}: {usage}"
        if problem := argument.check(given):
            return f"filter {call.name}: {problem}"
    missing = [argument.name for argument in expected[len(call.arguments) :] if not argument.optional]
    return f"filter {call.name} needs {', '.join(missing)}: {usage}" if missing else None


def _expected(arguments: Sequence[Argument], given: int) -> list[Argument]:
    """The arguments one by one, the last as often as it is given where it repeats."""
    expected = list(arguments)
    if expected and expected[-1].repeats:
        expected += expected[-1:] * (given - len(expected))
    return expected


_TYPE_NAMES: Mapping[type, str] = {str: "quoted text", int: "a number", float: "a number"}


def _at_least_one(value: int) -> str | None:
    return None if value >= 1 else f"{value} is less than 1"


def _not_empty(value: str) -> str | None:
    return None if value else "the text is empty"


def _is_namespace(value: str) -> str | None:
    try:
        binaries.namespace(value)
    except ValueError:
        return f"{value!r} is neither dns, url, oid, x500 nor a UUID"
    return None


_ANY = (str, int, float)
_FORM = (Argument("unit or format", (str,), dates.check_form, optional=True),)


def _date_filter(name: str, meaning: str) -> FilterSpec:
    return FilterSpec(dates.DATE_FILTERS[name], meaning, _FORM)


FILTERS: Mapping[str, FilterSpec] = MappingProxyType(
    {
        "lower": FilterSpec(conversions.lower, "text in lower case"),
        "upper": FilterSpec(conversions.upper, "text in upper case"),
        "trim": FilterSpec(conversions.trim, "text without white space at both ends"),
        "pad": FilterSpec(
            conversions.pad, "an integer with zeros in front, so that it sorts", (Argument("n", (int,), _at_least_one),)
        ),
        "string": FilterSpec(to_text, "the text form; a REAL in its shortest round-trip form"),
        "number": FilterSpec(conversions.number, "decimal text as an exact number"),
        "bool": FilterSpec(conversions.boolean, "0/1, true/false, yes/no, t/f, y/n, on/off as a boolean"),
        "json": FilterSpec(containers.json, "JSON text as a list, map or scalar"),
        "split": FilterSpec(
            conversions.split, "text as a list of its pieces", (Argument("separator", (str,), _not_empty),)
        ),
        "set": FilterSpec(containers.to_set, "a list as a set; an empty one is left out"),
        "list": FilterSpec(containers.to_list, "a JSON array, or a single value, as a list"),
        "binary": FilterSpec(binaries.binary, "text as binary: its bytes"),
        "base64": FilterSpec(binaries.base64_, "base64 text to binary, a BLOB to base64 text"),
        "hex": FilterSpec(binaries.hex_, "hexadecimal text to binary, a BLOB to hexadecimal text"),
        "epoch": _date_filter("epoch", "a date as seconds since 1970, rounded down"),
        "epoch_ms": _date_filter("epoch_ms", "a date as milliseconds since 1970, rounded down"),
        "iso8601": _date_filter("iso8601", "a date as YYYY-MM-DDTHH:MM:SS[.ffffff]Z"),
        "date": _date_filter("date", "a date as YYYY-MM-DD, in UTC"),
        "default": FilterSpec(conversions.default, "x instead of NULL", (Argument("x", _ANY),), takes_null=True),
        "nullif": FilterSpec(conversions.nullif, "NULL instead of x", (Argument("x", _ANY, repeats=True),)),
        "get": FilterSpec(
            containers.get, "what stands at a path of JSON, such as a.b.0", (Argument("path", (str, int)),)
        ),
        "prefix": FilterSpec(conversions.prefix, "text with s in front, unless it is there", (Argument("s", _ANY),)),
        "sha256": FilterSpec(binaries.sha256, "SHA-256 in hexadecimal"),
        "shard": FilterSpec(
            binaries.shard, "a number from 0 to n-1 by the value's hash", (Argument("n", (int,), _at_least_one),)
        ),
        "uuid5": FilterSpec(binaries.uuid5, "a name-based UUID", (Argument("namespace", (str,), _is_namespace),)),
        "storable": FilterSpec(conversions.storable, "as it is; as binary or text what DynamoDB cannot hold as it is"),
        "token": FilterSpec(conversions.token, "text without #, another for each value: 1, '1' and x'31' stay three"),
    }
)
