"""The totals that are counted without a look at each number are what the numbers count one by one."""

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.mapping.canonical import number_size
from migrator.mapping.column_numbers import numbers, plain_numbers, together
from migrator.mapping.counts import Counts

INTEGERS = st.integers(-(2**63), 2**63 - 1)
#: With zeros where pairs of them do not count: before a point, behind it, at the end.
ROUND = st.builds(
    lambda whole, zeros: whole * 10**zeros, st.integers(-99_999, 99_999), st.integers(0, 12)
)  # within 64 bits
SMALL = st.builds(lambda digits, places: digits / 10**places, st.integers(-99_999, 99_999), st.integers(0, 12))
REALS = st.floats(-1e125, 1e125).filter(lambda real: real == 0 or abs(real) > 1e-129)


def surplus_of(wires: list[bytes]) -> list[int]:
    """How much longer than it counts each number is, between its quotes."""
    spelled = [wire.decode().removeprefix('{"N":"').rstrip('"') for wire in wires]
    return [len(text) - number_size(text) for text in spelled]


def by_row(surpluses: Sequence[Counts]) -> list[int]:
    return list(map(sum, zip(*(each.each() for each in surpluses), strict=True)))


@given(st.lists(INTEGERS | ROUND | SMALL | REALS, min_size=1))
def test_the_total_of_a_column_is_what_its_numbers_count(column: list[float]) -> None:
    found = numbers(column)
    counted = found.surplus_of(len(column))
    wires = found.joined(len(column))
    # Those that are spelled otherwise bring their quotes with them.
    expected = surplus_of(wires)
    assert counted.total() == sum(expected)
    assert list(counted.each()) == expected


@pytest.mark.parametrize(
    "column",
    [[0], [0, 0, 0], [100], [10_000, 100, 1_010], [-100, -1], [0.5], [-0.5], [0.001, -0.001], [0.00012], [5.001, 0.05]],
)
def test_zeros_that_do_not_count(column: list[float]) -> None:
    wires = numbers(column)
    assert wires.surplus_of(len(column)).total() == sum(surplus_of(wires.joined(len(column))))


@given(st.lists(st.lists(INTEGERS | SMALL, min_size=3, max_size=3), min_size=1, max_size=8))
def test_columns_together_count_what_they_count_apart(columns: list[list[float]]) -> None:
    apart = [surplus for column in columns for surplus in numbers(column).surpluses]
    joined = together(apart)
    assert sum(each.total() for each in joined) == sum(each.total() for each in apart)
    assert by_row(joined) == by_row(apart)


@pytest.mark.parametrize("text", ["1.50", "1.500", "1.5000", "-0.50", "100.0", "0.0"])
def test_numbers_of_a_document_may_have_zeros_at_their_end(text: str) -> None:
    assert plain_numbers(f"{text},7").surplus_of(2).total() == len(text) - number_size(text) - 1


def test_a_column_is_spelled_as_json_spells_it() -> None:
    column = [1, -20, 0.25, 1e15, 12345678901234567]
    spelled = [orjson.dumps(each).removesuffix(b".0") for each in column]
    assert numbers(column).joined(5) == [b'{"N":"%b"' % each for each in spelled]
