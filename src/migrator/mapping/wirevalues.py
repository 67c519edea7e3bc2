"""What generated encoders call for the values that they do not write out themselves.

A value on the wire is longer than DynamoDB counts it: quotes, base64, escapes, numbers as text. Encoders take an
item's size from the length of its bytes, so each value says how many of its bytes do not count: its surplus,
measured against that of a text, which is its two quotes.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from typing import Any

import orjson

from migrator.errors import RowRejected
from migrator.limits import NESTING_LEVELS
from migrator.mapping.canonical import number_size, value_size
from migrator.mapping.decimals import number_text
from migrator.mapping.jsontext import parse_json
from migrator.mapping.model import AttributeValue
from migrator.mapping.templates import is_null
from migrator.mapping.validate import check_value
from migrator.mapping.values import FilteredValue, to_attribute_value, to_text
from migrator.mapping.wirejson import to_wire


class Odd(Exception):
    """A row that generated code leaves to the plain renderer, which says what is wrong with it, if anything."""


#: (type of the attribute value, its value on the wire, its surplus)
WireValue = tuple[str, bytes, int]

# Every value is preceded by what closes the one before it. DynamoDB counts one byte for each member of a map or list,
# and three for the whole.
ATTRIBUTE_SURPLUS = len('},"":{"S":""')
ENTRY_SURPLUS = ATTRIBUTE_SURPLUS - 1
MEMBER_SURPLUS = len('},{"S":""') - 1
FILLED_SURPLUS = len("{}}") - len("},") - 3 - 2
EMPTY_SURPLUS = len("{}") - 3 - 2
# Against a text: the letters that their type has more, and those of the value beyond the byte that it counts for.
TRUE_SURPLUS = len("NULL") - 1 + len("true") - 1 - 2
FALSE_SURPLUS = len("BOOL") - 1 + len("false") - 1 - 2

#: Names that are surely short enough; of others the plain renderer decides.
NAME_CHARACTERS_MAX = 1024

#: What precedes a value of each type
OPENINGS: Mapping[str, bytes] = {
    kind: b'{"%b":' % kind.encode() for kind in ("S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS")
}

_DIGITS = 20  #: of 64 bits or of a REAL, and more
USUAL_INTEGERS_BELOW = 10 ** (_DIGITS - 1)

# The surplus of the numbers that are common needs no look at their digits. Of integers, by how many digits they have
# and how many of these are left without the zeros at the end; of REALs, by their digits before and behind the point;
# of those nearer to zero than one, by the zeros behind the point and the digits after these.
# A minus is one byte both on the wire and in the count.
INTEGER_SURPLUS: tuple[tuple[int, ...], ...] = tuple(
    tuple(digits - number_size("1" * left + "0" * (digits - left) or "0") for left in range(digits + 1))
    for digits in range(_DIGITS + 1)
)
_REAL_SURPLUS: tuple[tuple[int, ...], ...] = tuple(
    tuple(whole + 1 + fraction - number_size(f"{'1' * whole}.{'1' * fraction}0") for fraction in range(_DIGITS + 1))
    for whole in range(_DIGITS + 1)
)
_SMALL_REAL_SURPLUS: tuple[tuple[int, ...], ...] = tuple(
    tuple(2 + zeros + digits - number_size(f"0.{'0' * zeros}{'1' * digits}0") for digits in range(_DIGITS + 1))
    for zeros in range(_DIGITS + 1)
)

#: Without these, every backslash begins an escape of two bytes for one.
_UNUSUAL_ESCAPE = re.compile(rb"\\[u\\]")


def escapes(wire: bytes) -> int:
    r"""How many bytes JSON's escapes add to the text that they stand for.

    >>> escapes(rb'"a\nb"'), escapes(rb'"\\\\"'), escapes(rb'"\u0001"')
    (1, 2, 5)
    """
    if _UNUSUAL_ESCAPE.search(wire) is None:
        return wire.count(b"\\")
    single = wire.replace(rb"\\", b"")
    return (len(wire) - len(single)) // 2 + single.count(b"\\") + 4 * single.count(rb"\u")


def surplus(kind: str, wire: bytes, size_bytes: int) -> int:
    """Of a value of this type, which on the wire has this form and counts for so many bytes."""
    # Of text, only the two quotes are too much, and its type has one letter.
    return len(wire) - escapes(wire) - size_bytes - 2 + len(kind) - 1


def number(value: int | float | Decimal | str) -> tuple[bytes, int]:
    """A number on the wire, and its surplus. Raises RowRejected."""
    text = number_text(value)
    return b'"%b"' % text.encode(), len(text) - number_size(text)


def real(value: float) -> tuple[bytes, int]:
    """The same for a REAL. Both orjson and repr() give as few digits as tell the number."""
    text = orjson.dumps(value)
    whole, _, fraction = text.partition(b".")
    if not fraction.isdigit():  # an exponent, or no number at all
        return number(value)
    minus = value < 0
    if fraction == b"0":
        if not value:
            return b'"0"', 0
        return b'"%b"' % whole, INTEGER_SURPLUS[len(whole) - minus][len(whole.rstrip(b"0")) - minus]
    if -1 < value < 1:
        digits = len(fraction.lstrip(b"0"))
        return b'"%b"' % text, _SMALL_REAL_SURPLUS[len(fraction) - digits][digits]
    return b'"%b"' % text, _REAL_SURPLUS[len(whole) - minus][len(fraction)]


def _integer(value: int) -> tuple[bytes, int]:
    if not 0 <= value < USUAL_INTEGERS_BELOW:
        return number(value)
    text = b"%d" % value
    return b'"%b"' % text, INTEGER_SURPLUS[len(text)][len(text.rstrip(b"0"))]


def number_key(text: str) -> tuple[bytes, int, Hashable]:
    """A number key on the wire, its surplus, and what it compares by."""
    wire, more = number(text)
    return wire, more, Decimal(text)


def binary(value: bytes) -> tuple[bytes, int]:
    encoded = b2a_base64(value, newline=False)
    return b'"%b"' % encoded, len(encoded) - len(value)


def text_of(value: FilteredValue) -> str | None:
    """A placeholder's text, None for NULL and JSON's null. Raises RowRejected."""
    return None if is_null(value) else to_text(value)


def bytes_of(value: FilteredValue) -> bytes | None:
    """The same in UTF-8, for a key that is binary."""
    text = text_of(value)
    return None if text is None else text.encode()


def any_value(value: FilteredValue, hint: str, name: str, depth: int) -> WireValue:
    """Any value but NULL. `depth` counts the maps and lists around it. Raises RowRejected."""
    try:
        return _document(parse_json(value) if hint == "json" and isinstance(value, str) else value, depth)
    except (RowRejected, Odd):
        # It may be text by the hint, or a value that no JSON has: the plain way knows.
        attribute = to_attribute_value(value, hint)
    assert attribute is not None
    check_value(attribute, name, depth)
    return wire_value(attribute)


# ---- documents: what JSON holds, in one walk

#: Appends a value to the bytes of a document and gives its surplus; `depth` counts the maps and lists around it.
_Write = Callable[[Any, int, list[bytes]], int]


def _document(value: Any, depth: int) -> WireValue:
    """None is JSON's null. Raises Odd for what JSON cannot hold, and for what an item may not."""
    parts: list[bytes] = []
    kind, write = _form(value)
    surplus = write(value, depth, parts)
    return kind, b"".join(parts), surplus


