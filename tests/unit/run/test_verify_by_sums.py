"""Keys proved by the schema, and no access patterns: nothing asks for single items but a difference."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from migrator.run import opened
from migrator.run.plan import Plan, load_plan
from migrator.run.verify import verify_plan

PLAN = """
version: 1
name: shop
source: shop.sqlite
mappings: [users.yaml, tags.yaml]
settings: {parallelism: 1, state_dir: state}
"""
USERS = """
version: 1
table: {name: users, partition_key: PK}
items:
  - {PK: STATUS, status: ready}
entities:
  User:
    source: users
    key: {PK: "USER#{id}"}
    attributes: {name: name, photo: photo}
    columns: none
  Order:
    source: orders
    key: {PK: "ORDER#{id}"}
    attributes: {lines: {list: {source: lines, match: {order_id: id}, attributes: {item: item}}}}
    columns: none
"""
TAGS = """
version: 1
table: {name: tags, partition_key: {PK: N}}
entities:
  Tag:
    source: tags
    key: {PK: "{id}"}
    attributes: {name: name}
    columns: none
"""
SOURCE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, photo BLOB);
INSERT INTO users VALUES (1, 'ann', x'00ff'), (2, 'bob', NULL), (3, CAST(x'ff' AS TEXT), NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY);
INSERT INTO orders VALUES (7), (8);
CREATE TABLE lines (id INTEGER PRIMARY KEY, order_id INTEGER, item TEXT);
INSERT INTO lines VALUES (1, 7, 'pen'), (2, 7, 'ink');
CREATE INDEX lines_order ON lines (order_id);
CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO tags VALUES (1, 'red'), (2, 'blue');
"""
Item = dict[str, Any]
ANN: Item = {"PK": {"S": "USER#1"}, "name": {"S": "ann"}, "photo": {"B": b"\x00\xff"}}
BOB: Item = {"PK": {"S": "USER#2"}, "name": {"S": "bob"}}
PEN, INK = ({"M": {"item": {"S": item}}} for item in ("pen", "ink"))
#: What the source gives, by hand. The third user's name is not UTF-8.
ITEMS: dict[str, list[Item]] = {
    "users": [
        {"PK": {"S": "STATUS"}, "status": {"S": "ready"}},
        ANN,
        BOB,
        {"PK": {"S": "ORDER#7"}, "lines": {"L": [PEN, INK]}},
        {"PK": {"S": "ORDER#8"}, "lines": {"L": []}},
    ],
    "tags": [{"PK": {"N": "1"}, "name": {"S": "red"}}, {"PK": {"N": "2"}, "name": {"S": "blue"}}],
}
Change = Callable[[Any], Any]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as db:
        db.executescript(SOURCE)
    for name, text in {"plan.yaml": PLAN, "users.yaml": USERS, "tags.yaml": TAGS}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return load_plan(tmp_path / "plan.yaml")


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        for table, items in ITEMS.items():
            client.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "N" if table == "tags" else "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            for item in items:
                client.put_item(TableName=table, Item=item)
        yield client


def test_equal_sides_take_no_record_of_an_item(plan: Plan, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("its items one by one")

    monkeypatch.setattr(opened, "prove_segment", never)
    report = verify_plan(plan)
    assert (report.exit_code, report.foreign) == (0, 0)
    assert [(e.entity, e.expected, e.found) for e in report.entities] == [
        ("items", 1, 1),
        ("User", 2, 2),
        ("Order", 2, 2),
        ("Tag", 2, 2),
    ]


def put(table: str, item: Item) -> Change:
    return lambda client: client.put_item(TableName=table, Item=item)


def delete(table: str, key: Item) -> Change:
    return lambda client: client.delete_item(TableName=table, Key={"PK": key})


#: what is done to the tables -> the differences that are found
CHANGES: dict[str, tuple[list[Change], list[tuple[str, str]]]] = {
    "an item is gone": ([delete("users", {"S": "ORDER#8"})], [("missing", "Order")]),
    "the only fixed one is": ([delete("users", {"S": "STATUS"})], [("missing", "items")]),
    "one came": ([put("users", BOB | {"PK": {"S": "USER#9"}})], [("extra", "User")]),
    "a byte changed": ([put("users", ANN | {"photo": {"B": b"\x00\xfe"}})], [("different", "User")]),
    "a list was turned round": (
        [put("users", {"PK": {"S": "ORDER#7"}, "lines": {"L": [INK, PEN]}})],
        [("different", "Order")],
    ),
    "two values were exchanged": (
        [put("users", ANN | {"name": {"S": "bob"}}), put("users", BOB | {"name": {"S": "ann"}})],
        [("different", "User")] * 2,
    ),
    "an item went and another came": (
        [delete("tags", {"N": "2"}), put("tags", {"PK": {"N": "3"}, "name": {"S": "blue"}})],
        [("missing", "Tag"), ("extra", "Tag")],
    ),
}


@pytest.mark.parametrize(("changes", "found"), CHANGES.values(), ids=CHANGES)
def test_whatever_differs_is_found(
    plan: Plan, dynamodb: Any, changes: list[Change], found: list[tuple[str, str]]
) -> None:
    for change in changes:
        change(dynamodb)
    report = verify_plan(plan)
    assert report.exit_code == 4
    assert [(d.kind, d.entity) for d in report.differences] == found


def test_an_item_in_the_wrong_table_is_missed_in_its_own(plan: Plan, tmp_path: Path, dynamodb: Any) -> None:
    """Both tables together hold what they should."""
    (tmp_path / "tags.yaml").write_text(TAGS.replace("{PK: N}", "PK").replace("{id}", "TAG#{id}"), encoding="utf-8")
    dynamodb.delete_table(TableName="tags")
    dynamodb.create_table(
        TableName="tags",
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for number, name, table in ((1, "red", "tags"), (2, "blue", "users")):
        put(table, {"PK": {"S": f"TAG#{number}"}, "name": {"S": name}})(dynamodb)
    report = verify_plan(load_plan(tmp_path / "plan.yaml"))
    assert [(d.kind, d.entity) for d in report.differences] == [("missing", "Tag")]
    assert report.foreign == 1


def test_items_of_others_are_counted_and_no_difference(plan: Plan, dynamodb: Any) -> None:
    put("users", {"PK": {"S": "TENANT#1"}})(dynamodb)
    report = verify_plan(plan)
    assert (report.exit_code, report.foreign, report.differences) == (0, 1, [])
    assert sum(e.found for e in report.entities) == 7
