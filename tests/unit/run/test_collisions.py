from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import StoppedError
from migrator.mapping.model import KeyAttribute, TableDefinition
from migrator.run.collisions import Loser, find_losers
from migrator.run.digests import DigestStore
from migrator.run.records import ItemRecord, Labels, Records
from migrator.source.text import InvalidText, SqliteValue

TABLE = TableDefinition("t", KeyAttribute("PK"), KeyAttribute("SK"))
LABELS = Labels({0: "items", 1: "User", 2: "Order"}, {1: ("id",), 2: ("id",)}, {0: TABLE})


def key(text: str) -> str:
    return json.dumps([["S", text], ["S", "x"]])


def record(
    entity: int,
    source_key: tuple[SqliteValue, ...],
    row: int,
    text: str,
    content: str,
    *,
    segment: int = 0,
    item: int = 0,
    table: int = 0,
) -> ItemRecord:
    return ItemRecord(entity, segment, row, item, table, key(text), content.encode(), None, source_key)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DigestStore]:
    with DigestStore(tmp_path / "proof.sqlite") as opened:
        yield opened


def losers_of(store: DigestStore, records: list[ItemRecord]) -> dict[tuple[int, int, int], Loser]:
    store.add(Records(records))
    losers = find_losers(store, LABELS)
    places = {(r.entity, r.segment) for r in records}
    return {(*place, row): loser for place in places for row, loser in losers.of_segment(*place).items()}


def test_the_first_row_by_source_key_keeps_the_key_whatever_order_segments_come_in(store: DigestStore) -> None:
    late = record(1, (9,), 0, "a", "late", segment=1)
    early = record(1, (3,), 5, "a", "early", segment=0)
    found = losers_of(store, [late, early])
    assert found == {
        (1, 1, 0): Loser(
            ("duplicate_key", 'PK "a", SK "x" is already given, with other attributes, by User (id: 3)', None)
        )
    }


def test_an_earlier_entity_goes_before_a_smaller_source_key(store: DigestStore) -> None:
    assert set(losers_of(store, [record(2, (1,), 0, "a", "o"), record(1, (5,), 0, "a", "u")])) == {(2, 0, 0)}


def test_a_fixed_item_goes_first_and_is_named(store: DigestStore) -> None:
    found = losers_of(store, [record(1, (1,), 0, "a", "u"), record(0, (), 0, "a", "fixed")])
    (loser,) = found.values()
    assert loser.reject is not None
    assert loser.reject[1].endswith("by a fixed item")


def test_an_equal_item_is_skipped_and_its_row_kept(store: DigestStore) -> None:
    records = [
        record(1, (1,), 0, "a", "same"),
        record(1, (2,), 1, "b", "own"),
        record(1, (2,), 1, "a", "same", item=1),
    ]
    assert losers_of(store, records) == {(1, 0, 1): Loser(skipped=frozenset({1}))}


def test_a_rejected_row_holds_no_key(store: DigestStore) -> None:
    records = [
        record(1, (1,), 0, "a", "first"),
        record(1, (2,), 1, "b", "of the rejected row"),
        record(1, (2,), 1, "a", "other", item=1),
        record(1, (3,), 2, "b", "free after all"),
    ]
    assert set(losers_of(store, records)) == {(1, 0, 1)}


def test_two_unequal_items_of_one_row_reject_it_and_say_so(store: DigestStore) -> None:
    records = [record(1, (1,), 0, "a", "one"), record(1, (1,), 0, "a", "two", item=1)]
    (loser,) = losers_of(store, records).values()
    assert loser.reject is not None
    assert loser.reject[1].endswith("by another item of this row")


def test_one_key_in_two_tables_is_no_collision(store: DigestStore) -> None:
    assert losers_of(store, [record(1, (1,), 0, "a", "x"), record(1, (2,), 1, "a", "y", table=1)]) == {}


