from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from migrator.errors import TargetError
from migrator.run.particulars import attribute_differences
from migrator.run.plan import Plan, load_plan
from migrator.run.verify import verify_plan
from migrator.run.verify_report import EntityComparison, VerifyReport

PLAN = """
version: 1
name: shop
source: shop.sqlite
mappings: [shop.yaml]
settings: {parallelism: 1, state_dir: state}
"""
MAPPING = """
version: 1
table: {name: shop-table, partition_key: PK, sort_key: SK, time_to_live: ttl}
items:
  - {PK: SYSTEM, SK: STATUS, status: ready}
entities:
  User:
    source: users
    key: {PK: "USER#{id}", SK: PROFILE}
    attributes: {name: name, ttl: expires}
    columns: none
  Order:
    source: orders
    key: {PK: "USER#{user_id}", SK: "ORDER#{id}"}
    attributes: {total: total}
    columns: none
  Alias:
    source: users
    key: {PK: "USER#{id}", SK: "{name}"}
    columns: none
"""
SOURCE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, expires INTEGER);
INSERT INTO users VALUES (1, 'ann', NULL), (2, 'bob', 100), (3, 'PROFILE', NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, total REAL);
INSERT INTO orders VALUES (1, 1, 1.5), (2, 1, 2.5), (3, 2, 10.0);
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    with sqlite3.connect(tmp_path / "shop.sqlite") as connection:
        connection.executescript(SOURCE)
    connection.close()
    (tmp_path / "plan.yaml").write_text(PLAN, encoding="utf-8")
    (tmp_path / "shop.yaml").write_text(MAPPING, encoding="utf-8")
    return load_plan(tmp_path / "plan.yaml")


def user(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"PK": {"S": f"USER#{number}"}, "SK": {"S": "PROFILE"}, "name": {"S": name}, **more}


def order(number: int, owner: int, total: str) -> dict[str, Any]:
    return {"PK": {"S": f"USER#{owner}"}, "SK": {"S": f"ORDER#{number}"}, "total": {"N": total}}


def alias(number: int, name: str) -> dict[str, Any]:
    return {"PK": {"S": f"USER#{number}"}, "SK": {"S": name}}


#: What the source gives, by hand. The third user's alias has the key of its profile, so that row is rejected.
ITEMS = [
    {"PK": {"S": "SYSTEM"}, "SK": {"S": "STATUS"}, "status": {"S": "ready"}},
    user(1, "ann"),
    user(2, "bob", ttl={"N": "100"}),
    user(3, "PROFILE"),
    order(1, 1, "1.50"),
    order(2, 1, "2.5"),
    order(3, 2, "10"),
    alias(1, "ann"),
    alias(2, "bob"),
]


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="shop-table",
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")],
            BillingMode="PAY_PER_REQUEST",
        )
        put(client, *ITEMS)
        yield client


def put(client: Any, *items: dict[str, Any]) -> None:
    for item in items:
        client.put_item(TableName="shop-table", Item=item)


def delete(client: Any, item: dict[str, Any]) -> None:
    client.delete_item(TableName="shop-table", Key={name: item[name] for name in ("PK", "SK")})


def counts(report: VerifyReport) -> dict[str, tuple[int, int, int | None, int, int]]:
    """Entities that are not all well: found, missing, extra, different, expired."""
    return {
        e.entity: (e.found, e.missing, e.extra, e.different, e.expired)
        for e in report.entities
        if e.differences or e.expired
    }


def test_a_table_as_the_source_gives_it_is_equal_whether_or_not_rows_were_rejected(plan: Plan, dynamodb: Any) -> None:
    report = verify_plan(plan)
    assert (report.exit_code, counts(report), report.foreign) == (0, {}, 0)
    assert [(e.entity, e.expected, e.found) for e in report.entities] == [
        ("items", 1, 1),
        ("User", 3, 3),
        ("Order", 3, 3),
        ("Alias", 2, 2),
    ]


def test_a_missing_item_is_found(plan: Plan, dynamodb: Any) -> None:
    delete(dynamodb, order(1, 1, "1.5"))
    report = verify_plan(plan)
    assert (report.exit_code, counts(report)) == (4, {"Order": (2, 1, 0, 0, 0)})
    assert 'missing: Order PK "USER#1", SK "ORDER#1"' in report.to_text()


def test_a_missing_item_past_its_time_to_live_is_expired_and_no_difference(plan: Plan, dynamodb: Any) -> None:
    delete(dynamodb, user(2, "bob"))
    report = verify_plan(plan)
    assert (report.exit_code, counts(report)) == (0, {"User": (2, 0, 0, 0, 1)})


def test_a_missing_item_before_its_time_to_live_is_missing(plan: Plan, dynamodb: Any) -> None:
    delete(dynamodb, user(2, "bob"))
    assert counts(verify_plan(plan, clock=lambda: 99.0)) == {"User": (2, 1, 0, 0, 0)}


