"""What is understood as a date, and as which instant."""

from __future__ import annotations

import math
import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import RowRejected
from migrator.mapping.dates import check_form, iso8601, to_date, to_instant, to_iso8601, to_milliseconds, to_seconds
from migrator.mapping.values import JSON_NULL
from migrator.source.text import InvalidText

# 2024-02-29T12:34:56Z
SECONDS = 1709210096


@pytest.mark.parametrize(
    "value",
    [
        "2024-02-29 12:34:56",
        "2024-02-29T12:34:56",
        "2024-02-29T12:34:56Z",
        "2024-02-29t12:34:56z",
        "2024-02-29 12:34:56.000",
        "2024-02-29T12:34:56+00:00",
        "2024-02-29T14:34:56+02:00",
        "2024-02-29T14:34:56+0200",
        "2024-02-29T07:04:56-05:30",
        "2024-02-29 12:34:56+00",
        "2024-02-29 12:34:56 UTC",
        "2024-02-29 12:34:56 +0000 UTC",
        "20240229T123456Z",
        " 2024-02-29 12:34:56\n",
        SECONDS,
        SECONDS * 1000,
        float(SECONDS),
        float(SECONDS * 1000),
        Decimal(SECONDS),
    ],
)
def test_one_instant_in_many_styles(value):
    assert to_instant(value) == SECONDS * 10**9


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (SECONDS, "s"),
        (SECONDS * 10**3, "ms"),
        (SECONDS * 10**6, "us"),
        (SECONDS * 10**9, "ns"),
        (str(SECONDS), "s"),
        (SECONDS - 978307200, "cocoa"),
        ((SECONDS + 11644473600) * 10**6, "webkit"),
        ("29/02/2024 12:34:56", "%d/%m/%Y %H:%M:%S"),
        ("29/02/2024 14:34:56 +0200", "%d/%m/%Y %H:%M:%S %z"),
        (20240229123456, "%Y%m%d%H%M%S"),
    ],
)
def test_a_unit_or_format_is_taken_at_its_word(value, form):
    assert to_instant(value, form) == SECONDS * 10**9


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "N/A",
        "0000-00-00",
        "0000-00-00 00:00:00",
        "2024-02-30",
        "2023-02-29",
        "2024-13-01",
        "2024-01-01 24:00:00",
        "2024-01-01 12:60",
        "2024-01-01T10",
        "2024-1-1",
        "24-01-01",
        "01/02/2024",
        "20240131",
        "1700000000",
        "12:34",
        "now",
        "٢٠٢٤-٠١-٠١",
        "2024-01-01T00:00:00+99:00",
        b"2024-01-01",
        True,
        [],
        JSON_NULL,
    ],
)
def test_what_is_not_certainly_a_date_is_rejected(value):
    assert code_of(value) == "not_a_date"


@pytest.mark.parametrize("value", [10**14, 2**63 - 1, 1e14, math.inf, -math.inf, math.nan, -0.5, Decimal("1e999999")])
def test_numbers_too_large_for_a_date_are_rejected(value):
    assert code_of(value) == "date_out_of_range"


def test_text_that_is_not_utf8_says_so():
    assert code_of(InvalidText(b"\xff")) == "invalid_utf8"


