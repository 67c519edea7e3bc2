"""Keys that are missing, fall together, or are what DynamoDB does not take: faults 12, 13 and 19."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from migration import Migration, rejected
from oracle_rows import Entity, expected_of


def make(path: Path, schema: str, rows: Sequence[tuple[Any, ...]]) -> None:
    table = schema.split()[0]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE {schema}")
        marks = ", ".join("?" for _ in rows[0])
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def test_12_null_keys_and_keys_that_look_alike_are_never_merged_in_silence(migration: Migration) -> None:
    rows = [(None, "a"), (None, "b"), (1, "integer"), ("1", "text"), (b"1", "blob"), (2.5, "real"), ("2.5", "text")]
    make(migration.source, "things (k PRIMARY KEY, v)", rows)
    thing = Entity("Thing", "things", "k")
    migration.write(thing)
    expected = expected_of(migration.source, thing)
    codes = sorted(code for _, _, code in expected.rejects.elements())
    assert codes == ["blob_in_template", "duplicate_key", "duplicate_key", "null_key", "null_key"]
    migration.assert_holds(migration.run(), expected)


ROWS = [(number, f"k{number}", number) for number in range(80)]
ROW = Entity("Row", "rows", "k", primary_key="id")
OTHER = Entity("Other", "others", "k", primary_key="id")
SCHEMA = "{} (id INTEGER PRIMARY KEY, k TEXT, v INTEGER)"


@pytest.mark.parametrize("second", [1, 60], ids=["in one batch", "in two batches"])
def test_13_two_rows_of_one_key_are_found(migration: Migration, second: int) -> None:
    rows = [(id_, "k0" if id_ == second else k, v) for id_, k, v in ROWS]
    make(migration.source, SCHEMA.format("rows"), rows)
    migration.write(ROW)
    outcome = migration.run()
    assert names_both(rejected(outcome), second, "Row (id: 0)")
    migration.assert_holds(outcome, expected_of(migration.source, ROW))


def test_13_two_rows_of_one_key_that_two_workers_read_are_found(migration: Migration) -> None:
    files = [migration.source, migration.source.with_name("zweite.sqlite")]
    for file in files:
        make(file, SCHEMA.format("rows"), [(id_, f"{file.stem} {k}" if id_ else "shared", v) for id_, k, v in ROWS])
    with closing(sqlite3.connect(files[1])) as connection, connection:
        connection.execute("UPDATE rows SET v = 99 WHERE k = 'shared'")
    migration.write(ROW, sources=[f"source/{file.name}" for file in files], parallelism=2)
    outcome = migration.run()
    (line,) = rejected(outcome)
    assert line["file"] == str(files[1])
    assert names_both([line], 0, f"Row (id: 0) of {files[0]}")
    migration.assert_holds(outcome, expected_of(files, ROW))


def test_13_two_entities_of_one_key_are_found(migration: Migration) -> None:
    make(migration.source, SCHEMA.format("rows"), ROWS)
    make(migration.source, SCHEMA.format("others"), [(500, "k7", 500), (501, "own", 501)])
    migration.write(ROW, OTHER, parallelism=2)
    outcome = migration.run()
    assert names_both(rejected(outcome), 500, "Row (id: 7)")
    migration.assert_holds(outcome, expected_of(migration.source, ROW, OTHER))


def test_13_two_entities_that_give_one_item_are_no_conflict_whatever_wrote_its_numbers(migration: Migration) -> None:
    """-1 and -1.0 are one number to DynamoDB."""
    make(migration.source, SCHEMA.format("rows"), [(0, "k", -1)])
    make(migration.source, SCHEMA.format("others").replace("v INTEGER", "v REAL"), [(0, "k", -1)])
    migration.write(ROW, OTHER)
    outcome = migration.run()
    assert outcome.entity("Other")["skipped"] == 1
    migration.assert_holds(outcome, expected_of(migration.source, ROW, OTHER))


def names_both(lines: list[dict[str, Any]], loser: int, winner: str) -> bool:
    """Whether the one line is the row that lost its key, and says which row has it."""
    (line,) = lines
    return line["row"] == {"id": {"N": str(loser)}} and winner in line["detail"]


TEXT_KEYS = [
    ("2048 bytes", "é" * 1024, "s"),
    ("2049 bytes", "é" * 1024 + "a", "s"),
    ("sort 1024 bytes", "p", "日" * 341 + "a"),
    ("sort 1025 bytes", "p", "日" * 341 + "ab"),
    ("2048 characters", "é" * 2048, "s"),
    ("empty", "", "s"),
    ("empty sort", "p", ""),
    ("blank", " ", " "),
    ("NUL", "\0", "\0"),
    ("emoji", "😀", "😀"),
]
BLOB_KEYS = [
    ("2048 bytes", b"\xff" * 2048, b"s"),
    ("2049 bytes", b"\xff" * 2049, b"s"),
    ("sort 1024 bytes", b"p", b"\0" * 1024),
    ("sort 1025 bytes", b"p", b"\0" * 1025),
    ("empty", b"", b"s"),
    ("empty sort", b"p", b""),
    ("any bytes", bytes(range(256)), b"\x80"),
]


@pytest.mark.parametrize(("kind", "rows"), [("S", TEXT_KEYS), ("B", BLOB_KEYS)], ids=["text", "blob"])
def test_19_a_key_is_written_exactly_if_dynamodb_takes_it(
    migration: Migration, kind: str, rows: list[tuple[str, Any, Any]]
) -> None:
    make(migration.source, "keys (name TEXT PRIMARY KEY, p, s)", rows)
    key = {"PK": "{p}", "SK": "{s}"}
    migration.write(
        table={"partition_key": {"PK": kind}, "sort_key": {"SK": kind}},
        more={"Key": {"source": "keys", "key": key, "attributes": {"name": "name"}}},
    )
    outcome = migration.run()
    items = migration.items()
    taken = {name for name, p, s in rows if is_taken(migration, {"PK": {kind: p}, "SK": {kind: s}})}
    assert 0 < len(taken) < len(rows)
    assert {item["name"]["S"] for item in items.values()} == taken
    assert {line["row"]["name"]["S"] for line in rejected(outcome)} == {name for name, *_ in rows} - taken
    assert {line["code"] for line in rejected(outcome)} == {"key_too_long", "empty_key"}
    assert outcome.exit_code == 1


def is_taken(migration: Migration, key: dict[str, Any]) -> bool:
    """Whether the service itself takes an item of that key."""
    try:
        migration.client.put_item(TableName="faults", Item=key)
    except ClientError:
        return False
    return True
