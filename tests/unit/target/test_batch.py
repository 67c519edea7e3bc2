import json

from migrator.limits import BATCH_WIRE_BYTES
from migrator.mapping.model import Item, KeyAttribute, TableDefinition
from migrator.target.batch import Batcher, wire_bytes


def batches_of(table, items, batch_size=25):
    batcher = Batcher(table, batch_size)
    closed = [batcher.add(item, "E") for item in items]
    return [batch for batch in (*closed, batcher.close()) if batch]


def test_a_batch_has_at_most_25_items(orders, make_item):
    batches = batches_of(orders, [make_item(f"{n}") for n in range(60)], batch_size=40)
    assert [len(batch) for batch in batches] == [25, 25, 10]


def test_a_repeated_key_closes_the_batch(orders, make_item):
    batches = batches_of(orders, [make_item("a"), make_item("b"), make_item("a", n={"N": "2"})])
    assert [[entry.item.attributes["PK"]["S"] for entry in batch] for batch in batches] == [["a", "b"], ["a"]]


def test_number_keys_repeat_by_value():
    table = TableDefinition("orders", KeyAttribute("id", "N"))
    items = [Item({"id": {"N": text}}, {}, 3) for text in ("1", "1.0", "2")]
    assert [len(batch) for batch in batches_of(table, items)] == [1, 2]


def test_the_same_text_as_string_and_binary_key_is_not_one_key():
    table = TableDefinition("orders", KeyAttribute("id", "B"), KeyAttribute("s"))
    items = [Item({"id": {"B": b"1"}, "s": {"S": s}}, {}, 3) for s in ("x", "y")]
    assert [len(batch) for batch in batches_of(table, items)] == [2]


def test_large_items_are_split_by_bytes_on_the_wire(orders, make_item):
    """25 × 400 KB of é are 10 MB of UTF-8, and 31 MB as \\u00e9."""
    items = [make_item(f"{n}", text={"S": "é" * 200_000}) for n in range(25)]
    batches = batches_of(orders, items)
    for batch in batches:
        requests = [{"PutRequest": {"Item": entry.item.attributes}} for entry in batch]
        assert len(json.dumps({"RequestItems": {"orders": requests}})) <= BATCH_WIRE_BYTES
    assert sum(map(len, batches)) == 25


def test_items_that_are_not_measured_are_never_larger_than_assumed(make_item):
    worst = {
        f"a{n}": {"L": [{"NULL": True}, {"S": ""}, {"S": "\x01"}, {"N": "0"}, {"M": {"\x01": {"S": ""}}}]}
        for n in range(300)
    }
    item = make_item("k", **worst)
    assert item.size_bytes < 16_384
    assert len(json.dumps({"PutRequest": {"Item": item.attributes}})) < wire_bytes(item)
