"""The API's plan for its users, as it ships, on each engine behind the strict door, and what the API then asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from command import fixture
from oracle_users import expected_items

SYSTEM = "users"
SOURCE = fixture(SYSTEM)
TABLE = "aws-starter-kit-table"
PREFIX = "USER#"
BATCH = 25  # what BatchWriteItem takes

#: One row of each kind: its id in the source is bare, or carries the prefix already.
LINUS = ("9d9b532a-ba4e-4c36-86ff-0de26a769806", "Linus Berg")
MINH = ("4ab59884-c3e2-469d-ab3a-cad58d50b265", "Minh Tran")
UNUSED_ID = "ffffffff-ffff-4fff-8fff-ffffffffffff"


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


def test_every_id_carries_the_prefix_once_whether_or_not_the_source_had_it(migrated: Any, select: Any) -> None:
    assert {id_.startswith(PREFIX) for id_ in select("SELECT id FROM users")} == {True, False}
    assert [key for (key,) in migrated.scan() if key.count(PREFIX) != 1 or not key.startswith(PREFIX)] == []


#: a second registration in the source: id, email as typed -> column and code of its reject
SECOND = {
    "the same address": (UNUSED_ID, "linus.berg@example.com", ("email_lower", "unique")),
    "the address in capitals": (UNUSED_ID, "LINUS.BERG@EXAMPLE.COM", ("email_lower", "unique")),
    "the same id with its prefix": (PREFIX + LINUS[0], "another@example.com", (None, "duplicate_key")),
}


@pytest.mark.parametrize("case", SECOND)
def test_a_second_user_is_rejected_and_the_first_is_kept(case: str, run_with: Any, scan: Any, differences: Any) -> None:
    id_, email, expected = SECOND[case]
    row = {"id": id_, "email": email, "email_lower": email.lower(), "name": "Another One", "created_at": 1730000000}
    run = run_with(("users", row))
    assert run.exit_code == 1, run.stderr
    (reject,) = run.rejects
    assert (reject["row"]["id"], reject["column"], reject["code"]) == ({"S": id_}, *expected)
    assert differences(scan(TABLE), expected_items(SOURCE)) == []


# ---- what the API reads


def stored_id(user_id: str) -> str:
    """As the API's model does: an id is taken with its prefix or without."""
    return user_id if user_id.startswith(PREFIX) else PREFIX + user_id


def by_index(migrated: Any, index: str, condition: str, value: str) -> list[dict[str, Any]]:
    number = index.removeprefix("GSI")
    pages = migrated.client.get_paginator("query").paginate(
        TableName=migrated.table,
        IndexName=index,
        KeyConditionExpression=f"pk{number} = :kind AND sk{number} {condition} :value",
        ExpressionAttributeValues={":kind": {"S": "USER"}, ":value": {"S": value}},
    )
    return [item for page in pages for item in page["Items"]]


def test_a_user_is_found_by_id_with_its_prefix_or_without(migrated: Any) -> None:
    for user_id, name in (LINUS, MINH):
        for asked in (user_id, PREFIX + user_id):
            key = {"id": {"S": stored_id(asked)}}
            found = migrated.client.get_item(TableName=migrated.table, Key=key)["Item"]
            assert found["name"] == {"S": name}


def test_every_user_is_found_by_email_in_lower_case(migrated: Any, select: Any) -> None:
    for email in select("SELECT lower(email) FROM users"):
        assert [item["email"]["S"] for item in by_index(migrated, "GSI1", "=", f"EMAIL#{email}")] == [email]


def test_users_created_after_a_date_come_in_the_order_of_time(migrated: Any) -> None:
    limit = "2024-01-01T00:00:00Z"  # the second in which two users were created
    created = sorted(item["createdAt"]["S"] for item in expected_items(SOURCE).values())
    assert created.count(limit) == 2
    found = by_index(migrated, "GSI2", ">", f"CREATED#{limit}")
    assert [item["createdAt"]["S"] for item in found] == [instant for instant in created if instant > limit]


def test_a_scan_gives_all_users(own: Any) -> None:
    own.client.put_item(TableName=own.table, Item={"id": {"S": "PRODUCT#1"}})  # another kind moves into the table
    pages = own.client.get_paginator("scan").paginate(
        TableName=own.table,
        FilterExpression="begins_with(id, :prefix)",
        ExpressionAttributeValues={":prefix": {"S": PREFIX}},
        PaginationConfig={"PageSize": 10},
    )
    assert {(item["id"]["S"],) for page in pages for item in page["Items"]} == expected_items(SOURCE).keys()


# ---- what the API writes


def iter_batches(keys: list[str]) -> Iterator[list[str]]:
    return (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))


def batch_delete(own: Any, user_ids: list[str]) -> None:
    """As the API does: 25 at a time, and again what was not processed."""
    for batch in iter_batches([stored_id(user_id) for user_id in user_ids]):
        requests = {own.table: [{"DeleteRequest": {"Key": {"id": {"S": key}}}} for key in batch]}
        while requests:
            requests = own.client.batch_write_item(RequestItems=requests)["UnprocessedItems"]


def test_more_than_25_users_are_deleted_in_batches(own: Any, select: Any) -> None:
    everyone = select("SELECT id FROM users ORDER BY created_at, id")
    leaving, staying = everyone[:60], everyone[60:]
    assert staying
    sent = own.door.requests["BatchWriteItem"]
    batch_delete(own, leaving)
    assert own.door.requests["BatchWriteItem"] - sent == 3
    assert own.door.refused == []
    assert {key for (key,) in own.scan()} == {stored_id(user_id) for user_id in staying}


def test_a_user_who_changes_the_address_is_found_by_the_new_one_only(own: Any) -> None:
    own.client.update_item(
        TableName=own.table,
        Key={"id": {"S": stored_id(LINUS[0])}},
        UpdateExpression="SET email = :email, sk1 = :sk1, updatedAt = :now",
        ExpressionAttributeValues={
            ":email": {"S": "linus@example.com"},
            ":sk1": {"S": "EMAIL#linus@example.com"},
            ":now": {"S": "2024-11-01T00:00:00Z"},
        },
    )
    assert [item["name"]["S"] for item in by_index(own, "GSI1", "=", "EMAIL#linus@example.com")] == [LINUS[1]]
    assert by_index(own, "GSI1", "=", "EMAIL#linus.berg@example.com") == []
