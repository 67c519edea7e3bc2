"""The process: its memory and lock, a dry run, what `verify` sees, streams that close: faults 39, 40, 44, 45 and 47."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from cut_off import under_way
from door import Forward, Reply, Request
from door_faults import refuse_writes
from migration import ROW, TABLE, Migration, plain_values, said_plainly
from oracle_rows import expected_of


def state_of(migration: Migration) -> dict[str, tuple[int, bytes]]:
    files = (path for path in migration.state.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


# ---- 39: memory


def swallow(request: Request, forward: Forward) -> Reply:
    """Take a batch and keep nothing: no engine is quick enough here."""
    return Reply.of({"UnprocessedItems": {}}) if request.operation == "BatchWriteItem" else forward(request)


def peak_kib(migration: Migration, rows: int) -> int:
    """The most memory that a run over so many BLOBs of 300 KB has had."""
    migration.source.unlink(missing_ok=True)
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, b BLOB)")
        connection.executemany("INSERT INTO rows VALUES (?, randomblob(300000))", ((n,) for n in range(rows)))
    process = migration.migrator.start("run", str(migration.plan), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def test_39_large_blobs_need_no_more_memory_the_more_there_are(migration: Migration) -> None:
    migration.write(ROW, connections=4)
    migration.door.faults.append(swallow)
    few, many = peak_kib(migration, 100), peak_kib(migration, 600)
    assert many - few < 50_000, (few, many)


# ---- 40: two runs at once


def test_40_a_second_run_of_the_plan_is_turned_away_and_writes_nothing(filled: Migration) -> None:
    expected = expected_of(filled.source, ROW)
    with under_way(filled.migrator, filled.plan, filled.door) as first:
        looked = filled.door.requests["DescribeTable"]
        second = filled.run()
        # The first one's batches stand at the door: what came through would be the second one's.
        assert (dict(filled.door.writes), filled.door.requests["DescribeTable"]) == ({}, looked)
    assert (first.wait(), second.exit_code) == (1, 5)
    assert said_plainly(second.stderr)
    assert f"process {first.pid}" in second.stderr
    assert second.report["error"]["code"] == "locked"
    assert plain_values(filled.items()) == plain_values(expected.items)


def test_40_a_lock_whose_holder_was_killed_holds_nobody_up(filled: Migration) -> None:
    with under_way(filled.migrator, filled.plan, filled.door) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert (filled.state / "faults.lock").exists()
    filled.assert_holds(filled.run(), expected_of(filled.source, ROW))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"pid": os.getpid(), "host": "here", "since": "2026-01-01T00:00:00+00:00"}),  # a number used again
        json.dumps({"pid": 1, "host": "another.example", "since": "2026-01-01T00:00:00+00:00"}),
        "half a li",
    ],
    ids=["living process", "another host", "torn"],
)
def test_40_what_stands_in_a_lock_file_that_nobody_holds_is_of_no_account(filled: Migration, content: str) -> None:
    filled.state.mkdir()
    (filled.state / "faults.lock").write_text(content, encoding="utf-8")
    filled.assert_holds_once(filled.run(), expected_of(filled.source, ROW))


# ---- 44: a dry run


def test_44_a_dry_run_sends_no_write_and_leaves_the_state_of_runs_alone(filled: Migration) -> None:
    expected = expected_of(filled.source, ROW)
    filled.assert_holds_once(filled.run(), expected)
    before, items = state_of(filled), filled.items()
    filled.door.reset()
    filled.door.faults.append(refuse_writes)
    dry = filled.run("--dry-run")
    assert dry.exit_code == 1
    assert (dry.report["dry_run"], dry.report["totals"]["written"]) == (True, len(expected.items))
    assert set(filled.door.requests) <= {
        "DescribeTable",
        "ListTables",
        "DescribeTimeToLive",
        "DescribeContinuousBackups",
    }
    assert filled.items() == items
    lock = str(filled.state / "faults.lock")
    kept = {path: file for path, file in state_of(filled).items() if path in before and path != lock}
    assert kept == {path: file for path, file in before.items() if path != lock}


def test_44_a_dry_run_of_a_new_table_creates_nothing(filled: Migration) -> None:
    filled.door.faults.append(refuse_writes)
    assert filled.run("--dry-run").exit_code == 1
    assert not filled.items()


# ---- 45: what verify finds


def put(**changes: Any) -> Callable[[Any, dict[str, Any]], None]:
    """Write the item again with these attributes; None takes one away."""

    def tamper(client: Any, item: dict[str, Any]) -> None:
        changed = {name: value for name, value in (item | changes).items() if value is not None}
        client.put_item(TableName=TABLE, Item=changed)

    return tamper


def delete(client: Any, item: dict[str, Any]) -> None:
    client.delete_item(TableName=TABLE, Key={"PK": item["PK"]})


#: What is done to item 0, 1, …, how `verify` calls it, and the attributes that differ.
TAMPERINGS: list[tuple[Callable[[Any, dict[str, Any]], None], str, list[str]]] = [
    (delete, "missing", []),
    (put(b={"S": "other"}), "different", ["b"]),
    (put(a={"S": "2"}), "different", ["a"]),  # the text of its number
    (put(n=None), "different", ["n"]),  # absent for NULL
    (put(a={"S": "text 4"}, b={"N": "4"}), "different", ["a", "b"]),  # two values exchanged
]


def test_45_verify_finds_each_way_in_which_a_table_may_differ(migration: Migration) -> None:
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a, b, n)")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?, NULL)", ((n, n, f"text {n}") for n in range(20)))
    migration.write(more={"Row": ROW.mapping() | {"nulls": "keep"}})
    assert migration.run().exit_code == 0
    assert migration.migrator("verify", migration.plan).exit_code == 0
    items = migration.items()
    for number, (tamper, *_) in enumerate(TAMPERINGS):
        tamper(migration.client, items[f"K#{number}",])
    migration.client.put_item(TableName=TABLE, Item=items["K#19",] | {"PK": {"S": "K#1000"}})
    outcome = migration.migrator("verify", migration.plan)
    assert outcome.exit_code == 4
    found = {
        difference["key"]["PK"]["S"]: (difference["kind"], [each["name"] for each in difference["attributes"]])
        for difference in outcome.report["differences"]
    }
    expected = {f"K#{number}": (kind, names) for number, (_, kind, names) in enumerate(TAMPERINGS)}
    assert found == expected | {"K#1000": ("extra", [])}


# ---- 47: pipes and terminals


def closed_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_47_a_pipe_that_nobody_reads_changes_neither_data_nor_exit_code(filled: Migration, stream: str) -> None:
    pipe = closed_pipe()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: pipe}
    try:
        with filled.migrator.start("run", str(filled.plan), "--log-level", "debug", **streams) as process:
            exit_code = process.wait(60)
    finally:
        os.close(pipe)
    assert exit_code == 1
    assert plain_values(filled.items()) == plain_values(expected_of(filled.source, ROW).items)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_47_streams_that_are_closed_from_the_start_change_neither(filled: Migration, redirection: str) -> None:
    shell = ("sh", "-c", f'exec "$@" {redirection}', "sh")
    command = replace(filled.migrator, prefix=shell)
    with command.start("run", str(filled.plan)) as process:
        process.communicate(timeout=60)
    assert process.returncode == 1
    assert plain_values(filled.items()) == plain_values(expected_of(filled.source, ROW).items)
