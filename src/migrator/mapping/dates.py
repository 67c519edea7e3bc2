"""What an application meant by a date: ISO text, a Julian day, or seconds or milliseconds since 1970.

SQLite has no date type, and files hold all of these. An instant is an integer of nanoseconds since
1970-01-01T00:00:00Z, so that nothing drifts; what is not certainly a date is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from migrator.errors import RowRejected
from migrator.mapping.decimals import parse_number, shown
from migrator.mapping.values import FilteredValue, JsonNull, to_text
from migrator.source.text import InvalidText

_SECOND = 1_000_000_000
_MILLISECOND = 1_000_000
_MICROSECOND = 1_000
_DAY = 86_400 * _SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

# https://www.sqlite.org/lang_datefunc.html: Julian days up to 9999-12-31; date.c rounds them to milliseconds.
_JULIAN_DAYS_BELOW = 5_373_485
_JULIAN_EPOCH_MS = 210_866_760_000_000
_SECONDS_BELOW = 10**11
_MILLISECONDS_BELOW = 10**14
#: Decimal exponents beyond which a number is no instant: years in nanoseconds have 20 digits
_MAGNITUDE = 25

#: unit -> (nanoseconds in one, the unit's zero in seconds since 1970)
_UNITS: Mapping[str, tuple[int, int]] = {
    "s": (_SECOND, 0),
    "ms": (_MILLISECOND, 0),
    "us": (_MICROSECOND, 0),
    "ns": (1, 0),
    "cocoa": (_SECOND, 978_307_200),  # Apple's seconds since 2001
    "webkit": (_MICROSECOND, -11_644_473_600),  # Chrome's microseconds since 1601
}
UNITS = (*_UNITS, "julian")

_ZONE = r"(?:\s*(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)(?:\s+UTC)?)?"
_ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:(?:T|\s+)(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?" + _ZONE + ")?",
    re.ASCII | re.IGNORECASE,
)
_ISO_BASIC = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
    r"T(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?" + _ZONE,
    re.ASCII | re.IGNORECASE,
)


def to_instant(value: FilteredValue, form: str = "") -> int:
    """Nanoseconds since 1970 in UTC. `form` is a unit of UNITS, a strptime format, or "" to go by the value.

    By value: ISO text (naive is UTC), REAL below 5 373 485 as a Julian day, other numbers below 1e11 as seconds
    and below 1e14 as milliseconds (so a negative integer is seconds). Digits alone in text may be anything
    (`20240131`) and need a unit or format. Raises RowRejected: not_a_date, date_out_of_range, invalid_utf8.

    >>> to_instant("1970-01-01 00:00:01.5"), to_instant(1), to_instant(2440587.5), to_instant("1500", "ms")
    (1500000000, 1000000000, 0, 1500000000)
    """
    if isinstance(value, bool | list | dict | JsonNull) or (
        isinstance(value, bytes) and not isinstance(value, InvalidText)
    ):
        raise RowRejected("not_a_date", f"{shown(value)} is not a date")
    if form in UNITS:
        return _from_unit(_to_number(value), form)
    if form:
        return _from_format(to_text(value), form)
    if isinstance(value, int | float | Decimal):
        return _from_number(value)
    return _from_iso(to_text(value))


def check_form(form: str) -> str | None:
    """What is wrong with a unit or format, or None.

    >>> check_form("ms"), check_form("%d/%m/%Y"), check_form("sec")
    (None, None, "'sec' is no unit (s, ms, us, ns, cocoa, webkit, julian) and no format such as '%d/%m/%Y'")
    """
    if form in UNITS:
        return None
    if "%" not in form:
        return f"{form!r} is no unit ({', '.join(UNITS)}) and no format such as '%d/%m/%Y'"
    try:
        datetime.strptime("", form)
    except ValueError as error:
        # The empty text fits no format, so a good one fails too, with other words.
        return str(error) if "bad directive" in str(error) or "stray" in str(error) else None
    return None


def iso8601(value: FilteredValue, form: str = "") -> str:
    """The filter `iso8601`: as `to_instant` and `to_iso8601` say, with a short way for what is ISO text already."""
    moment = _usual_moment(value) if type(value) is str and not form else None
    return f"{moment.isoformat()}Z" if moment else to_iso8601(to_instant(value, form))


def to_seconds(instant: int) -> int:
    """Rounded down, also before 1970.

    >>> to_seconds(-1)
    -1
    """
    return instant // _SECOND


def to_milliseconds(instant: int) -> int:
    return instant // _MILLISECOND


def to_iso8601(instant: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS[.ffffff]Z`; digits beyond the microsecond are cut off.

    >>> to_iso8601(1_500_000_000), to_iso8601(0)
    ('1970-01-01T00:00:01.500000Z', '1970-01-01T00:00:00Z')
    """
    return f"{_to_datetime(instant).isoformat()}Z"


def to_date(instant: int) -> str:
    """The day in UTC.

    >>> to_date(0)
    '1970-01-01'
    """
    return _to_datetime(instant).date().isoformat()


