"""The catalogue's plan, as it ships, on each engine behind the strict door, and what its application then asks."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from command import fixture
from door_keeps import KeptSettings
from oracle_items import expected_items

SYSTEM = "items"
SOURCE = fixture(SYSTEM)
TABLE = "items-e2e"
#: The fixture's "today"
NOW = datetime(2024, 3, 15, 12, tzinfo=UTC)

LAPTOP, MONITOR, KEYBOARD, MOUSE, USB_HUB = (f"550e8400-e29b-41d4-a716-44665544000{digit}" for digit in range(5))


# ---- the migration


def test_the_table_equals_a_plain_rendering_of_the_source(migrated: Any, differences: Any) -> None:
    assert migrated.run.report["status"] == "succeeded"
    assert migrated.door.refused == []
    assert differences(migrated.scan(), expected_items(SOURCE)) == []


def test_verify_finds_no_difference_and_every_access_pattern_agrees(migrated: Any) -> None:
    verify = migrated.verify()
    assert verify.exit_code == 0, verify.stdout + verify.stderr
    assert "access patterns: 6 of 6 agree" in verify.stdout
    assert migrated.door.refused == []


def test_the_table_has_every_setting_of_the_data_layer(migrator: Any, plan: Path, door: Any) -> None:
    kept = KeptSettings()  # neither engine keeps all of them
    door.keeps(kept)
    assert migrator("run", plan).exit_code == 0
    assert dict(kept.requests) == {
        "CreateTable": {
            "TableName": TABLE,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "status", "AttributeType": "S"},
                {"AttributeName": "createdAt", "AttributeType": "N"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "status-index",
                    "KeySchema": [
                        {"AttributeName": "status", "KeyType": "HASH"},
                        {"AttributeName": "createdAt", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            "SSESpecification": {"Enabled": True, "SSEType": "KMS"},
        },
        "UpdateTimeToLive": {
            "TableName": TABLE,
            "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"},
        },
        "UpdateContinuousBackups": {
            "TableName": TABLE,
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        },
    }
    check = migrator("table check", plan)
    assert check.exit_code == 0, check.stdout + check.stderr


#: what breaks a rule: the columns that differ from a good row -> (column, code) in the reject file
BROKEN: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "00000000-0000-4000-8000-000000000001": ({"name": "x" * 256}, ("name", "max_length")),
    "00000000-0000-4000-8000-000000000002": ({"name": None}, ("name", "required")),
    "00000000-0000-4000-8000-000000000003": ({"name": " "}, ("name", "pattern")),
    "00000000-0000-4000-8000-000000000004": ({"status": "deleted"}, ("status", "one_of")),
    "00000000-0000-4000-8000-000000000005": ({"status": "Active"}, ("status", "one_of")),
    "00000000-0000-4000-8000-000000000006": ({"created_at": "last week"}, ("created_at", "type")),
    "00000000-0000-4000-8000-000000000007": ({"version": "one"}, ("version", "type")),
    "00000000-0000-4000-8000-000000000008": ({"version": 0}, ("version", "min")),
    "item-9": ({}, ("id", "pattern")),
}
LONGEST_NAME = "00000000-0000-4000-8000-0000000000ff"
GOOD = {"name": "Cable", "status": "active", "created_at": 1710000000, "updated_at": 1710000000, "version": 1}


def test_rows_that_break_a_rule_are_rejected_by_its_name_and_no_others(run_with: Any, scan: Any) -> None:
    rows = {key: columns for key, (columns, _) in BROKEN.items()} | {LONGEST_NAME: {"name": "é" * 255}}
    run = run_with(*(("items", {"id": key, **GOOD, **columns}) for key, columns in rows.items()))
    assert run.exit_code == 1, run.stderr
    assert {reject["row"]["id"]["S"]: (reject["column"], reject["code"]) for reject in run.rejects} == {
        key: expected for key, (_, expected) in BROKEN.items()
    }
    assert scan(TABLE).keys() == expected_items(SOURCE).keys() | {(LONGEST_NAME,)}


# ---- what the application reads


def seconds(instant: datetime) -> dict[str, str]:
    return {"N": str(int(instant.timestamp()))}


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"]["S"] for item in items]


def by_status(migrated: Any, status: str, after: datetime | None = None) -> list[dict[str, Any]]:
    condition, values = "#status = :status", {":status": {"S": status}}
    if after:
        condition, values = f"{condition} AND createdAt > :after", values | {":after": seconds(after)}
    answer = migrated.client.query(
        TableName=migrated.table,
        IndexName="status-index",
        KeyConditionExpression=condition,
        ExpressionAttributeNames={"#status": "status"},  # a reserved word
        ExpressionAttributeValues=values,
    )
    return answer["Items"]  # type: ignore[no-any-return]


def get(migrated: Any, item_id: str) -> dict[str, Any] | None:
    answer = migrated.client.get_item(TableName=migrated.table, Key={"id": {"S": item_id}}, ConsistentRead=True)
    return answer.get("Item")  # type: ignore[no-any-return]


def test_an_item_is_found_by_its_id(migrated: Any) -> None:
    found = get(migrated, LAPTOP)
    assert found
    assert found["name"] == {"S": "Laptop"}
    assert get(migrated, str(uuid4())) is None


def test_all_items_are_listed_page_by_page(migrated: Any) -> None:
    pages, start = [], {}
    while True:
        answer = migrated.client.scan(TableName=migrated.table, Limit=2, **start)
        pages.append(names(answer["Items"]))
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    assert max(map(len, pages)) == 2
    assert Counter(name for page in pages for name in page) == Counter(
        ["Laptop", "Monitor", "Keyboard", "Mouse", "USB Hub"]
    )


def test_items_are_found_by_status_oldest_first(migrated: Any) -> None:
    assert {status: names(by_status(migrated, status)) for status in ("active", "inactive", "archived")} == {
        "active": ["Laptop", "Monitor", "Keyboard"],
        "inactive": ["Mouse"],
        "archived": ["USB Hub"],
    }


def test_items_of_a_status_are_found_by_when_they_were_created(migrated: Any) -> None:
    found = {days: names(by_status(migrated, "active", after=NOW - timedelta(days=days))) for days in (8, 7, 4, 1)}
    # The laptop is seven days old to the second, and so not created after that.
    assert found == {8: ["Laptop", "Monitor", "Keyboard"], 7: ["Monitor", "Keyboard"], 4: ["Keyboard"], 1: []}


def test_a_test_that_writes_is_refused_the_table_of_those_that_read(migrated: Any) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        migrated.client.delete_item(TableName=migrated.table, Key={"id": {"S": LAPTOP}})
    assert get(migrated, LAPTOP)


# ---- what the application writes


def new_item(name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": {"S": str(uuid4())},
        "name": {"S": name},
        "status": {"S": "active"},
        "createdAt": seconds(NOW),
        "updatedAt": seconds(NOW),
        "version": {"N": "1"},
        **more,
    }


def rename(own: Any, item_id: str, name: str, expected_version: int) -> None:
    own.client.update_item(
        TableName=own.table,
        Key={"id": {"S": item_id}},
        UpdateExpression="SET #name = :name, updatedAt = :now, #version = :version",
        ConditionExpression="#version = :expected",
        ExpressionAttributeNames={"#name": "name", "#version": "version"},
        ExpressionAttributeValues={
            ":name": {"S": name},
            ":now": seconds(NOW),
            ":version": {"N": str(expected_version + 1)},
            ":expected": {"N": str(expected_version)},
        },
    )


def test_a_new_item_stands_beside_the_migrated_ones(own: Any) -> None:
    own.client.put_item(TableName=own.table, Item=new_item("Webcam", ttl=seconds(NOW + timedelta(days=30))))
    assert names(by_status(own, "active")) == ["Laptop", "Monitor", "Keyboard", "Webcam"]


def test_a_migrated_item_moves_in_the_index_as_its_status_changes(own: Any) -> None:
    own.client.update_item(
        TableName=own.table,
        Key={"id": {"S": MONITOR}},
        UpdateExpression="SET #status = :status, updatedAt = :now",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": {"S": "archived"}, ":now": seconds(NOW)},
    )
    assert names(by_status(own, "active")) == ["Laptop", "Keyboard"]
    assert names(by_status(own, "archived")) == ["USB Hub", "Monitor"]


def test_a_migrated_version_lets_its_own_update_through_once(own: Any) -> None:
    rename(own, MOUSE, "Mouse M2", expected_version=4)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        rename(own, MOUSE, "Mouse M3", expected_version=4)
    found = get(own, MOUSE)
    assert found
    assert (found["name"], found["version"]) == ({"S": "Mouse M2"}, {"N": "5"})


def test_a_migrated_item_is_deleted_from_table_and_index(own: Any) -> None:
    own.client.delete_item(TableName=own.table, Key={"id": {"S": KEYBOARD}})
    assert get(own, KEYBOARD) is None
    assert names(by_status(own, "active")) == ["Laptop", "Monitor"]


def test_a_batch_adds_and_deletes_beside_the_migrated_items(own: Any) -> None:
    put = [{"PutRequest": {"Item": new_item(name)}} for name in ("Webcam", "Headset")]
    delete = {"DeleteRequest": {"Key": {"id": {"S": USB_HUB}}}}
    answer = own.client.batch_write_item(RequestItems={own.table: [*put, delete]})
    assert answer["UnprocessedItems"] == {}
    assert sorted(names([*own.scan().values()])) == ["Headset", "Keyboard", "Laptop", "Monitor", "Mouse", "Webcam"]
