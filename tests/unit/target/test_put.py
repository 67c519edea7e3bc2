import pytest

from migrator.target.put import PutIfFree
from migrator.target.wire import Batch


@pytest.fixture
def put(orders):
    def put(table, item, on_existing, *, maybe_applied=False):
        results = []

        def on_result(result, reply):
            results.append(result)

        PutIfFree(table.submit, orders, Batch.of([item]), on_existing, maybe_applied, on_result).send()
        for _ in range(2):  # the put, and the question for the item that is there
            table.poll(0)
        (result,) = results
        return "written" if result.written else "skipped" if result.skipped else result.refused

    return put


@pytest.mark.parametrize("on_existing", ["skip", "error"])
def test_a_free_key_is_written(put, scripted, make_item, on_existing):
    assert put(scripted(), make_item("a"), on_existing) == "written"


def test_an_existing_item_is_skipped_even_when_it_is_equal(put, scripted, make_item):
    table = scripted()
    table.items["a"] = make_item("a").attributes
    assert put(table, make_item("a"), "skip") == "skipped"


def test_an_equal_item_after_a_lost_answer_is_our_own(put, scripted, make_item):
    table = scripted()
    table.items["a"] = make_item("a", n={"N": "1.0"}).attributes
    assert put(table, make_item("a", n={"N": "1"}), "skip", maybe_applied=True) == "written"


def test_another_item_after_a_lost_answer_is_skipped(put, scripted, make_item):
    table = scripted()
    table.items["a"] = make_item("a", n={"N": "2"}).attributes
    assert put(table, make_item("a", n={"N": "1"}), "skip", maybe_applied=True) == "skipped"


def test_error_counts_an_equal_item_as_written_and_refuses_another(put, scripted, make_item):
    table = scripted()
    table.items["a"] = make_item("a", n={"N": "2"}).attributes
    assert put(table, make_item("a", n={"N": "2.0"}), "error") == "written"
    assert put(table, make_item("a", n={"N": "1"}), "error") == 'another item has the key PK "a"'


def test_an_equal_item_is_recognised_by_its_binary_values_too(put, scripted, make_item):
    table = scripted()
    table.items["a"] = {"PK": {"S": "a"}, "b": {"B": "AQ=="}, "l": {"L": [{"BS": ["Ag==", "AQ=="]}]}}
    ours = make_item("a", b={"B": b"\x01"}, l={"L": [{"BS": [b"\x01", b"\x02"]}]})
    assert put(table, ours, "error") == "written"


def test_an_engine_that_does_not_send_the_existing_item_is_asked_for_it(put, scripted, make_item, error):
    table = scripted(lambda number, keys: error("ConditionalCheckFailedException"))
    table.items["a"] = make_item("a").attributes
    assert put(table, make_item("a"), "error") == "written"