def _to_datetime(instant: int) -> datetime:
    """In UTC, and naive."""
    try:
        return _NAIVE_EPOCH + timedelta(microseconds=instant // _MICROSECOND)
    except OverflowError as error:
        raise RowRejected("date_out_of_range", "the date lies outside of the years 1 to 9999") from error


def _to_number(value: FilteredValue) -> int | Decimal:
    try:
        number = _exact(value) if isinstance(value, int | float | Decimal) else parse_number(to_text(value).strip())
    except RowRejected as error:
        raise RowRejected("not_a_date", f"{shown(value)} is not a number of the unit that is named") from error
    if not number.is_finite() or (number and number.adjusted() > _MAGNITUDE):
        raise RowRejected("date_out_of_range", f"{shown(value)} is too large for a date")
    # Exact arithmetic on 1E-999999999 would take a number of as many digits.
    return number if number and number.adjusted() > -_MAGNITUDE else 0


def _exact(number: int | float | Decimal) -> Decimal:
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def _from_unit(number: int | Decimal, unit: str) -> int:
    if unit == "julian":
        return _from_julian(float(number))
    scale, zero_s = _UNITS[unit]
    return _scaled(number, scale) + zero_s * _SECOND


def _from_number(value: int | float | Decimal) -> int:
    number = value if isinstance(value, int) else _to_number(value)
    if not isinstance(value, int) and number < _JULIAN_DAYS_BELOW:
        return _from_julian(float(number))
    if number < _SECONDS_BELOW:
        return _scaled(number, _SECOND)
    if number < _MILLISECONDS_BELOW:
        return _scaled(number, _MILLISECOND)
    raise RowRejected(
        "date_out_of_range", f'{value} is too large for seconds or milliseconds; name the unit, as in iso8601("us")'
    )


def _scaled(number: int | Decimal, scale: int) -> int:
    """Nanoseconds, rounded down, in integers all the way."""
    if isinstance(number, int):
        return number * scale
    numerator, denominator = number.as_integer_ratio()
    return numerator * scale // denominator


def _from_julian(days: float) -> int:
    if not 0 <= days < _JULIAN_DAYS_BELOW:
        raise RowRejected("date_out_of_range", f"{days!r} is not a Julian day that SQLite knows")
    # As setRawDateNumber() in SQLite's date.c does it, float product included, so that both agree.
    return (int(days * 86_400_000.0 + 0.5) - _JULIAN_EPOCH_MS) * _MILLISECOND


def _from_format(text: str, form: str) -> int:
    try:
        moment = datetime.strptime(text.strip(), form)
    except ValueError as error:
        raise RowRejected("not_a_date", f"{shown(text)} is not of the form {form}") from error
    elapsed = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * _SECOND + elapsed.microseconds * _MICROSECOND


def _from_iso(text: str) -> int:
    if moment := _usual_moment(text):
        elapsed = moment - _NAIVE_EPOCH
        return (elapsed.days * 86_400 + elapsed.seconds) * _SECOND
    stripped = text.strip()
    match = _ISO.fullmatch(stripped) or _ISO_BASIC.fullmatch(stripped)
    if match is None:
        raise RowRejected("not_a_date", f"{shown(text)} is not an ISO date")
    try:
        return _from_parts(match.groupdict())
    except ValueError as error:
        raise RowRejected("not_a_date", f"{shown(text)} is not a date: {error}") from error


def _usual_moment(text: str) -> datetime | None:
    """A moment as most files write it, `2024-01-31 12:34:56` or `2024-01-31T12:34:56Z`, without the patterns' cost."""
    if len(text) in (19, 20) and text[10] in "T " and text[19:] in ("", "Z"):
        plain = f"{text[:10]}T{text[11:19]}"
        try:
            moment = datetime.fromisoformat(plain)
        except ValueError:
            return None
        # fromisoformat() knows more forms than this one.
        return moment if moment.isoformat() == plain else None
    return None


def _from_parts(parts: dict[str, Any]) -> int:
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    moment = datetime(int(parts["year"]), int(parts["month"]), int(parts["day"]), hour, minute, second)
    days = moment.toordinal() - _EPOCH_ORDINAL
    fraction = int(((parts["fraction"] or "") + "0" * 9)[:9])
    return days * _DAY + (hour * 3600 + minute * 60 + second - _offset_s(parts["zone"])) * _SECOND + fraction


def _offset_s(zone: str | None) -> int:
    if zone is None or zone[0] not in "+-":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError(f"no place has the time zone {zone}")
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def _through_instant(convert: Callable[[int], int | str], value: FilteredValue, form: str = "") -> FilteredValue:
    return convert(to_instant(value, form))


#: filter -> what it makes of a value, by a unit or format
DATE_FILTERS: Mapping[str, Callable[..., FilteredValue]] = {
    "epoch": partial(_through_instant, to_seconds),
    "epoch_ms": partial(_through_instant, to_milliseconds),
    "iso8601": iso8601,
    "date": partial(_through_instant, to_date),
}
