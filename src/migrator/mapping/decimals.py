"""Numbers as DynamoDB holds them: exact decimals of 38 digits, spelled in one way.

Engines disagree on odd spellings (`+5`, `1_000`, `007`) and on what is too large, so both are settled here.
No float arithmetic: a REAL goes in by its shortest round-trip form.
"""

from __future__ import annotations

import re
from decimal import Decimal

from migrator.errors import RowRejected
from migrator.limits import NUMBER_DIGITS, NUMBER_MAGNITUDE_MAX, NUMBER_MAGNITUDE_MIN

Number = int | float | Decimal

# ASCII on purpose: \d takes digits of every script, and engines do not.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
_CANONICAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,9})?")
#: What is its own normal spelling, and nearly always there
is_normal = re.compile(r"(?:-?[1-9][0-9]{0,36}|-?0(?=\.)|0)(?:\.[0-9]{0,15}[1-9])?").fullmatch
_EXACT_INTEGER = 10**NUMBER_DIGITS
#: Adjusted exponents between which a number is spelled without an E
_PLAIN_FROM, _PLAIN_BELOW = -20, NUMBER_DIGITS
_SHOWN_CHARACTERS = 40


def number_text(value: Number | str) -> str:
    """The text of an N, or RowRejected. Text keeps its digits.

    >>> number_text(9007199254740993), number_text(0.1), number_text(1.0), number_text("1.50"), number_text("007")
    ('9007199254740993', '0.1', '1', '1.50', '7')
    """
    if isinstance(value, int):
        # int() for BOOLEAN's sake: str(True) is no number.
        return str(int(value)) if -_EXACT_INTEGER < value < _EXACT_INTEGER else _spell(_fitted(Decimal(value)))
    if isinstance(value, float):
        return _float_text(value)
    return _spell(_fitted(parse_number(value) if isinstance(value, str) else value))


def parse_number(text: str) -> Decimal:
    """Decimal text, exactly. Raises RowRejected for anything else, `1,234.50` and `0x10` included.

    >>> parse_number("-1.50")
    Decimal('-1.50')
    """
    if not _NUMBER.fullmatch(text):
        raise RowRejected("not_a_number", f"{shown(text)} is not a number")
    return Decimal(text)


def is_canonical(text: str) -> bool:
    """Text that means a number and nothing else: `007` and `+5` may be codes, and stay text.

    >>> is_canonical("1.50"), is_canonical("007")
    (True, False)
    """
    return _CANONICAL.fullmatch(text) is not None


def normal_number(text: str) -> str:
    """One text for all spellings of a number: equal as DynamoDB compares, equal as text.

    >>> normal_number("1.50") == normal_number("15E-1"), normal_number("-0.0")
    (True, '0')
    """
    return text if is_normal(text) else _spell(_stripped(Decimal(text)))


def shown(value: object) -> str:
    """A value as messages quote it, cut where it is long.

    >>> shown("N/A")
    "'N/A'"
    """
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _float_text(value: float) -> str:
    text = repr(value)
    # Without an exponent repr() spells at most 17 digits of a moderate number, which needs no checks.
    if "e" in text or "n" in text:
        return _spell(_fitted(Decimal(text)))
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text


def _fitted(number: Decimal) -> Decimal:
    """The number itself, or RowRejected where DynamoDB cannot hold it."""
    if not number.is_finite():
        raise RowRejected("number_not_finite", f"{number} is not a number that DynamoDB can hold")
    if len(number.as_tuple().digits) > NUMBER_DIGITS:
        number = _stripped(number)
        if len(number.as_tuple().digits) > NUMBER_DIGITS:
            raise RowRejected("number_too_precise", f"{shown(str(number))} has more than 38 significant digits")
    magnitude = number.copy_abs()
    if magnitude and not NUMBER_MAGNITUDE_MIN <= magnitude <= NUMBER_MAGNITUDE_MAX:
        raise RowRejected("number_out_of_range", f"{number:E} is beyond DynamoDB's numbers (1E-130 to 9.99E+125)")
    return number


def _stripped(number: Decimal) -> Decimal:
    """Without zeros at the end. Decimal.normalize() would round to its context."""
    sign, digits, exponent = number.as_tuple()
    if not number or not isinstance(exponent, int):
        return number
    kept = "".join(map(str, digits)).rstrip("0")
    return Decimal((sign, tuple(map(int, kept)), exponent + len(digits) - len(kept)))


def _spell(number: Decimal) -> str:
    if not number:
        return "0"
    plain = _PLAIN_FROM <= number.adjusted() < _PLAIN_BELOW
    return format(number, "f") if plain else format(number, "E")
