import pytest
from botocore.exceptions import ReadTimeoutError

from migrator.errors import TargetError
from migrator.target import batch
from migrator.target.backoff import RetryPolicy
from migrator.target.governor import Governor
from migrator.target.pace import Bucket
from migrator.target.writer import BYTES_IN_FLIGHT_MAX, Writer


@pytest.fixture
def open_writer(orders, clock):
    """Open a writer through a scripted table."""

    def open_writer(table, **settings):
        return Writer(table, orders, describe=table.describe, clock=clock, **settings)

    return open_writer


@pytest.fixture
def write(open_writer, make_item):
    """Write items with the keys "0", "1", …, all of one size."""

    def item(number):
        return make_item(f"{number}", filling={"S": "x" * (10 - len(f"{number}"))})

    def write(table, count=100, *, max_attempts=10, give_up_after_s=300.0, **settings):
        writer = open_writer(table, policy=RetryPolicy(max_attempts, give_up_after_s), **settings)
        for number in range(count):
            writer.put([item(number)])
        result = writer.close()
        assert result.written + result.skipped + len(result.failed) + result.unsent == count
        assert result.bytes == result.written * item(0).size_bytes
        return result

    return write


def test_every_item_is_written_and_counted(write, scripted):
    table = scripted()
    result = write(table)
    assert result.written == len(table.items) == 100
    assert (result.requests_sent, result.retried, result.stopped) == (4, 0, None)
    assert result.write_units == 100
    assert len(result.latencies_ms) == 4


def test_only_unprocessed_items_go_round_again(write, scripted):
    client = scripted(lambda number, keys: set(keys[::3]) if len(keys) > 1 else None)
    result = write(client)
    assert result.written == 100
    assert sorted(client.writes) == sorted(client.items)  # each was taken once
    assert result.unprocessed_items > 0
    assert result.stopped is None


def test_unprocessed_items_that_were_encoded_without_an_identity_are_found(open_writer, make_item, scripted):
    table = scripted(lambda number, keys: set(keys[::3]) if len(keys) > 1 else None)
    writer = open_writer(table, distinct=True)
    writer.put([make_item(f"{number}")._replace(identity=None) for number in range(100)])
    result = writer.close()
    assert (result.written, result.unsent, result.failed) == (100, 0, [])
    assert sorted(table.writes) == sorted(table.items)  # each was taken once


def test_items_left_unprocessed_for_ever_are_named_in_finite_time(write, scripted, clock):
    client = scripted(lambda number, keys: {"7"} & set(keys))
    result = write(client, 25)
    assert [failed.key for failed in result.failed] == [{"PK": {"S": "7"}}]
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
    assert result.written == 100
    assert result.throttled > 0
    assert result.requests_sent < 200


def test_throttling_for_good_stops_and_condemns_nothing(write, scripted, error):
    result = write(scripted(lambda number, keys: error("ThrottlingException")), give_up_after_s=60)
    assert result.stopped.code == "throttled"
    assert (result.failed, result.unsent) == ([], 100)


def test_random_server_errors_are_survived(write, scripted, error):
    client = scripted(lambda number, keys: error("InternalServerError", status=500) if number % 3 == 0 else None)
    result = write(client, 500)
    assert result.written == 500
    assert result.retried > 0


def test_attempts_are_counted_for_errors(write, scripted, error):
    client = scripted(lambda number, keys: error("InternalServerError", status=500))
    result = write(client, 10, max_attempts=3)
    assert len(client.requests) == 3
    assert (result.stopped.code, result.unsent) == ("target_error", 10)


def test_a_lost_answer_counts_nothing_twice(write, scripted):
    def script(number, keys):
        lost = ReadTimeoutError(endpoint_url="x")
        lost.applied = True
        return lost if number < 3 else None

    result = write(scripted(script))
    assert result.written == 100


@pytest.mark.parametrize("on_existing", ["skip", "error"])
def test_a_lost_answer_of_a_conditional_put_is_no_conflict(write, scripted, on_existing):
    def script(number, keys):
        lost = ReadTimeoutError(endpoint_url="x")
        lost.applied = True
        return lost if number % 2 == 0 else None

    result = write(scripted(script), 20, on_existing=on_existing)
    assert (result.written, result.skipped, result.failed) == (20, 0, [])


def test_existing_items_are_skipped_or_failed(write, scripted, make_item):
    client = scripted()
    client.items["3"] = make_item("3", other={"S": "x"}).attributes
    assert write(client, 5, on_existing="skip").skipped == 1
    client.items = {"3": client.items["3"]}
    result = write(client, 5, on_existing="error")
    assert [failed.code for failed in result.failed] == ["item_exists"]
    assert client.items["3"] == make_item("3", other={"S": "x"}).attributes


def test_one_refused_item_does_not_sink_its_batch(write, scripted, error):
    client = scripted(lambda number, keys: error("ValidationException", "empty set") if "7" in keys else None)
    result = write(client, 25)
    assert result.written == 24
    assert [(failed.key, failed.code, failed.message) for failed in result.failed] == [
        ({"PK": {"S": "7"}}, "item_refused", "ValidationException: empty set")
    ]
    assert result.stopped is None


