from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from migrator.run.sums import draw_point, joined, sums_of

#: Few of them, so that two lists are often equal but for their order.
DIGESTS = st.lists(st.sampled_from([bytes(16), b"\xff" * 16, bytes(15) + b"\x01", bytes(range(16))]), max_size=5)


@given(DIGESTS, DIGESTS)
def test_sums_are_equal_exactly_where_the_items_are_in_any_order(some: list[bytes], others: list[bytes]) -> None:
    point = draw_point()
    assert (sums_of(some, point) == sums_of(others, point)) == (Counter(some) == Counter(others))


@given(st.lists(DIGESTS))
def test_the_sum_of_parts_is_that_of_all(parts: list[list[bytes]]) -> None:
    point = draw_point()
    assert joined(sums_of(part, point) for part in parts) == sums_of([d for part in parts for d in part], point)


def test_each_point_gives_another_sum() -> None:
    assert len({tuple(sums_of([b"a" * 16], draw_point())) for _ in range(100)}) == 100
