"""Turn SQLite values into DynamoDB attribute values.

SQLite columns do not constrain their values, so the value decides;
the declared type is only a hint. Every conversion rule lives here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal

from msgspec import Struct

from migrator.errors import RowRejected
from migrator.limits import NESTING_LEVELS
from migrator.mapping.decimals import is_canonical, number_text
from migrator.mapping.jsontext import has_lone_surrogate, parse_json
from migrator.mapping.model import AttributeValue
from migrator.source.text import InvalidText

__all__ = ["JSON_NULL", "FilteredValue", "JsonNull", "TypedSet", "number_text", "to_attribute_value", "to_text"]


class JsonNull(Enum):
    """JSON's null, told apart from SQL's NULL: it is written as NULL, the other leaves the attribute out."""

    JSON_NULL = "null"


JSON_NULL: Final = JsonNull.JSON_NULL


class TypedSet(Struct, frozen=True):
    """A set that is not empty, its members unique as DynamoDB compares, in their first order."""

    kind: Literal["SS", "NS", "BS"]
    members: tuple[Any, ...]


#: What filters take and give. None inside of a list or map is JSON's null.
FilteredValue = (
    None | bool | int | float | Decimal | str | bytes | InvalidText | JsonNull | TypedSet | list[Any] | dict[str, Any]
)


def to_attribute_value(value: FilteredValue, hint: str = "") -> AttributeValue | None:
    """The value by what it is; None for NULL. Raises RowRejected where DynamoDB has no such value.

    A hint changes only what certainly is meant: 0 and 1 in a BOOLEAN column, an object or array in a JSON
    column, canonical decimal text in a NUMERIC or DECIMAL column. JSON that would lose data as a map (a name given
    twice, a number beyond 38 digits) stays the text it is; `|json` rejects it.

    >>> to_attribute_value(1), to_attribute_value(1, "bool"), to_attribute_value(2, "bool")
    ({'N': '1'}, {'BOOL': True}, {'N': '2'})
    >>> to_attribute_value("007", "number"), to_attribute_value("1.50", "number")
    ({'S': '007'}, {'N': '1.50'})
    """
    if value is None:
        return None
    hinted = _HINTS[hint](value) if hint else None
    return _convert(value, 0) if hinted is None else hinted


def to_text(value: FilteredValue, column: str | None = None) -> str:
    """The text form, as in templates and for text filters. A REAL is written so that it reads back as the same.

    >>> to_text(7), to_text(1.0), to_text(True), to_text(Decimal("1.50"))
    ('7', '1.0', 'true', '1.50')
    """
    to_form = _TEXTS.get(type(value))
    if to_form is None:
        raise RowRejected("not_text", f"a {_name(value)} has no text form", column)
    try:
        return to_form(value)
    except RowRejected as error:
        error.column = error.column or column
        raise


# ---- by value


def _convert(value: Any, depth: int) -> AttributeValue:
    """`depth` counts the lists and maps around the value."""
    converter = _CONVERTERS.get(type(value))
    if converter is None:
        raise RowRejected("unsupported_value", f"DynamoDB has no type for a {_name(value)}")
    return converter(value, depth)


def _text(value: str, depth: int) -> AttributeValue:
    if not value.isascii() and has_lone_surrogate(value):
        raise RowRejected("lone_surrogate", "the text holds half of a surrogate pair")
    return {"S": value}


def _list(value: list[Any], depth: int) -> AttributeValue:
    _check_depth(depth)
    return {"L": [_convert(member, depth + 1) for member in value]}


def _map(value: dict[Any, Any], depth: int) -> AttributeValue:
    _check_depth(depth)
    for name in value:
        if not isinstance(name, str):
            raise RowRejected("unsupported_value", f"a name in a map is a {_name(name)}, not text")
    return {"M": {name: _convert(member, depth + 1) for name, member in value.items()}}


def _set(value: TypedSet, depth: int) -> AttributeValue:
    member_type = value.kind[0]
    return {value.kind: [_convert(member, depth)[member_type] for member in value.members]}


def _check_depth(depth: int) -> None:
    if depth >= NESTING_LEVELS:
        raise RowRejected("nesting_too_deep", f"maps and lists nested deeper than {NESTING_LEVELS}")


def _refuse_invalid(value: InvalidText, *_: object) -> Any:
    raise RowRejected("invalid_utf8", f"the text is not UTF-8: x'{value[:20].hex()}'")


def _refuse_blob(value: bytes) -> str:
    raise RowRejected("blob_in_template", f"a BLOB of {len(value)} bytes is no text; filter it with hex or base64")


def _finite_repr(value: float) -> str:
    number_text(value)
    return repr(value)


def _name(value: object) -> str:
    return {"dict": "map", "JsonNull": "JSON null", "TypedSet": "set"}.get(type(value).__name__, type(value).__name__)


_CONVERTERS: Mapping[type, Callable[[Any, int], AttributeValue]] = {
    int: lambda value, depth: {"N": number_text(value)},
    float: lambda value, depth: {"N": number_text(value)},
    Decimal: lambda value, depth: {"N": number_text(value)},
    str: _text,
    bytes: lambda value, depth: {"B": value},
    InvalidText: _refuse_invalid,
    bool: lambda value, depth: {"BOOL": value},
    JsonNull: lambda value, depth: {"NULL": True},
    type(None): lambda value, depth: {"NULL": True},
    list: _list,
    dict: _map,
    TypedSet: _set,
}

_TEXTS: Mapping[type, Callable[[Any], str]] = {
    str: lambda value: str(value),
    int: lambda value: str(value),
    float: _finite_repr,
    Decimal: number_text,
    bool: lambda value: "true" if value else "false",
    bytes: _refuse_blob,
    InvalidText: _refuse_invalid,
}


# ---- hints: an attribute value, or None to go by the value


def _hint_bool(value: FilteredValue) -> AttributeValue | None:
    return {"BOOL": value == 1} if type(value) is int and value in (0, 1) else None


def _hint_json(value: FilteredValue) -> AttributeValue | None:
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return _convert(parse_json(value), 0)
    except RowRejected as error:
        if error.code == "nesting_too_deep":
            raise
        return None


def _hint_number(value: FilteredValue) -> AttributeValue | None:
    return {"N": number_text(value)} if isinstance(value, str) and is_canonical(value) else None


_HINTS: Mapping[str, Callable[[FilteredValue], AttributeValue | None]] = {
    "bool": _hint_bool,
    "json": _hint_json,
    "number": _hint_number,
}
