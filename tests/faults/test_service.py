"""A service that says no: credentials, rights, tables and items that it does not take: faults 28 to 34."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from command import Outcome
from conftest import await_table
from cut_off import in_short_segments
from door import Forward, Reply, Request
from door_faults import EXPIRED, after, before_writes, delay, deny
from migration import ROW, TABLE, Migration, plain_values, rejected, said_plainly
from oracle_rows import Entity, expected_of


def assert_nothing_condemned(outcome: Outcome) -> None:
    """No item failed, and no row was rejected but the one that is no item anyway."""
    assert outcome.report["totals"]["failed"] == 0
    assert {line["code"] for line in rejected(outcome)} <= {"invalid_utf8"}


# ---- 28: credentials


def with_credentials(migration: Migration, **more: str) -> Migration:
    """The command with credentials from files instead of the environment."""
    environment = {name: value for name, value in migration.migrator.environment.items() if "_KEY" not in name}
    return replace(migration, migrator=replace(migration.migrator, environment=environment | more))


def access_key(request: Request) -> str:
    found = re.search(r"Credential=(\w+)/", request.headers["Authorization"])
    assert found
    return found[1]


def expired() -> Reply:
    return Reply.error(EXPIRED, "The security token included in the request is expired")


#: A `credential_process` that gives another key each time, and says that it will soon be over.
PROCESS = """
import datetime, json, pathlib, sys
counter = pathlib.Path(sys.argv[1])
number = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(number))
ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)
key = {"Version": 1, "AccessKeyId": f"KEY{number}", "SecretAccessKey": "secret", "Expiration": ends.isoformat()}
print(json.dumps(key))
"""


def test_28_credentials_that_expire_on_the_way_are_refreshed(filled: Migration) -> None:
    script, config = filled.folder / "credentials.py", filled.folder / "config"
    script.write_text(PROCESS, encoding="utf-8")
    process = f"{sys.executable} {script} {filled.folder / 'counter'}"
    config.write_text(f"[default]\ncredential_process = {process}\n", encoding="utf-8")
    first_seen: dict[str, float] = {}

    def valid_for_half_a_second(request: Request, forward: Forward) -> Reply:
        key, now = access_key(request), time.monotonic()
        if not key.startswith("KEY"):  # the test's own
            return forward(request)
        return expired() if now - first_seen.setdefault(key, now) > 0.5 else forward(request)

    filled.write(ROW, batch_size=5, connections=1)
    filled.door.faults += [valid_for_half_a_second, delay(0.1)]
    refreshed = with_credentials(filled, AWS_CONFIG_FILE=str(config))
    refreshed.assert_holds(refreshed.run(), expected_of(filled.source, ROW))
    assert len(first_seen) > 2


def test_28_credentials_that_are_over_stop_the_run_which_goes_on_with_new_ones(filled: Migration) -> None:
    expected = expected_of(filled.source, ROW)
    file = filled.folder / "credentials"
    file.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = x\n", encoding="utf-8")
    filled.write(ROW, batch_size=5, connections=1)
    filled.door.faults.append(
        after(4, lambda request, forward: expired() if access_key(request) == "OLD" else forward(request))
    )
    logged_in = with_credentials(filled, AWS_SHARED_CREDENTIALS_FILE=str(file))
    outcome = logged_in.run()
    logged_in.assert_stopped(outcome, "credentials_expired")
    assert_nothing_condemned(outcome)
    assert outcome.report["error"]["retryable"]
    file.write_text(file.read_text(encoding="utf-8").replace("OLD", "NEW"), encoding="utf-8")
    logged_in.assert_holds(logged_in.resume(), expected)


# ---- 29 and 30: found before anything is written


def test_29_a_denied_write_stops_the_run_with_its_first_request(filled: Migration) -> None:
    filled.write(ROW, batch_size=5, connections=1)
    filled.door.faults.append(deny(None))
    outcome = filled.run()
    filled.assert_stopped(outcome, "access_denied")
    assert filled.door.requests["BatchWriteItem"] == 1
    assert outcome.report["totals"]["written"] == 0
    assert_nothing_condemned(outcome)
    filled.door.faults.clear()
    filled.assert_holds(filled.run(), expected_of(filled.source, ROW))


def test_29_what_was_proved_before_a_denied_write_is_not_proved_again(filled: Migration) -> None:
    by_text = Entity("Row", "rows", "b", primary_key="id")
    filled.write(by_text)
    filled.door.faults.append(deny(None))
    filled.assert_stopped(filled.run(), "access_denied")
    filled.door.faults.clear()
    dying_of_proof = in_short_segments(filled.migrator, "opened.prove_segment = kill")
    outcome = replace(filled, migrator=dying_of_proof).resume()
    filled.assert_holds_once(outcome, expected_of(filled.source, by_text))


#: what is there in the table's place -> the key of it, and the code of the error
OTHER_TABLES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "another key": ({"id": "S"}, "table_mismatch"),
    "a key of another type": ({"PK": "N"}, "table_mismatch"),
    "no sort key": ({"PK": "S"}, "table_mismatch"),
    "a sort key of another name": ({"PK": "S", "range": "S"}, "table_mismatch"),
    "nothing": ({}, "table_missing"),
}


def create(migration: Migration, types: Mapping[str, str]) -> None:
    if not types:
        return
    migration.client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(types, ("HASH", "RANGE"), strict=False)],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    await_table(migration.client, TABLE)


def assert_found_by_all(migration: Migration, code: str) -> None:
    """`check`, the dry run and the run find it, and nothing is sent."""
    assert migration.migrator("check", migration.plan).exit_code == (3 if code == "table_missing" else 4)
    for options in (("--dry-run",), ()):
        outcome = migration.run(*options)
        assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, code)
        assert said_plainly(outcome.stderr)
    assert migration.door.requests["BatchWriteItem"] == 0


@pytest.mark.parametrize(("types", "code"), OTHER_TABLES.values(), ids=OTHER_TABLES)
def test_30_a_table_of_other_keys_is_found_before_anything_is_written(
    filled: Migration, types: Mapping[str, str], code: str
) -> None:
    row = {"source": "rows", "key": {"PK": "K#{id}", "SK": "{a}"}}
    filled.write(table={"sort_key": "SK"}, more={"Row": row}, create_table="never")
    create(filled, types)
    assert_found_by_all(filled, code)


def test_30_a_table_that_is_not_active_is_found_before_anything_is_written(filled: Migration) -> None:
    create(filled, {"PK": "S"})

    def being_deleted(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.operation != "DescribeTable":
            return reply
        return Reply.of({"Table": reply.document["Table"] | {"TableStatus": "DELETING"}})

    filled.door.faults.append(being_deleted)
    assert_found_by_all(filled, "table_not_active")


# ---- 31 to 33: items

#: DG Constraints, "Item size": names and values, here "PK" with "K#0" or so, and "b".
LARGEST_VALUE = 400 * 1024 - len("PKK#0b")
BIG = Entity("Row", "rows", "id")


def fill_with(migration: Migration, values: list[str]) -> None:
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, b TEXT)")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", enumerate(values))
    migration.write(BIG)


def test_31_an_item_of_409600_bytes_is_written_and_one_more_byte_is_rejected(migration: Migration) -> None:
    fill_with(migration, ["é" * (LARGEST_VALUE // 2), "x" * LARGEST_VALUE, "x" * (LARGEST_VALUE + 1)])
    expected = expected_of(migration.source, BIG)
    del expected.items["K#2",]
    expected.rejects["Row", '{"id": {"N": "2"}}', "item_too_large"] += 1
    migration.assert_holds(migration.run(), expected)
    assert migration.door.refused == []


@pytest.mark.parametrize("character", ["x", "\x01"], ids=["10 MB", "60 MB on the wire"])
def test_31_25_large_items_are_split_into_requests_that_the_service_takes(migration: Migration, character: str) -> None:
    fill_with(migration, [character * 400_000] * 25)
    migration.assert_holds_once(migration.run(), expected_of(migration.source, BIG))
    assert migration.door.refused == []


def test_32_one_item_of_25_that_dynamodb_refuses_fails_alone_in_its_words(filled: Migration) -> None:
    expected = expected_of(filled.source, ROW)
    filled.write(ROW, validate=False)
    with closing(sqlite3.connect(filled.source)) as connection, connection:
        connection.execute("UPDATE rows SET b = ? WHERE id = 7", ("x" * 410_000,))
    outcome = filled.run()
    assert (outcome.exit_code, outcome.report["totals"]["failed"]) == (1, 1)
    (line,) = map(json.loads, Path(outcome.report["failed"]).read_text(encoding="utf-8").splitlines())
    assert line["key"] == {"PK": {"S": "K#7"}}
    assert filled.door.refused[-1].message in json.dumps(line)
    del expected.items["K#7",]
    assert plain_values(filled.items()) == plain_values(expected.items)


def test_33_an_index_key_of_another_type_or_empty_is_foretold_by_the_dry_run(migration: Migration) -> None:
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, n, s)")
        values = [(1, "a"), ("text", "a"), (2, ""), (None, None), (b"\0", "a"), (2.5, 7)]
        connection.executemany("INSERT INTO rows (n, s) VALUES (?, ?)", values)
    index = {"partition_key": {"N1": "N"}, "sort_key": "S1", "projection": "ALL"}
    row = {"source": "rows", "key": {"PK": "K#{id}", "N1": "{n}", "S1": "{s}"}, "columns": "none"}
    migration.write(table={"global_indexes": {"GSI1": index}}, more={"Row": row})
    foretold = migration.run("--dry-run")
    outcome = migration.run()
    assert outcome.exit_code == foretold.exit_code == 1
    same = ("read", "items", "written", "rejected", "failed")
    assert [foretold.report["totals"][name] for name in same] == [6, 4, 4, 2, 0]
    assert [outcome.report["totals"][name] for name in same] == [6, 4, 4, 2, 0]
    assert rejected(foretold) == rejected(outcome)
    keys = {key: sorted(item.keys() - {"PK"}) for (key,), item in migration.items().items()}
    assert keys == {"K#1": ["N1", "S1"], "K#3": ["N1"], "K#4": [], "K#6": ["N1", "S1"]}
    assert migration.door.refused == []


# ---- 34: the table goes away


@pytest.mark.parametrize("parallelism", [1, 2])
def test_34_a_table_deleted_on_the_way_stops_the_run_and_condemns_nothing(filled: Migration, parallelism: int) -> None:
    filled.write(ROW, parallelism=parallelism, batch_size=5, connections=1)

    def delete() -> None:
        filled.client.delete_table(TableName=TABLE)
        await_table(filled.client, TABLE, "table_not_exists")

    nothing: list[Callable[[], object]] = [lambda: None] * 3
    filled.door.faults.append(before_writes(*nothing, delete))
    outcome = filled.run()
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, "table_missing")
    assert said_plainly(outcome.stderr)
    assert filled.door.requests["BatchWriteItem"] <= 3 + parallelism
    assert_nothing_condemned(outcome)
    again = filled.run()
    assert (again.exit_code, again.report["error"]["code"]) == (3, "resume_refused")
    filled.assert_holds(filled.run("--restart"), expected_of(filled.source, ROW))
