from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.run.actual import ActualStore
from migrator.run.comparison import Comparison, compare, compare_sample, iter_sampled_keys, take_sample
from migrator.run.digests import DigestStore
from migrator.run.records import ItemRecord, Records

NOW_S = 1_000.0
#: Keys that fit no entity
FOREIGN = ("theirs",)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DigestStore]:
    with DigestStore(tmp_path / "verify.sqlite") as opened:
        yield opened


def record(row: int, key: str, content: bytes = b"x", *, entity: int = 1, expires: int | None = None) -> ItemRecord:
    return ItemRecord(entity, 0, row, 0, 0, key, content, expires, (row,))


def compared(
    store: DigestStore,
    expected: list[ItemRecord],
    found: list[tuple[str, bytes]],
    selected: tuple[int, ...] = (1,),
) -> Comparison:
    store.add(Records(expected))
    actual = ActualStore(store)
    actual.add(0, found)
    return compare(store, actual, selected, NOW_S, lambda table, key: None if key in FOREIGN else selected[0])


def test_equal_sides_have_no_difference(store: DigestStore) -> None:
    result = compared(store, [record(0, "a"), record(1, "b")], [("b", b"x"), ("a", b"x")])
    assert result.counts() == {}
    assert result.foreign == 0


def test_each_kind_of_difference_is_told_from_the_others(store: DigestStore) -> None:
    expected = [record(0, "same"), record(1, "gone"), record(2, "changed"), record(3, "past", expires=999)]
    found = [("same", b"x"), ("changed", b"y"), ("more", b"x"), ("theirs", b"x")]
    result = compared(store, expected, found)
    assert result.counts() == {1: {"missing": 1, "different": 1, "extra": 1, "expired": 1}}
    assert result.foreign == 1
    assert [(d.key, d.segment, d.row) for d in result.iter_differences("different")] == [("changed", 0, 2)]
    assert [(d.key, d.segment, d.row) for d in result.iter_differences("extra")] == [("more", None, None)]


def test_an_item_that_expires_this_second_is_expired_and_a_second_later_missing(store: DigestStore) -> None:
    result = compared(store, [record(0, "a", expires=1_000), record(1, "b", expires=1_001)], [])
    assert result.counts() == {1: {"expired": 1, "missing": 1}}


def test_an_item_past_its_time_that_is_still_there_counts_as_found(store: DigestStore) -> None:
    assert compared(store, [record(0, "a", expires=5)], [("a", b"x")]).counts() == {}


def test_a_time_to_live_beyond_64_bits_is_never_reached(store: DigestStore) -> None:
    assert compared(store, [record(0, "a", expires=10**30)], []).counts() == {1: {"missing": 1}}


def test_an_item_of_an_entity_that_is_not_selected_is_neither_missing_nor_extra(store: DigestStore) -> None:
    expected = [record(0, "a", entity=2), record(1, "b", entity=2)]
    result = compared(store, expected, [("a", b"x")])
    assert result.counts() == {}
    assert result.foreign == 0


def test_one_key_in_two_tables_is_compared_a_table_at_a_time(store: DigestStore) -> None:
    store.add(Records([record(0, "a")]))
    actual = ActualStore(store)
    actual.add(1, [("a", b"x")])
    assert compare(store, actual, (1,), NOW_S, lambda table, key: 1).counts() == {1: {"missing": 1, "extra": 1}}


def test_a_sample_is_compared_without_the_rest(store: DigestStore) -> None:
    store.add(Records(record(row, f"k{row}") for row in range(100)))
    store.add(Records([record(100, "only", entity=2)]))
    assert take_sample(store, (1, 2), 10) == {1: 10, 2: 1}
    keys = [key for _, key in iter_sampled_keys(store)]
    assert len(set(keys)) == 11
    actual = ActualStore(store)
    actual.add(0, [(key, b"x") for key in keys[1:]])
    result = compare_sample(store, actual, (1, 2), NOW_S)
    assert [d.key for d in result.iter_differences("missing")] == [keys[0]]
    assert result.foreign is None
