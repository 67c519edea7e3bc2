"""A service under load, one that fails, and a bad way to it: faults 21 to 27."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials

from door import Fault, Forward, Reply, Request
from door_faults import (
    WRITES,
    Script,
    cut_answer,
    delay,
    drop_after,
    drop_before,
    hang,
    leave_half,
    leave_unprocessed,
    server_error,
    throttle,
    wrong_crc,
)
from migration import ROW, TABLE, Migration
from migrator.mapping.canonical import item_size
from migrator.mapping.encoded import EncodedItem, encode_item
from migrator.mapping.model import Item, KeyAttribute, TableDefinition
from migrator.target.endpoint import Endpoint
from migrator.target.transport import Transport
from migrator.target.writer import Writer
from oracle_rows import expected_of


class Moments:
    """A fault that only looks: when each write came in."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def __call__(self, request: Request, forward: Forward) -> Reply:
        if request.operation in WRITES:
            self.seen.append(time.monotonic())
        return forward(request)


def for_seconds(seconds: float, fault: Fault) -> Fault:
    """The fault, from the first write on for so long."""
    until: float | None = None

    def hit(request: Request, forward: Forward) -> Reply:
        nonlocal until
        if request.operation in WRITES and until is None:
            until = time.monotonic() + seconds
        return fault(request, forward) if until is not None and time.monotonic() < until else forward(request)

    return hit


# ---- 21 to 24: too much for the table

# Four connections have eight batches on their way, each with waits of full jitter: 75 requests are usual in four
# seconds and 127 in a minute, and in fifty thousand simulated tries there were never more than 83 and 146.
LENGTHS = [
    pytest.param(4, 90, id="4 s"),
    pytest.param(60, 160, id="a minute", marks=[pytest.mark.soak, pytest.mark.timeout(400)]),
]


@pytest.mark.parametrize(("seconds", "most_requests"), LENGTHS)
def test_21_nothing_but_throttling_for_long_is_waited_out_with_few_requests(
    filled: Migration, seconds: float, most_requests: int
) -> None:
    moments = Moments()
    filled.write(ROW, batch_size=5, connections=4)
    filled.door.faults += [moments, for_seconds(seconds, throttle(None))]
    outcome = filled.run()
    assert outcome.report["requests"]["throttled"] > 12  # each of the 12 batches, and again
    assert len(moments.seen) < most_requests
    gaps = [round(later - earlier, 3) for earlier, later in pairwise(moments.seen) if later - earlier > 0.01]
    assert len(set(gaps)) > len(gaps) / 2, "the waits have no jitter"
    half = moments.seen[0] + seconds / 2
    early = [at for at in moments.seen if at < half]
    late = [at for at in moments.seen if half <= at < half + seconds / 2]
    assert len(late) < len(early), "the rate does not fall"
    filled.assert_holds(outcome, expected_of(filled.source, ROW))


def test_22_some_items_unprocessed_in_every_answer_all_arrive(filled: Migration) -> None:
    filled.door.faults.append(leave_half)
    outcome = filled.run()
    assert outcome.report["requests"]["unprocessed_items"] > 59 / 2
    filled.assert_holds(outcome, expected_of(filled.source, ROW))


def test_23_items_unprocessed_for_ever_end_in_finite_time_and_are_named(filled: Migration) -> None:
    filled.write(ROW, give_up_after="3s")
    filled.door.faults.append(leave_unprocessed(25))
    outcome = filled.run()
    filled.assert_stopped(outcome, "throttled")
    assert outcome.report["totals"]["failed"] == len(failed_keys(outcome.report)) > 0
    filled.door.faults.clear()
    filled.assert_holds(filled.resume(), expected_of(filled.source, ROW))


def test_23_one_item_unprocessed_for_ever_fails_alone(filled: Migration) -> None:
    expected = expected_of(filled.source, ROW)
    # With two connections batches are written after that of K#7 was answered: it is overtaken in any case.
    filled.write(ROW, give_up_after="3s", batch_size=5, connections=2)
    filled.door.faults += [delay(0.4), leave_key("K#7")]
    outcome = filled.run()
    assert (outcome.exit_code, outcome.report["status"]) == (1, "completed_with_rejects"), outcome.stderr
    assert failed_keys(outcome.report) == ["K#7"]
    assert filled.items().keys() == expected.items.keys() - {("K#7",)}
    filled.door.faults.clear()
    filled.assert_holds(filled.run(), expected)


def failed_keys(report: dict[str, Any]) -> list[str]:
    """The keys in the failed file."""
    lines = Path(report["failed"]).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["key"]["PK"]["S"] for line in lines]


