"""Several plans, mappings and applications in one table: whose item is whose."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

TABLE = "shared-e2e"
SCHEMA = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO users VALUES (1, 'ann'), (2, 'bob'), (3, 'cid');
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, total REAL);
INSERT INTO orders VALUES (1, 1, 1.5), (2, 1, 2.5);
"""
TABLE_BLOCK = f"version: 1\ntable: {{name: {TABLE}, partition_key: PK, sort_key: SK}}\n"
USERS = (
    TABLE_BLOCK
    + """
entities:
  User:
    source: users
    key: {PK: "USER#{id}", SK: PROFILE}
"""
)
ORDERS = (
    TABLE_BLOCK
    + """
entities:
  Order:
    source: orders
    key: {PK: "USER#{user_id}", SK: "ORDER#{id}"}
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a source, a mapping of users, a mapping of orders, a plan for each, and one for both."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as db:
        db.executescript(SCHEMA)
    for name, mapping in (("users", USERS), ("orders", ORDERS)):
        (tmp_path / f"{name}-mapping.yaml").write_text(mapping, encoding="utf-8")
        _write_plan(tmp_path, name, f"{name}-mapping.yaml")
    _write_plan(tmp_path, "both", "users-mapping.yaml, orders-mapping.yaml")
    return tmp_path


def _write_plan(folder: Path, name: str, mappings: str) -> None:
    text = f"version: 1\nname: {name}\nsource: shop.sqlite\nmappings: [{mappings}]\n"
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def put(dynamodb: Any, partition: str, sort: str, **attributes: Any) -> None:
    dynamodb.put_item(TableName=TABLE, Item={"PK": {"S": partition}, "SK": {"S": sort}, **attributes})


def test_two_plans_in_one_table_see_each_others_items_as_foreign(migrator: Any, folder: Path) -> None:
    for name in ("users", "orders"):
        assert migrator("run", folder / f"{name}.yaml").exit_code == 0
    users, orders = (migrator("verify", folder / f"{name}.yaml") for name in ("users", "orders"))
    assert (users.exit_code, users.report["foreign"]) == (0, 2)
    assert (orders.exit_code, orders.report["foreign"]) == (0, 3)


def test_two_mappings_of_one_plan_share_their_table(migrator: Any, folder: Path, scan: Any) -> None:
    run = migrator("run", folder / "both.yaml")
    assert run.report["target"]["tables"] == [TABLE]
    assert len(scan(TABLE)) == run.report["totals"]["written"] == 5
    verify = migrator("verify", folder / "both.yaml")
    assert (verify.exit_code, verify.report["foreign"]) == (0, 0)


def test_an_item_of_another_application_is_foreign_and_no_difference(
    migrator: Any, folder: Path, dynamodb: Any
) -> None:
    migrator("run", folder / "both.yaml")
    put(dynamodb, "CART#1", "PROFILE")
    put(dynamodb, "USER#1", "SETTINGS")
    verify = migrator("verify", folder / "both.yaml")
    assert (verify.exit_code, verify.report["foreign"]) == (0, 2)
    assert "foreign: 2" in verify.stdout


def test_an_item_that_fits_an_entity_and_that_no_row_gives_is_extra(migrator: Any, folder: Path, dynamodb: Any) -> None:
    migrator("run", folder / "both.yaml")
    put(dynamodb, "USER#9", "PROFILE", name={"S": "who?"})
    verify = migrator("verify", folder / "both.yaml")
    assert (verify.exit_code, verify.report["foreign"]) == (4, 0)
    assert [(one["kind"], one["entity"], one["key"]) for one in verify.report["differences"]] == [
        ("extra", "User", {"PK": {"S": "USER#9"}, "SK": {"S": "PROFILE"}})
    ]


def test_an_extra_item_of_an_entity_that_is_not_asked_for_is_foreign(
    migrator: Any, folder: Path, dynamodb: Any
) -> None:
    migrator("run", folder / "both.yaml")
    put(dynamodb, "USER#9", "PROFILE")
    verify = migrator("verify", folder / "both.yaml", "--entity", "Order")
    assert (verify.exit_code, verify.report["foreign"]) == (0, 1)


def test_a_run_leaves_the_items_of_others_alone(migrator: Any, folder: Path, dynamodb: Any, scan: Any) -> None:
    migrator("run", folder / "both.yaml")
    put(dynamodb, "CART#1", "PROFILE", total={"N": "7"})
    migrator("run", folder / "both.yaml")
    assert scan(TABLE)["CART#1", "PROFILE"]["total"] == {"N": "7"}


def test_two_mappings_that_describe_one_table_differently_are_refused(migrator: Any, folder: Path) -> None:
    other = ORDERS.replace("sort_key: SK", "sort_key: {SK: N}")
    (folder / "orders-mapping.yaml").write_text(other, encoding="utf-8")
    check = migrator("check", folder / "both.yaml")
    assert check.exit_code == 2
    assert TABLE in check.stderr
    assert "sort_key" in check.stderr
