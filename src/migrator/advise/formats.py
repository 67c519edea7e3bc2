"""What values look like: dates, identifiers, JSON, numbers in text.

A format is found only where the filter that reads it would take the value, so that what a profile calls a date
or JSON can be migrated as one. A value has one format, the first that fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from migrator.errors import RowRejected
from migrator.mapping.conversions import boolean
from migrator.mapping.dates import to_instant
from migrator.mapping.decimals import is_canonical
from migrator.mapping.jsontext import parse_json
from migrator.source.text import SqliteValue

#: name -> what it means, in the order in which they are tried
FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "iso_date": "ISO dates",
        "iso_datetime": "ISO date-times",
        "uuid": "UUIDs",
        "json": "JSON",
        "email": "email addresses",
        "boolean_word": "words for true and false",
        "number_text": "numbers as text",
        "padded_digits": "digits with zeros in front",
        "julian_day": "Julian days",
        "epoch_s": "seconds since 1970",
        "epoch_ms": "milliseconds since 1970",
    }
)

_LONGEST_WORD = 5
#: https://html.spec.whatwg.org/#valid-e-mail-address, with a dot in the domain
_EMAIL = r"(?P<email>[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)"
_UUID = r"(?P<uuid>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})"
_SHAPES = re.compile(
    rf"{_UUID}|(?P<date>\d{{4}}-\d\d-\d\d.*|\d{{8}}T.*)|(?P<json>\s*[{{\[].*)|(?P<number>-?\d[\d.eE+-]*)|{_EMAIL}",
    re.ASCII | re.DOTALL,
)
#: Numbers are taken for a time only from 1990 to 2050, as seconds and as days; smaller ones are plain numbers.
_SECONDS = (631_152_000, 2_524_608_000)
_DAYS = (2_447_892.5, 2_469_807.5)


def format_of(value: SqliteValue) -> str | None:
    """
    >>> [format_of(value) for value in ("2024-02-29", "2024-02-30", "007", "Yes", 1.7e9, 7)]
    ['iso_date', None, 'padded_digits', 'boolean_word', 'epoch_s', None]
    """
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, int | float):
        return _of_number(value)
    return None


def _of_text(text: str) -> str | None:
    match = _SHAPES.fullmatch(text)
    if match and match.lastgroup:
        return _CONFIRMED[match.lastgroup](text)
    return "boolean_word" if 0 < len(text) <= _LONGEST_WORD and _is_read(boolean, text) else None


def _of_number(number: float) -> str | None:
    if isinstance(number, float) and _DAYS[0] <= number < _DAYS[1] and not number.is_integer():
        return "julian_day"
    if _SECONDS[0] <= number < _SECONDS[1]:
        return "epoch_s"
    return "epoch_ms" if _SECONDS[0] * 1000 <= number < _SECONDS[1] * 1000 else None


def _date(text: str) -> str | None:
    if not _is_read(to_instant, text):
        return None
    return "iso_date" if len(text) == len("2024-02-29") else "iso_datetime"


def _number(text: str) -> str | None:
    if is_canonical(text):
        return "number_text"
    return "padded_digits" if text.isdecimal() else None


_CONFIRMED: Mapping[str, Callable[[str], str | None]] = {
    "uuid": lambda _: "uuid",
    "email": lambda _: "email",
    "date": _date,
    "json": lambda text: "json" if _is_read(parse_json, text) else None,
    "number": _number,
}


def _is_read(reader: Callable[[str], object], text: str) -> bool:
    try:
        reader(text)
    except RowRejected:
        return False
    return True
