"""What values look like; a format is found only where its filter reads the value."""

from __future__ import annotations

import pytest

from migrator.advise.formats import FORMATS, format_of
from migrator.source.text import InvalidText, SqliteValue

EXAMPLES: list[tuple[SqliteValue, str | None]] = [
    ("2024-02-29", "iso_date"),
    ("2024-02-29 10:00", "iso_datetime"),
    ("2024-02-29T10:00:00.5+02:00", "iso_datetime"),
    ("20240229T100000Z", "iso_datetime"),
    ("123e4567-E89b-12d3-a456-426614174000", "uuid"),
    ('{"a": [1]}', "json"),
    (" []", "json"),
    ("ann.lee+x@mail.example.org", "email"),
    ("TRUE", "boolean_word"),
    ("no", "boolean_word"),
    ("12", "number_text"),
    ("-1.50e3", "number_text"),
    ("007", "padded_digits"),
    ("0", "number_text"),
    (2_460_000.25, "julian_day"),
    (1_700_000_000, "epoch_s"),
    (1_700_000_000.5, "epoch_s"),
    (1_700_000_000_000, "epoch_ms"),
    # and what only looks like it
    ("2024-02-30", None),
    ("0000-00-00", None),
    ("{not json}", None),
    ("ann@localhost", None),
    ("1,234.50", None),
    ("1-2", None),
    ("yesterday", None),
    ("٣", None),
    ("", None),
    (7, None),
    (2_460_000, None),
    (float("inf"), None),
    (b"2024-02-29", None),
    (InvalidText(b"\xff"), None),
    (None, None),
]


@pytest.mark.parametrize(("value", "name"), EXAMPLES, ids=repr)
def test_a_value_has_the_format_that_fits(value: SqliteValue, name: str | None) -> None:
    assert format_of(value) == name


def test_every_format_has_an_example() -> None:
    assert {name for _, name in EXAMPLES if name} == set(FORMATS)
