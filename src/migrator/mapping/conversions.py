"""What the filters for text, numbers, booleans and any value do to one value. `mapping.filters` names them all.

NULL never comes in here, except to `default`. A function refuses a value by RowRejected and never guesses:
what two readers could understand differently rejects the row.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from migrator.errors import RowRejected
from migrator.mapping.decimals import number_text, parse_number, shown
from migrator.mapping.values import FilteredValue, JsonNull, to_text
from migrator.source.text import InvalidText

Argument = str | int | float


# ---- text


def lower(value: FilteredValue) -> str:
    return to_text(value).lower()


def upper(value: FilteredValue) -> str:
    return to_text(value).upper()


def trim(value: FilteredValue) -> str:
    """Without white space at both ends, line ends and Unicode's spaces included (SQLite's trim knows only blanks)."""
    return to_text(value).strip()


def pad(value: FilteredValue, width: int) -> str:
    """Zeros in front up to `width`, so that text sorts as the numbers do.

    What would sort wrongly is rejected: a negative number, more digits than `width`, anything but digits.

    >>> pad(42, 5)
    '00042'
    """
    integral = isinstance(value, float) and value.is_integer()
    digits = number_text(value) if isinstance(value, float) and integral else to_text(value)
    if re.fullmatch(r"-[0-9]+", digits):
        raise RowRejected("pad_negative", f"{digits} is negative: zeros in front would sort it wrongly")
    if not (digits.isascii() and digits.isdecimal()):
        raise RowRejected("pad_not_digits", f"{shown(digits)} is not an integer")
    if len(digits) > width:
        raise RowRejected("pad_too_long", f"{shown(digits)} has more than {width} digits and would sort wrongly")
    return digits.zfill(width)


def prefix(value: FilteredValue, head: Argument) -> str:
    """With `head` in front, unless it is there.

    >>> prefix("USER#7", "USER#"), prefix(7, "USER#")
    ('USER#7', 'USER#7')
    """
    text, head = to_text(value), str(head)
    return text if text.startswith(head) else head + text


def split(value: FilteredValue, separator: str) -> list[Any]:
    """The pieces between separators, blanks kept. Empty text has none.

    >>> split("a,b", ","), split("", ",")
    (['a', 'b'], [])
    """
    text = to_text(value)
    return list(text.split(separator)) if text else []


# ---- numbers and booleans


def number(value: FilteredValue) -> FilteredValue:
    """Decimal text as an exact number; blanks around it are ignored. A boolean is 1 or 0."""
    match value:
        case str():
            exact = parse_number(value.strip())
        case bool():
            return int(value)
        case int() | float() | Decimal():
            return value
        case InvalidText():
            to_text(value)
            return None
        case _:
            raise RowRejected("not_a_number", f"{shown(value)} is not a number")
    number_text(exact)
    return exact


_BOOLEANS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "0.0", "-0.0", "false", "f", "no", "n", "off"), False),
}


def boolean(value: FilteredValue) -> bool:
    """0 and 1, and true/false, yes/no, t/f, y/n, on/off in any case; nothing else.

    >>> boolean("Yes"), boolean(0)
    (True, False)
    """
    if isinstance(value, str | int | float | Decimal | InvalidText):
        known = _BOOLEANS.get(to_text(value).strip().lower())
        if known is not None:
            return known
    raise RowRejected("not_a_boolean", f"{shown(value)} is neither true nor false")


# ---- any value


def storable(value: FilteredValue) -> FilteredValue:
    """What DynamoDB can hold as it is; else text that is not UTF-8 as its bytes, a number out of range as its text.

    >>> storable(b"x"), storable(1e300), storable(InvalidText(b"\\xff"))
    (b'x', '1e+300', b'\\xff')
    """
    if isinstance(value, InvalidText):
        return bytes(value)
    if isinstance(value, int | float | Decimal):
        try:
            number_text(value)
        except RowRejected:
            return repr(value) if isinstance(value, float) else str(value)
    return value


def token(value: FilteredValue) -> str:
    """Text for a part of a key: no two values that SQLite tells apart share it, and no # is in it.

    Text is itself with %25 for % and %23 for #. What is no text begins with another mark, so that 1, '1' and x'31'
    stay three; 1 and 1.0 are one number, as in an index of SQLite.

    >>> token("a#b"), token("1"), token(1), token(1.0), token(0.5), token(b"1"), token(InvalidText(b"\\xff"))
    ('a%23b', '1', '%n1', '%n1', '%n0.5', '%x31', '%uff')
    """
    match value:
        case InvalidText():
            return f"%u{value.hex()}"
        case bytes():
            return f"%x{value.hex()}"
        case float() if value.is_integer():
            return f"%n{int(value)}"
        case int() | float() | Decimal():
            return f"%n{value!s}"
        case _:
            return to_text(value).replace("%", "%25").replace("#", "%23")


# ---- NULL


def default(value: FilteredValue, otherwise: Argument) -> FilteredValue:
    """`otherwise` for NULL, JSON's null included."""
    return otherwise if value is None or isinstance(value, JsonNull) else value


def nullif(value: FilteredValue, *these: Argument) -> FilteredValue:
    """NULL for any of these values. As in SQL the number 0 is not the text "0".

    >>> nullif("N/A", "", "N/A") is None, nullif(0, "0")
    (True, 0)
    """
    return None if any(comparable(value) == comparable(this) for this in these) else value


def comparable(value: object) -> object:
    """A value so that == goes by what it says: 0.1 is the Decimal 0.1, a boolean is 0 or 1."""
    return Decimal(repr(value)) if isinstance(value, float) else value
