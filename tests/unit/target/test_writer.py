import threading

import pytest
from botocore.exceptions import ReadTimeoutError

from migrator.errors import TargetError
from migrator.target.writer import Writer


@pytest.fixture
def write(orders, clock, make_item):
    """Write items with the keys "0", "1", … through a scripted client."""

    def write(client, count=100, **settings):
        settings = {"connections": 4, "give_up_after_s": 300.0, **settings}
        writer = Writer(client, orders, clock=clock, sleep=clock.sleep, **settings)
        for number in range(count):
            writer.put(make_item(f"{number}"), "User" if number % 2 else "Order")
        result = writer.close()
        counted = result.written.total() + result.skipped.total() + len(result.failed) + result.unsent.total()
        assert counted == count
        return result

    return write


def test_every_item_is_written_and_counted_by_tag(write, scripted):
    client = scripted()
    result = write(client)
    assert result.written == {"Order": 50, "User": 50}
    assert len(client.items) == 100
    assert (result.requests_sent, result.retried, result.stopped) == (4, 0, None)
    assert result.write_units == 100
    assert len(result.latencies_ms) == 4


def test_only_unprocessed_items_go_round_again(write, scripted):
    client = scripted(lambda number, keys: set(keys[::3]) if len(keys) > 1 else None)
    result = write(client)
    assert result.written.total() == 100
    assert sorted(client.writes) == sorted(client.items)  # each was taken once
    assert result.unprocessed_items > 0
    assert result.stopped is None


def test_items_left_unprocessed_for_ever_are_named_in_finite_time(write, scripted, clock):
    client = scripted(lambda number, keys: {"7"} & set(keys))
    result = write(client, 25)
    assert [failed.item.key for failed in result.failed] == [{"PK": {"S": "7"}}]
    assert result.failed[0].code == "throttled"
    assert isinstance(result.stopped, TargetError)
    assert (result.stopped.code, result.stopped.retryable) == ("throttled", True)
    assert clock.now < 1_000 + 400


def test_a_minute_of_throttling_is_survived_with_few_requests(write, scripted, clock, error):
    begun = clock.now
    client = scripted(
        lambda number, keys: error("ProvisionedThroughputExceededException") if clock.now < begun + 60 else None
    )
    result = write(client)
    assert result.written.total() == 100
    assert result.throttled > 0
    assert result.requests_sent < 200


def test_throttling_for_good_stops_and_condemns_nothing(write, scripted, error):
    result = write(scripted(lambda number, keys: error("ThrottlingException")), give_up_after_s=60)
    assert result.stopped.code == "throttled"
    assert (result.failed, result.unsent.total()) == ([], 100)


def test_random_server_errors_are_survived(write, scripted, error):
    client = scripted(lambda number, keys: error("InternalServerError", status=500) if number % 3 == 0 else None)
    result = write(client, 500)
    assert result.written.total() == 500
    assert result.retried > 0


def test_attempts_are_counted_for_errors(write, scripted, error):
    client = scripted(lambda number, keys: error("InternalServerError", status=500))
    result = write(client, 10, max_attempts=3)
    assert len(client.requests) == 3
    assert (result.stopped.code, result.unsent.total()) == ("target_error", 10)


def test_a_lost_answer_counts_nothing_twice(write, scripted):
    def script(number, keys):
        lost = ReadTimeoutError(endpoint_url="x")
        lost.applied = True
        return lost if number < 3 else None

    result = write(scripted(script))
    assert result.written.total() == 100


@pytest.mark.parametrize("on_existing", ["skip", "error"])
def test_a_lost_answer_of_a_conditional_put_is_no_conflict(write, scripted, on_existing):
    def script(number, keys):
        lost = ReadTimeoutError(endpoint_url="x")
        lost.applied = True
        return lost if number % 2 == 0 else None

    result = write(scripted(script), 20, on_existing=on_existing)
    assert (result.written.total(), result.skipped.total(), result.failed) == (20, 0, [])


def test_existing_items_are_skipped_or_failed(write, scripted, make_item):
    client = scripted()
    client.items["3"] = make_item("3", other={"S": "x"}).attributes
    assert write(client, 5, on_existing="skip").skipped == {"User": 1}
    client.items = {"3": client.items["3"]}
    result = write(client, 5, on_existing="error")
    assert [failed.code for failed in result.failed] == ["item_exists"]
    assert client.items["3"] == make_item("3", other={"S": "x"}).attributes