def leave_key(key: str) -> Fault:
    """Leave the item of one key unprocessed in every batch."""

    def leave(request: Request, forward: Forward) -> Reply:
        if request.operation != "BatchWriteItem":
            return forward(request)
        ((table, writes),) = request.document["RequestItems"].items()
        left = [write for write in writes if write["PutRequest"]["Item"]["PK"]["S"] == key]
        taken = [write for write in writes if write not in left]
        if taken:
            forward(request.with_document({**request.document, "RequestItems": {table: taken}}))
        return Reply.of({"UnprocessedItems": {table: left} if left else {}})

    return leave


def test_24_of_two_puts_of_a_key_the_newer_wins_though_the_older_was_unprocessed(filled: Migration) -> None:
    """A run never puts two items of one key (fault 13), so the writer is given them itself."""
    filled.run()
    table = TableDefinition(TABLE, KeyAttribute("PK"))

    def put(version: int) -> EncodedItem:
        whole = {"PK": {"S": "K#1"}, "version": {"N": str(version)}}
        return encode_item(Item(whole, {}, item_size(whole)), table)

    filled.door.faults.append(leave_unprocessed(25, times=3))
    transport = Transport(Endpoint(filled.door.url, "us-east-1", connections=4), Credentials("test", "test"))
    writer = Writer(transport, table, describe=lambda: None)
    writer.put([put(1)])
    writer.put([put(2)])
    assert writer.close().written == 2
    assert filled.items()["K#1",]["version"] == {"N": "2"}


# ---- 25 to 27: errors, lost answers, bad connections


@pytest.mark.parametrize("status", [500, 503])
def test_25_server_errors_at_random_lose_nothing(filled: Migration, status: int) -> None:
    filled.write(ROW, batch_size=5)
    filled.door.faults.append(OneIn(3, server_error(None, status=status)))
    outcome = filled.run()
    assert outcome.report["requests"]["retried"] > 0
    filled.assert_holds(outcome, expected_of(filled.source, ROW))


@pytest.mark.parametrize("seed", range(3))
def test_25_trouble_of_every_kind_at_random_loses_nothing(filled: Migration, seed: int) -> None:
    filled.write(ROW, batch_size=5, connections=4)
    script = Script(seed)
    filled.door.faults.append(script)
    outcome = filled.run()
    assert len(set(script.drawn)) > 3
    filled.assert_holds(outcome, expected_of(filled.source, ROW))


class OneIn:
    """The fault for every n-th write."""

    def __init__(self, number: int, fault: Fault) -> None:
        self._number, self._fault, self._writes = number, fault, 0

    def __call__(self, request: Request, forward: Forward) -> Reply:
        self._writes += request.operation in WRITES
        hit = request.operation in WRITES and self._writes % self._number == 0
        return self._fault(request, forward) if hit else forward(request)


@pytest.mark.parametrize("on_existing", ["replace", "skip", "error"])
def test_26_a_lost_answer_counts_nothing_twice_and_is_no_conflict(filled: Migration, on_existing: str) -> None:
    filled.write(ROW, batch_size=5, on_existing=on_existing)
    filled.door.faults.append(drop_after(6))
    outcome = filled.run()
    assert max(filled.door.writes.values()) == (2 if on_existing == "replace" else 1)
    filled.assert_holds_once(outcome, expected_of(filled.source, ROW))
    assert outcome.report["totals"]["skipped"] == 0


BAD_CONNECTIONS = {
    "dropped before it is written": lambda: drop_before(4),
    "answer cut in the middle": lambda: cut_answer(4),
    "answer of another checksum": lambda: wrong_crc(4),
    "half open": lambda: hang(6, 3),
}


@pytest.mark.parametrize("fault", BAD_CONNECTIONS.values(), ids=BAD_CONNECTIONS)
def test_27_a_bad_connection_is_noticed_and_nothing_is_lost(filled: Migration, fault: Any) -> None:
    filled.write(ROW, batch_size=5, connections=4, connect_timeout="1s", read_timeout="1s")
    filled.door.faults.append(fault())
    outcome = filled.run()
    assert outcome.report["requests"]["retried"] >= 3
    filled.assert_holds(outcome, expected_of(filled.source, ROW))


def test_27_a_reset_in_the_middle_of_a_body_loses_nothing(filled: Migration) -> None:
    with closing(sqlite3.connect(filled.source)) as connection, connection:
        connection.execute("UPDATE rows SET b = randomblob(100000) WHERE id < 59")
    filled.door.torn_bodies = 3
    outcome = filled.run()
    assert filled.door.torn_bodies == 0
    filled.assert_holds(outcome, expected_of(filled.source, ROW))