def _form(value: Any) -> tuple[str, _Write]:
    form = _DOCUMENTS.get(type(value))
    if form is None:
        raise Odd
    return form


def _write_list(members: list[Any], depth: int, parts: list[bytes]) -> int:
    if depth >= NESTING_LEVELS:
        raise Odd
    surplus, before = FILLED_SURPLUS if members else EMPTY_SURPLUS, b"["
    for member in members:
        kind, write = _form(member)
        parts += (before, OPENINGS[kind])
        surplus += MEMBER_SURPLUS + write(member, depth + 1, parts)
        before = b"},"
    parts.append(b"}]" if members else b"[]")
    return surplus


def _write_map(members: dict[Any, Any], depth: int, parts: list[bytes]) -> int:
    if depth >= NESTING_LEVELS:
        raise Odd
    surplus, before = FILLED_SURPLUS if members else EMPTY_SURPLUS, b"{"
    for name, member in members.items():
        if type(name) is not str or not 0 < len(name) <= NAME_CHARACTERS_MAX:
            raise Odd
        kind, write = _form(member)
        parts += (before, orjson.dumps(name), b":", OPENINGS[kind])
        surplus += ENTRY_SURPLUS + write(member, depth + 1, parts)
        before = b"},"
    parts.append(b"}}" if members else b"{}")
    return surplus


def _write_text(value: str, _: int, parts: list[bytes]) -> int:
    parts.append(orjson.dumps(value))
    return 0


def _number_writer(convert: Callable[[Any], tuple[bytes, int]]) -> _Write:
    def write(value: Any, _: int, parts: list[bytes]) -> int:
        wire, surplus = convert(value)
        parts.append(wire)
        return surplus

    return write


def _write_boolean(value: bool | None, _: int, parts: list[bytes]) -> int:
    """And null, which stands as true."""
    parts.append(b"false" if value is False else b"true")
    return FALSE_SURPLUS if value is False else TRUE_SURPLUS


_DOCUMENTS: Mapping[type, tuple[str, _Write]] = {
    str: ("S", _write_text),
    int: ("N", _number_writer(_integer)),
    float: ("N", _number_writer(real)),
    Decimal: ("N", _number_writer(number)),
    bool: ("BOOL", _write_boolean),
    type(None): ("NULL", _write_boolean),
    list: ("L", _write_list),
    dict: ("M", _write_map),
}


def wire_value(attribute: AttributeValue) -> WireValue:
    ((kind, content),) = attribute.items()
    wire = to_wire(content)
    return kind, wire, surplus(kind, wire, value_size(attribute))
