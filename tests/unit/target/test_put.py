import pytest

from migrator.target.batch import identity
from migrator.target.outcome import Entry
from migrator.target.put import put_if_free


@pytest.fixture
def put(orders, clock):
    def put(client, item, on_existing, *, maybe_applied=False):
        entry = Entry(item, "E", identity(item.attributes, orders), 0)
        result = put_if_free(client, orders, entry, on_existing, clock, maybe_applied=maybe_applied)
        return "written" if result.written else "skipped" if result.skipped else result.refused

    return put


@pytest.mark.parametrize("on_existing", ["skip", "error"])
def test_a_free_key_is_written(put, scripted, make_item, on_existing):
    assert put(scripted(), make_item("a"), on_existing) == "written"


def test_an_existing_item_is_skipped_even_when_it_is_equal(put, scripted, make_item):
    client = scripted()
    client.items["a"] = make_item("a").attributes
    assert put(client, make_item("a"), "skip") == "skipped"


def test_an_equal_item_after_a_lost_answer_is_our_own(put, scripted, make_item):
    client = scripted()
    client.items["a"] = make_item("a", n={"N": "1.0"}).attributes
    assert put(client, make_item("a", n={"N": "1"}), "skip", maybe_applied=True) == "written"


def test_another_item_after_a_lost_answer_is_skipped(put, scripted, make_item):
    client = scripted()
    client.items["a"] = make_item("a", n={"N": "2"}).attributes
    assert put(client, make_item("a", n={"N": "1"}), "skip", maybe_applied=True) == "skipped"


def test_error_counts_an_equal_item_as_written_and_refuses_another(put, scripted, make_item):
    client = scripted()
    client.items["a"] = make_item("a", n={"N": "2"}).attributes
    assert put(client, make_item("a", n={"N": "2.0"}), "error") == "written"
    assert put(client, make_item("a", n={"N": "1"}), "error") == 'another item has the key PK "a"'


def test_an_engine_that_does_not_send_the_existing_item_is_asked_for_it(put, scripted, make_item, error):
    client = scripted(lambda number, keys: error("ConditionalCheckFailedException"))
    client.items["a"] = make_item("a").attributes
    assert put(client, make_item("a"), "error") == "written"