def test_an_extra_item_fits_an_entitys_templates_and_others_are_foreign(plan: Plan, dynamodb: Any) -> None:
    put(dynamodb, user(9, "extra"), {"PK": {"S": "TENANT#1"}, "SK": {"S": "x"}})
    report = verify_plan(plan)
    assert (report.exit_code, counts(report), report.foreign) == (4, {"User": (3, 0, 1, 0, 0)}, 1)


def test_a_different_item_is_told_with_the_attributes_that_differ(plan: Plan, dynamodb: Any) -> None:
    put(dynamodb, user(1, "Ann", nick={"S": "a"}), {**order(1, 1, "1"), "total": {"S": "1.5"}})
    report = verify_plan(plan)
    assert counts(report) == {"User": (3, 0, 0, 1, 0), "Order": (3, 0, 0, 1, 0)}
    text = report.to_text()
    assert 'name: source {"S": "ann"}, table {"S": "Ann"}' in text
    assert 'nick: source absent, table {"S": "a"}' in text
    assert 'total: source {"N": "1.5"}, table {"S": "1.5"}' in text


def test_two_values_exchanged_are_two_differences(plan: Plan, dynamodb: Any) -> None:
    put(dynamodb, user(1, "PROFILE"), user(3, "ann"))
    assert counts(verify_plan(plan)) == {"User": (3, 0, 0, 2, 0)}


def test_only_the_selected_entities_are_told(plan: Plan, dynamodb: Any) -> None:
    delete(dynamodb, user(1, "ann"))
    delete(dynamodb, order(1, 1, "1.5"))
    report = verify_plan(plan, entities=["Order"])
    assert [e.entity for e in report.entities] == ["Order"]
    assert counts(report) == {"Order": (2, 1, 0, 0, 0)}


def test_items_of_other_entities_that_fit_a_selected_template_are_not_extra(plan: Plan, dynamodb: Any) -> None:
    report = verify_plan(plan, entities=["Alias"])
    assert (report.exit_code, report.foreign) == (0, 0)


def test_a_sample_finds_what_is_missing_of_it_and_looks_for_no_extra(plan: Plan, dynamodb: Any) -> None:
    put(dynamodb, user(9, "extra"))
    for number, owner in ((1, 1), (2, 1), (3, 2)):
        delete(dynamodb, order(number, owner, "0"))
    report = verify_plan(plan, sample=2)
    assert counts(report) == {"Order": (0, 2, None, 0, 0)}
    assert "extra and foreign items were not looked for" in report.to_text()
    assert report.foreign is None


def test_the_report_file_has_the_differences_as_dynamodb_json(plan: Plan, dynamodb: Any, tmp_path: Path) -> None:
    put(dynamodb, user(1, "Ann"))
    verify_plan(plan, report_file=tmp_path / "verify.json")
    found = json.loads((tmp_path / "verify.json").read_text(encoding="utf-8"))
    assert (found["status"], found["exit_code"]) == ("different", 4)
    assert found["differences"] == [
        {
            "kind": "different",
            "entity": "User",
            "table": "shop-table",
            "key": {"PK": {"S": "USER#1"}, "SK": {"S": "PROFILE"}},
            "attributes": [{"name": "name", "source": '{"S": "ann"}', "table": '{"S": "Ann"}'}],
        }
    ]


def test_a_missing_table_stops_with_its_name(plan: Plan, dynamodb: Any) -> None:
    dynamodb.delete_table(TableName="shop-table")
    with pytest.raises(TargetError, match="shop-table"):
        verify_plan(plan)


def test_verifying_leaves_nothing_but_its_lock_in_the_state_folder(plan: Plan, dynamodb: Any) -> None:
    verify_plan(plan)
    files = [path.name for path in Path(plan.settings.state_dir).rglob("*") if path.is_file()]
    assert files == ["verify.lock"]


def test_attributes_equal_by_value_do_not_differ() -> None:
    source = {"n": {"N": "1.50"}, "s": {"SS": ["a", "b"]}, "t": {"S": "1"}, "z": {"NULL": True}}
    table = {"n": {"N": "1.5"}, "s": {"SS": ["b", "a"]}, "t": {"N": "1"}}
    assert [one.name for one in attribute_differences(source, table)] == ["t", "z"]


def test_long_values_are_shortened() -> None:
    (difference,) = attribute_differences({"a": {"S": "x" * 1000}}, {})
    assert len(str(difference)) < 150


def test_the_text_shows_the_first_twenty_differences_of_all() -> None:
    entity = EntityComparison("User", "t", expected=30, compared=30, missing=30)
    text = VerifyReport("shop", [entity], 0).to_text()
    assert text.startswith("verify of plan shop: 30 differences\n")
    assert text.splitlines()[-3:] == ["foreign: 0", "", "access patterns: 0 of 0 agree"]
