"""Distinct values counted in bounded memory: exactly while they are few, then within the stated error."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from migrator.source.profile_sketch import ERROR, DistinctSketch, K


def distinct(values: Iterable[float | bytes | str | None]) -> int | float:
    sketch = DistinctSketch()
    for value in values:
        sketch.step(value)
    return sketch.finalize()


@pytest.mark.parametrize("count", [0, 1, K - 1, K])
def test_few_values_are_counted(count: int) -> None:
    answer = distinct([*range(count), *range(count)])
    assert (answer, type(answer)) == (count, int)


def test_classes_stay_apart_and_equal_numbers_are_one() -> None:
    assert distinct([1, 1.0, 0.0, -0.0, b"1", "31", None]) == 4


@pytest.mark.parametrize("count", [K + 1, 3 * K, 200_000])
def test_many_values_are_estimated_within_the_error(count: int) -> None:
    answer = distinct(b"value %d" % n for n in range(count))
    assert isinstance(answer, float)
    # the hashes are always the same: a draw that lies outside of 95 of 100 would show as such, once
    assert answer == pytest.approx(count, rel=ERROR)


def test_the_order_of_values_does_not_matter() -> None:
    values = [b"%d" % n for n in range(30_000)]
    assert distinct(values) == distinct(reversed(values)) == distinct([*values, *values])


def test_long_values_are_not_kept() -> None:
    sketch = DistinctSketch()
    for n in range(50):
        sketch.step(b"%d" % n * 100_000)
    assert sum(len(value) for value in sketch._recent if isinstance(value, bytes)) == 0
    assert sketch.finalize() == 50