def test_one_refused_item_does_not_sink_its_batch(write, scripted, error):
    client = scripted(lambda number, keys: error("ValidationException", "empty set") if "7" in keys else None)
    result = write(client, 25)
    assert result.written.total() == 24
    ((tag, code, message),) = [(failed.tag, failed.code, failed.message) for failed in result.failed]
    assert (tag, code, message) == ("User", "item_refused", "ValidationException: empty set")
    assert result.stopped is None


def test_a_request_that_is_too_large_is_split(write, scripted, error):
    client = scripted(lambda number, keys: error("413", status=413) if len(keys) > 10 else None)
    assert write(client, 25).written.total() == 25


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("AccessDeniedException", "access_denied"),
        ("ResourceNotFoundException", "table_missing"),
        ("ExpiredTokenException", "credentials_expired"),
    ],
)
def test_a_final_error_stops_within_a_batch_a_thread_and_rejects_nothing(write, scripted, error, name, code):
    client = scripted(lambda number, keys: error(name) if number >= 2 else None)
    result = write(client, 2_000, connections=4)
    assert result.stopped.code == code
    assert (result.written.total(), result.failed, result.unsent.total()) == (50, [], 1_950)
    assert len(client.requests) <= 2 + 4


def description(kind):
    return {
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": kind}],
    }


def test_a_table_made_anew_with_other_keys_stops_the_writer(write, scripted, error):
    client = scripted(
        lambda number, keys: error("ValidationException", "Type mismatch for key PK expected: N actual: S"),
        description("N"),
    )
    result = write(client, 500)
    assert result.stopped.code == "table_mismatch"
    assert (result.failed, result.unsent.total()) == ([], 500)


def test_a_bad_key_in_the_right_table_fails_its_item_only(write, scripted, error):
    words = "Type mismatch for key PK expected: S actual: N"
    client = scripted(
        lambda number, keys: error("ValidationException", words) if "7" in keys else None, description("S")
    )
    result = write(client, 50)
    assert (result.written.total(), len(result.failed), result.stopped) == (49, 1, None)


def test_of_two_items_with_one_key_the_later_wins(orders, clock, scripted, make_item):
    """Also when the earlier one is left unprocessed while the later is already waiting."""
    client = scripted(lambda number, keys: {"a"} if number == 0 else None)
    writer = Writer(client, orders, clock=clock, sleep=clock.sleep)
    for version in range(20):
        writer.put(make_item("a", version={"N": str(version)}), "E")
    assert writer.close().written == {"E": 20}
    assert client.items["a"]["version"] == {"N": "19"}


def test_a_stop_leaves_the_rest_unsent(orders, clock, scripted, make_item):
    stopping = threading.Event()
    client = scripted(lambda number, keys: stopping.set() if number == 3 else None)
    writer = Writer(client, orders, connections=1, stop=stopping.is_set, clock=clock, sleep=clock.sleep)
    for number in range(1_000):
        writer.put(make_item(f"{number}"), "E")
    result = writer.close()
    assert (result.written["E"], result.unsent["E"], result.stopped) == (100, 900, None)


def test_a_write_rate_is_kept(write, scripted, clock):
    write(scripted(), 1_000, write_rate=100.0, connections=1)
    assert 8 < clock.now - 1_000 < 11


def test_a_slow_target_holds_the_source_back(orders, scripted, make_item):
    """With one thread, no more than two batches are in flight and one is being filled."""
    open_gate, sent = threading.Event(), []

    def script(number, keys):
        assert open_gate.wait(10)

    writer = Writer(scripted(script), orders, connections=1)

    def feed():
        for number in range(200):
            writer.put(make_item(f"{number}"), "E")
            sent.append(number)

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join(0.3)
    assert len(sent) <= 3 * 25 + 1
    open_gate.set()
    feeder.join(10)
    assert writer.close().written["E"] == 200


def test_a_defect_in_a_thread_is_not_taken_for_success(orders, scripted, make_item):
    class Broken:
        def batch_write_item(self, **request):
            raise KeyError("a defect")

    writer = Writer(Broken(), orders)
    writer.put(make_item("a"), "E")
    with pytest.raises(KeyError):
        writer.close()
