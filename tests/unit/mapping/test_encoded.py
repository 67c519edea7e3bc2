"""What a writer knows of an item: read back from the wire, compared, priced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.errors import RowRejected
from migrator.mapping.canonical import item_size
from migrator.mapping.encoded import EncodedItems, encode_item
from migrator.mapping.model import IndexDefinition, Item, KeyAttribute, TableDefinition

TABLE = TableDefinition("t", KeyAttribute("PK"), KeyAttribute("SK", "N"))
KEY = {"PK": {"S": "p"}, "SK": {"N": "1"}}


def encoded(attributes, table=TABLE):
    return encode_item(Item(attributes, {}, item_size(attributes)), table)


def test_an_item_is_read_back_as_it_was():
    attributes = {
        **KEY,
        "s": {"S": 'é"\\\n\x00'},
        "b": {"B": b"\x00\xff"},
        "bs": {"BS": [b"", b"\x01"]},
        "m": {"M": {"l": {"L": [{"B": b"x"}, {"NULL": True}, {"BOOL": False}]}}},
        "ns": {"NS": ["1", "2.50"]},
    }
    assert encoded(attributes).attributes == attributes


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("100", "1E+2"), ("0", "-0")])
def test_numbers_are_one_key_where_their_value_is_one(one, other):
    assert encoded({**KEY, "SK": {"N": one}}).identity == encoded({**KEY, "SK": {"N": other}}).identity


def test_items_as_columns_are_the_items():
    items = [encoded({**KEY, "SK": {"N": str(number)}}) for number in range(5)]
    columns = EncodedItems.of(items)
    assert (list(columns), columns[3], list(columns[::2])) == (items, items[3], items[::2])


def test_what_items_take_can_still_be_told_when_they_were_joined():
    items = [encoded({**KEY, "SK": {"N": str(number)}, "b": {"B": b"b" * number}}) for number in range(5)]
    parts = [EncodedItems.of(items[:2]), EncodedItems.of(items[2:])]
    known, lost = EncodedItems.joined(parts), EncodedItems.joined([replace(part, sizes=None) for part in parts])
    assert list(known) == items
    assert [item.noted_bytes for item in lost] == [None] * 5
    assert [item.size_bytes for item in lost] == [item.size_bytes for item in items]
    for joined in (known, lost):
        halves = joined[::2].size_bytes + joined[1::2].size_bytes
        assert joined.size_bytes == halves == EncodedItems.of(items).size_bytes


@pytest.mark.parametrize("places", [[], [7], [3, 4, 39], list(range(0, 40, 2)), list(range(40))])
def test_picked_items_are_those_at_the_places_whether_few_or_many(places):
    items = [encoded({**KEY, "SK": {"N": str(number)}, "b": {"B": b"b" * number}}) for number in range(40)]
    assert list(EncodedItems.of(items).picked(places)) == [items[n] for n in places]


def test_no_items_are_empty_columns():
    assert list(EncodedItems.of([])) == []


@pytest.mark.parametrize(
    ("projection", "size_bytes", "units"), [("ALL", 1_024, 2), ("ALL", 1_025, 4), ("KEYS_ONLY", 5_000, 6)]
)
def test_an_index_is_paid_for_by_what_it_holds(projection, size_bytes, units):
    table = TableDefinition("t", KeyAttribute("PK"), None, (IndexDefinition("G", KeyAttribute("G"), None, projection),))
    attributes = {"PK": {"S": "p"}, "G": {"S": "g"}, "x": {"S": ""}}
    attributes["x"] = {"S": "x" * (size_bytes - item_size(attributes))}
    assert encoded(attributes, table).write_units == units
    assert encoded({name: attributes[name] for name in ("PK", "x")}, table).write_units == -(-(size_bytes - 2) // 1024)


def test_half_of_a_surrogate_pair_rejects_the_row_even_where_nothing_is_validated():
    with pytest.raises(RowRejected) as caught:
        encoded({**KEY, "x": {"S": "\ud83d"}})
    assert caught.value.code == "lone_surrogate"
