"""The policy that `migrator iam` prints is what the commands need, and no more: the door enforces it while they run.

What stands behind the door is moto, which refuses nothing by itself; `door_iam` is IAM.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from conftest import clearing_client
from door import Door, Forward, Reply, Request
from door_iam import ACCOUNT, Guard
from door_keeps import KeptSettings
from migrator.cli.app import run_command

TABLE = "IamTest"
MAPPING = """
version: 1
table:
  name: IamTest
  partition_key: PK
  global_indexes:
    byState: {partition_key: state}
  time_to_live: ttl
  point_in_time_recovery: true
  encryption: {kms_key: alias/shop}
  deletion_protection: false
  contributor_insights: true
  stream: NEW_IMAGE
  tags: {Project: shop}
entities:
  Order:
    source: orders
    key: {PK: "ORDER#{name}", state: "{state}"}
    attributes: {note: note}
access_patterns:
  by name: {entity: Order, key: {PK: "ORDER#{name}"}}
  by state: {entity: Order, index: byState, key: {state: "{state}"}}
  all of them: {entity: Order}
"""
SOURCE = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT UNIQUE, state TEXT, note TEXT);
INSERT INTO orders VALUES (1, 'a', 'open', 'first'), (2, 'b', 'sent', 'second');
"""
#: What a run asks to learn that its table is empty; it goes on where it may not know.
LOOK = {"dynamodb:Scan"}