@pytest.mark.parametrize(
    ("value", "form"), [("x", "ms"), ("2024-01-01", "%d/%m/%Y"), ("", "s"), ("31/02/2024", "%d/%m/%Y")]
)
def test_what_does_not_fit_the_named_form_is_rejected(value, form):
    assert code_of(value, form) == "not_a_date"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(10**11 - 1, 10**11 - 1), (10**11, 10**8), (10**14 - 1, 99999999999), (-1, -1), (-(10**12), -(10**12)), (0, 0)],
)
def test_integers_are_seconds_below_1e11_and_milliseconds_below_1e14(value, seconds):
    assert to_seconds(to_instant(value)) == seconds


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        (2440587.5, "1970-01-01T00:00:00Z"),
        (2460370.024259259, "2024-02-29T12:34:56Z"),
        (2451544.5, "2000-01-01T00:00:00Z"),
        (1721425.5, "0001-01-01T00:00:00Z"),
        (1700000000.25, "2023-11-14T22:13:20.250000Z"),
        (1700000000.1, "2023-11-14T22:13:20.100000Z"),
        (1700000000123.5, "2023-11-14T22:13:20.123500Z"),
        ("2024-01-01 00:00:00.1", "2024-01-01T00:00:00.100000Z"),
        ("2024-01-01 00:00:00,123456789", "2024-01-01T00:00:00.123456Z"),
        ("2024-01-01 00:00:00.0000001", "2024-01-01T00:00:00Z"),
        ("2024-01-01", "2024-01-01T00:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ],
)
def test_iso8601_shows_the_fraction_only_if_there_is_one(value, iso):
    assert to_iso8601(to_instant(value)) == iso


def test_epoch_rounds_down_also_before_1970():
    instant = to_instant("1969-12-31 23:59:59.999")
    assert (to_seconds(instant), to_milliseconds(instant)) == (-1, -1)
    assert to_milliseconds(to_instant("1969-12-31 23:59:59.9999")) == -1


def test_a_date_is_the_day_in_utc():
    assert to_date(to_instant("2024-01-01T23:00:00-05:00")) == "2024-01-02"


@pytest.mark.parametrize("value", [0.0, -(10**11), 10**12 * 99])
def test_years_before_1_cannot_be_written(value):
    if value == 10**12 * 99:
        assert to_iso8601(to_instant(value)).startswith("5107")
        return
    with pytest.raises(RowRejected) as caught:
        to_iso8601(to_instant(value))
    assert caught.value.code == "date_out_of_range"


@pytest.mark.parametrize("text", ["1e-999999999", "0e99", "0"])
def test_tiny_and_zero_numbers_are_the_epoch_at_once(text):
    assert to_instant(text, "ms") == 0


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_a_datetime_survives_as_text(moment):
    instant = to_instant(str(moment))
    assert to_iso8601(instant) == moment.isoformat() + "Z"
    assert (
        instant == (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    )


@given(st.datetimes(), st.sampled_from(["T", " "]), st.sampled_from(["", "Z"]))
def test_the_short_way_for_usual_text_ends_where_the_long_one_does(moment, separator, zone):
    text = moment.replace(microsecond=0).isoformat(separator)
    # A fraction takes the long way.
    assert to_instant(f"{text}{zone}") == to_instant(f"{text}.0{zone}")
    assert iso8601(f"{text}{zone}") == to_iso8601(to_instant(f"{text}.0{zone}"))


@pytest.mark.parametrize(
    "text",
    [
        "2024-W01-1T12:34:56",
        "2024-01-31T24:00:00",
        "2024-01-31 12:34:60Z",
        "2024-01-31T12.34.56",
        "٢٠٢٤-01-31T12:34:56",
    ],
)
def test_what_python_alone_takes_for_a_date_is_none(text):
    assert code_of(text) == "not_a_date"
    with pytest.raises(RowRejected, match="not"):
        iso8601(text)


@given(st.floats(1721425.5, 5373484.4))
def test_a_julian_day_is_what_sqlite_makes_of_it(days):
    (expected,) = sqlite3.connect(":memory:").execute("SELECT strftime('%Y-%m-%dT%H:%M:%f', ?)", (days,)).fetchone()
    moment = to_iso8601(to_instant(days)).rstrip("Z")
    assert (moment if "." in moment else moment + ".000000")[:-3] == expected


@pytest.mark.parametrize(("form", "good"), [("us", True), ("%Y", True), ("%Q", False), ("%Y%", False), ("secs", False)])
def test_forms_are_checked_before_any_row_is_read(form, good):
    assert (check_form(form) is None) is good


def code_of(value, form=""):
    with pytest.raises(RowRejected) as caught:
        to_iso8601(to_instant(value, form))
    return caught.value.code
