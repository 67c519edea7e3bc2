import json
from dataclasses import replace
from weakref import ref

import pytest

from migrator.limits import BATCH_WIRE_BYTES
from migrator.mapping.encoded import EncodedItems
from migrator.target.batch import WINDOW_BYTES, WINDOW_ITEMS, Window
from migrator.target.wire import batch_body


def offer(window, *items):
    return window.offer(EncodedItems.of(items))


def batches_of(items, batch_size=25):
    window, batches = Window(batch_size), []
    for item in items:
        if not offer(window, item):
            batches.extend(window.deal())
            assert offer(window, item)
    return [*batches, *window.deal()]


def keys(batch):
    return [json.loads(item.wire)["PK"]["S"] for item in batch.items]


def test_a_batch_has_at_most_25_items(make_item):
    batches = batches_of([make_item(f"{n}") for n in range(60)], batch_size=40)
    assert [len(batch) for batch in batches] == [20, 20, 20]


def test_neighbours_go_into_different_batches(make_item):
    first, second = batches_of([make_item(f"{n}") for n in range(6)], batch_size=3)
    assert (keys(first), keys(second)) == (["0", "2", "4"], ["1", "3", "5"])


def test_nothing_collected_is_no_batch():
    assert batches_of([]) == []


def test_a_window_is_full_at_a_number_of_items(make_item):
    window, item = Window(), make_item("a")
    assert offer(window, *[item] * (WINDOW_ITEMS - 1))
    assert [offer(window, *[item] * count) for count in (2, 1, 1)] == [False, True, False]


@pytest.mark.parametrize("text", ["é" * 200_000, "\x01" * 400_000], ids=["UTF-8", "escapes"])
def test_large_items_are_split_by_bytes_on_the_wire(orders, make_item, text):
    """400 KB of control characters are 2.4 MB as \\u0001."""
    batches = batches_of([make_item(f"{n}", text={"S": text}) for n in range(25)])
    assert sum(map(len, batches)) == 25
    assert len(batches) > 1
    for batch in batches:
        assert len(batch_body(orders, batch)) <= BATCH_WIRE_BYTES


def test_what_sizes_are_worked_out_of_does_not_wait_in_the_window(make_item):
    class Sizes:
        def total(self):
            return 3

        def each(self):
            return [3]

    window, sizes = Window(), Sizes()
    known = ref(sizes)
    window.offer(replace(EncodedItems.of([make_item("a")]), sizes=sizes))
    del sizes
    assert known() is None
    assert len(window) == 1


def test_an_item_larger_than_a_window_goes_alone(make_item):
    """Where items are not validated; the service then says what it thinks of it."""
    small, huge = make_item("a"), make_item("b", text={"S": "x" * WINDOW_BYTES})
    assert [keys(batch) for batch in batches_of([small, huge, small])] == [["a"], ["b"], ["a"]]


def test_no_window_can_give_a_batch_that_is_too_large(orders, make_item):
    largest = len(make_item("a", text={"S": "\x01" * 400_000}).wire)
    assert WINDOW_BYTES + largest < BATCH_WIRE_BYTES