class Shop:
    """A plan in a folder of its own, and the door in front of its table."""

    def __init__(self, folder: Path, door: Door, client: Any, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.door = door
        self.client = client
        self._capsys = capsys
        (folder / "mapping.yaml").write_text(MAPPING)
        self.source(SOURCE)
        self.settings()

    def source(self, script: str) -> None:
        with closing(sqlite3.connect(self.folder / "shop.sqlite")) as database:
            database.executescript(script)

    def settings(self, **settings: Any) -> None:
        plan = {
            "version": 1,
            "name": "shop",
            "source": "shop.sqlite",
            "mappings": ["mapping.yaml"],
            "target": {"endpoint_url": self.door.url, "region": "us-east-1"},
            "settings": {"parallelism": 1} | settings,
        }
        (self.folder / "plan.yaml").write_text(json.dumps(plan))

    def __call__(self, command: str, *options: str) -> int:
        return run_command([*command.split(), str(self.folder / "plan.yaml"), *options])

    def policy(self, *commands: str) -> dict[str, Any]:
        self._capsys.readouterr()
        assert self("iam", "--account", ACCOUNT, *(word for name in commands for word in ("--for", name))) == 0
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return document

    def guard(self, *commands: str) -> Guard:
        """From here on, the door takes only what is allowed for these commands."""
        guard = Guard(self.policy(*commands))
        self.door.faults.append(guard)
        return guard

    def put(self, name: str, note: str) -> None:
        """By somebody else, past the guard."""
        item = {"PK": {"S": f"ORDER#{name}"}, "state": {"S": "open"}, "note": {"S": note}}
        faults, self.door.faults = self.door.faults, []
        self.client.put_item(TableName=TABLE, Item=item)
        self.door.faults = faults

    def last_run(self) -> str:
        self._capsys.readouterr()
        assert self("runs", "--format", "json") == 0
        runs = json.loads(self._capsys.readouterr().out)["runs"]
        return str(runs[0]["run_id"])


@pytest.fixture
def shop(tmp_path: Path, moto_url: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    with Door(moto_url) as door:
        door.keeps(KeptSettings())
        with clearing_client(door) as client:
            yield Shop(tmp_path, door, client, capsys)


def assert_fits(guard: Guard, *, refused: Collection[str] = ()) -> None:
    """Nothing was missing but `refused`, and nothing is there for nothing."""
    assert (guard.refused, guard.unused()) == (set(refused), set())


def creating(request: Request, forward: Forward) -> Reply:
    """A backup takes its time."""
    reply = forward(request)
    if request.operation != "CreateBackup":
        return reply
    details = reply.document["BackupDetails"] | {"BackupStatus": "CREATING"}
    return Reply.of({"BackupDetails": details})


class LostCondition:
    """The first delete finds another item than it was to find."""

    def __init__(self) -> None:
        self.is_over = False

    def __call__(self, request: Request, forward: Forward) -> Reply:
        if request.operation != "DeleteItem" or self.is_over:
            return forward(request)
        self.is_over = True
        return Reply.error("com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "The condition failed")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"on_existing": "skip"},
        {"on_existing": "error"},
        {"rollback": True},
        {"verify": "sample"},
    ],
    ids=str,
)
def test_a_run_makes_its_table_and_fills_it(shop: Shop, settings: dict[str, Any]) -> None:
    shop.settings(**settings)
    guard = shop.guard("run")
    # A scan is one of the access patterns that `verify` asks.
    refused = () if "verify" in settings else LOOK
    assert shop("run") == 0
    assert_fits(guard, refused=refused)


def test_a_run_that_makes_no_table_needs_no_right_to(shop: Shop) -> None:
    assert shop("table create") == 0
    shop.settings(create_table="never")
    guard = shop.guard("run")
    assert shop("run") == 0
    assert_fits(guard, refused=LOOK)


def test_a_run_backs_its_table_up(shop: Shop) -> None:
    shop.settings(backup=True)
    guard = shop.guard("run")
    shop.door.faults.append(creating)
    assert shop("run") == 0
    assert_fits(guard, refused=LOOK)


def test_a_run_verifies_all_and_tells_what_differs(shop: Shop) -> None:
    assert shop("table create") == 0
    shop.put("a", "somebody else's")
    shop.settings(verify="full", on_existing="skip", create_table="never")
    guard = shop.guard("run")
    assert shop("run") == 4
    assert_fits(guard)


def test_an_incremental_run_deletes_with_the_right_to_write(shop: Shop) -> None:
    shop.settings(incremental={"hash": {"max_deletes": 1}}, create_table="never")
    assert shop("table create") == 0
    assert shop("run") == 0
    shop.source("DELETE FROM orders WHERE id = 1; UPDATE orders SET note = 'new' WHERE id = 2")
    guard = shop.guard("run")
    assert shop("run") == 0
    assert sum(shop.door.deletes.values()) == 1
    assert_fits(guard, refused=LOOK)


def test_verify_reads_and_writes_nothing(shop: Shop) -> None:
    assert shop("run") == 0
    shop.put("a", "changed")
    guard = shop.guard("verify")
    assert shop("verify") == 4
    assert_fits(guard)


def test_retry_writes_what_was_rejected(shop: Shop) -> None:
    shop.source("INSERT INTO orders VALUES (3, NULL, 'open', 'third')")
    assert shop("run") == 1
    shop.source("UPDATE orders SET name = 'c' WHERE id = 3")
    guard = shop.guard("retry")
    assert shop("retry") == 0
    assert_fits(guard)


def test_rollback_deletes_and_restores(shop: Shop) -> None:
    assert shop("table create") == 0
    shop.put("a", "before")
    shop.settings(rollback=True)
    assert shop("run") == 0
    guard = shop.guard("rollback")
    shop.door.faults.append(LostCondition())
    assert shop("rollback", "--run", shop.last_run()) == 0
    assert_fits(guard)


def test_a_run_that_can_be_taken_back_without_files_may_look_whether_its_table_is_empty(shop: Shop) -> None:
    guard = shop.guard("run", "rollback")
    assert shop("run") == 0
    assert shop("rollback", "--run", shop.last_run()) == 0
    assert guard.refused == set()


@pytest.mark.parametrize("command", ["check", "table check", "table show"])
def test_what_only_looks_at_the_table(shop: Shop, command: str) -> None:
    assert shop("run") == 0
    guard = shop.guard(command)
    assert shop(command) == 0
    assert_fits(guard)


def test_table_create_makes_a_table_and_gives_one_that_is_there_what_it_misses(shop: Shop) -> None:
    guard = shop.guard("table create")
    assert shop("table create") == 0
    protected = MAPPING.replace("deletion_protection: false", "deletion_protection: true")
    (shop.folder / "mapping.yaml").write_text(protected)
    assert shop("table create") == 0
    assert_fits(guard)


def test_table_clear_empties_the_table(shop: Shop) -> None:
    assert shop("run") == 0
    guard = shop.guard("table clear")
    assert shop("table clear", "--yes", TABLE) == 0
    assert_fits(guard)


def test_less_than_the_policy_stops_a_run(shop: Shop) -> None:
    policy = shop.policy("run")
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != "Write"]
    shop.door.faults.append(Guard(policy))
    assert shop("run") == 3