def test_a_request_that_is_too_large_is_split(write, scripted, error):
    client = scripted(lambda number, keys: error("413", status=413) if len(keys) > 10 else None)
    assert write(client, 25).written == 25


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("AccessDeniedException", "access_denied"),
        ("ResourceNotFoundException", "table_missing"),
        ("ExpiredTokenException", "credentials_expired"),
    ],
)
def test_a_final_error_stops_within_a_batch_a_connection_and_rejects_nothing(write, scripted, error, name, code):
    client = scripted(lambda number, keys: error(name) if number >= 2 else None)
    result = write(client, 2_000)
    assert result.stopped.code == code
    assert (result.written, result.failed, result.unsent) == (50, [], 1_950)
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
        description=description("N"),
    )
    result = write(client, 500)
    assert result.stopped.code == "table_mismatch"
    assert (result.failed, result.unsent) == ([], 500)


def test_a_bad_key_in_the_right_table_fails_its_item_only(write, scripted, error):
    words = "Type mismatch for key PK expected: S actual: N"
    client = scripted(
        lambda number, keys: error("ValidationException", words) if "7" in keys else None,
        description=description("S"),
    )
    result = write(client, 50)
    assert (result.written, len(result.failed), result.stopped) == (49, 1, None)


def test_of_two_items_with_one_key_the_later_wins(open_writer, scripted, make_item):
    """Also when the earlier one is left unprocessed while the later is already waiting."""
    table = scripted(lambda number, keys: {"a"} if number == 0 else None)
    writer = open_writer(table)
    for version in range(20):
        writer.put([make_item("a", version={"N": str(version)})])
    assert writer.close().written == 20
    assert table.items["a"]["version"] == {"N": "19"}


def test_a_stop_leaves_the_rest_unsent(open_writer, scripted, make_item):
    stopping = []
    table = scripted(lambda number, keys: stopping.append(True) if number == 3 else None, connections=1)
    writer = open_writer(table, stop=lambda: bool(stopping))
    for number in range(1_000):
        writer.put([make_item(f"{number}")])
    result = writer.close()
    assert (result.written, result.unsent, result.stopped) == (100, 900, None)


def test_a_batch_that_waits_holds_up_no_other(write, scripted, clock, error):
    """One batch meets errors for a minute; all others are through long before."""
    begun, through = clock.now, []

    def script(number, keys):
        if "7" in keys and clock.now < begun + 60:
            return error("InternalServerError", status=500)
        through.append(clock.now - begun)
        return None

    assert write(scripted(script), 2_000, max_attempts=1_000).written == 2_000
    assert sum(after < 1 for after in through) == 79


def test_a_write_rate_is_kept(write, scripted, clock):
    write(scripted(connections=1), 1_000, governor=Governor(Bucket(100.0, clock)))
    assert 9 < clock.now - 1_000 < 11


@pytest.mark.parametrize(("window_s", "left_s"), [(0.25, 1.5), (None, 10.0)])
def test_a_window_that_may_take_only_so_long_leaves_little_for_the_end(
    open_writer, scripted, clock, make_item, window_s, left_s
):
    budget = Governor(Bucket(100.0, clock))
    writer = open_writer(scripted(connections=1), governor=budget, window_s=window_s)
    for number in range(1_000):
        writer.put([make_item(f"{number}")])
    begun = clock.now
    writer.close()
    assert left_s / 10 < clock.now - begun <= left_s


def test_items_sorted_by_partition_are_spread(scripted, open_writer, orders, make_item):
    """A thousand rows of each partition follow one another; no batch holds more than a few of one."""
    table = scripted()
    writer = open_writer(table)
    for number in range(20_000):
        writer.put([make_item(f"{number // 1_000}#{number}")])
    writer.close()
    of_one_partition = [max(map(partitions(keys).count, partitions(keys))) for keys in table.requests]
    assert len(table.items) == 20_000
    assert max(of_one_partition) <= 3
    assert len(table.requests) <= 20_000 / 25 + 3


def partitions(keys):
    return [key.partition("#")[0] for key in keys]


class Stuck(Exception):
    pass


class Silent:
    """A table that never answers."""

    free = 1

    def __init__(self):
        self.bytes = 0

    def submit(self, operation, body, on_reply):
        self.free = 0
        self.bytes += len(body)

    def poll(self, timeout_s):
        if timeout_s:
            raise Stuck

    def describe(self):
        return None


def test_a_slow_target_holds_the_source_back(open_writer, make_item):
    """At most a window that is dealt and one that is being filled."""
    writer, put = open_writer(Silent()), []

    def feed():
        for number in range(10 * batch.WINDOW_ITEMS):
            writer.put([make_item(f"{number}")])
            put.append(number)

    with pytest.raises(Stuck):
        feed()
    assert batch.WINDOW_ITEMS < len(put) <= 2 * batch.WINDOW_ITEMS


def test_bytes_in_flight_are_bounded(open_writer, scripted, make_item):
    """A target that answers late, over many connections, gets no more than so much at once."""
    in_flight = []

    class Late(type(scripted())):
        def poll(self, timeout_s):
            in_flight.append(sum(map(len, self.bodies)))
            if timeout_s:
                self.bodies.clear()
                super().poll(timeout_s)

    writer = open_writer(Late(connections=64))
    for number in range(200):
        writer.put([make_item(f"{number}", text={"S": "x" * 300_000})])
    assert writer.close().written == 200
    assert BYTES_IN_FLIGHT_MAX / 2 < max(in_flight) < BYTES_IN_FLIGHT_MAX * 1.01


def test_a_defect_in_a_reply_is_not_taken_for_success(open_writer, scripted, make_item):
    class Broken(type(scripted())):
        def poll(self, timeout_s):
            if self.bodies:
                raise KeyError("a defect")

    writer = open_writer(Broken())
    writer.put([make_item("a")])
    with pytest.raises(KeyError):
        writer.close()