def test_source_keys_are_ordered_as_sqlite_orders_them(store: DigestStore) -> None:
    """NULL, numbers, text, BLOB; text that is not UTF-8 is text. datatype3.html, "Sort Order"."""
    ordered: list[SqliteValue] = [None, -1, 1.5, 2, "10", "9", InvalidText(b"\xff"), b"\x00", b"\xff"]
    records = [record(1, (value,), row, "a", str(row)) for row, value in reversed(list(enumerate(ordered)))]
    assert set(losers_of(store, records)) == {(1, 0, row) for row in range(1, len(ordered))}


def test_a_null_at_the_end_of_a_key_is_named(store: DigestStore) -> None:
    store.add(Records([record(1, (1, None), 0, "a", "x"), record(2, (1, 2, 3), 0, "a", "y")]))
    (loser,) = find_losers(store).of_segment(2, 0).values()
    assert loser.reject is not None
    assert loser.reject[1].endswith("by entity 1 (1, NULL)")


def test_removing_losers_leaves_each_key_once(store: DigestStore) -> None:
    store.add(
        Records(
            [
                record(1, (1,), 0, "a", "same"),
                record(1, (2,), 1, "a", "other"),
                record(1, (2,), 1, "b", "goes with its row", item=1),
                record(1, (3,), 2, "a", "same"),
            ]
        )
    )
    losers = find_losers(store)
    assert losers.counts() == (1, 1)
    losers.remove_from_store()
    assert store.counts() == {1: 1}


def test_the_scratch_file_is_removed_when_closed(tmp_path: Path) -> None:
    path = tmp_path / "proof.sqlite"
    with DigestStore(path):
        assert path.exists()
    assert not path.exists()


def test_a_disk_that_is_full_stops_the_run_and_names_the_file(store: DigestStore) -> None:
    store.connection.execute("PRAGMA max_page_count = 8")
    with pytest.raises(StoppedError, match=r"proof\.sqlite") as caught:
        store.add(Records(record(1, (row,), row, "a" * 500 + str(row), "x") for row in range(1000)))
    assert caught.value.retryable


def oracle(records: list[ItemRecord]) -> dict[tuple[int, int, int], tuple[bool, frozenset[int]]]:
    """The contract, in memory and in the plainest words. Integer source keys only."""
    held: dict[tuple[int, str], bytes] = {}
    losers = {}
    ordered = sorted(records, key=lambda r: (r.entity, r.source_key, r.segment, r.row, r.item))
    for place, row in groupby(ordered, key=lambda r: (r.entity, r.segment, r.row)):
        own: dict[tuple[int, str], bytes] = {}
        skipped, rejected = set(), False
        for item in row:
            given = {**held, **own}.get((item.table, item.key))
            if given is None:
                own[item.table, item.key] = item.digest
            elif given == item.digest:
                skipped.add(item.item)
            else:
                rejected = True
        if rejected:
            losers[place] = (True, frozenset())
            continue
        held.update(own)
        if skipped:
            losers[place] = (False, frozenset(skipped))
    return losers


item_contents = st.tuples(st.sampled_from("abcde"), st.sampled_from("xy"), st.integers(0, 1))
source_rows = st.tuples(
    st.integers(1, 3), st.integers(0, 2), st.integers(0, 4), st.lists(item_contents, min_size=1, max_size=3)
)


@given(st.lists(source_rows, max_size=25), st.randoms(use_true_random=False))
def test_losers_are_those_of_the_plain_oracle(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int, int, list[tuple[str, str, int]]]],
    random: Random,
) -> None:
    records = [
        record(entity, (source_key,), row, text, content, segment=segment, item=item, table=table)
        for row, (entity, segment, source_key, items) in enumerate(rows)
        for item, (text, content, table) in enumerate(items)
    ]
    expected = oracle(records)
    random.shuffle(records)
    with DigestStore(tmp_path_factory.mktemp("oracle") / "proof.sqlite") as store:
        found = losers_of(store, records)
    assert {place: (loser.reject is not None, loser.skipped) for place, loser in found.items()} == expected
