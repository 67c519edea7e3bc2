"""The shop's plan, as it ships: products and sessions, a table each, on each engine behind the strict door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from command import fixture
from door_keeps import KeptSettings
from oracle_products import expected_items

SYSTEM = "products"
SOURCE = fixture(SYSTEM)
TABLES = {"Product": "e2e-products", "Session": "e2e-sessions"}

#: The two items that the description of the tables prints.
SAMPLE_PRODUCT = {
    "id": {"N": "1"},
    "title": {"S": "Sample Product"},
    "path": {"S": "https://bucket.s3.region.amazonaws.com/image.jpg"},
    "description": {"S": "Product description"},
    "price": {"N": "29.99"},
    "category": {"S": "electronics"},
    "created_at": {"S": "2024-01-01T00:00:00Z"},
    "updated_at": {"S": "2024-01-01T00:00:00Z"},
}
SAMPLE_SESSION = {
    "session_id": {"S": "sess_123456789"},
    "user_id": {"S": "user_123"},
    "data": {"S": '{"cart": [], "preferences": {}}'},
    "created_at": {"S": "2024-01-01T00:00:00Z"},
    "expires_at": {"N": "1704153600"},
}

#: What makes a good row a broken one: its key -> the column, the value there, the code of its reject
BROKEN_PRODUCTS = {
    101: ("title", None, "required"),
    102: ("image_key", None, "required"),
    103: ("price", "1,50", "type"),
    104: ("price", -1, "min"),
    105: ("created_at", "last spring", "not_a_date"),
}
BROKEN_SESSIONS = {
    "for ever": ("expires_at", None, "required"),
    "a while": ("expires_at", "soon", "not_a_date"),
    "": ("session_id", "", "empty_key"),
}
GOOD_PRODUCT = {
    "title": "t",
    "description": "",
    "price": 1,
    "category": "",
    "created_at": "2024-01-01",
    "updated_at": 0,
    "image_bucket": "b",
    "image_region": "r",
    "image_key": "k",
    "unit_cost": 1,
}
GOOD_SESSION = {"user_id": "u", "data": "{}", "created_at": "2024-01-01", "expires_at": "2024-01-02"}


def get(migrated: Any, entity: str, **key: dict[str, str]) -> dict[str, Any]:
    item: dict[str, Any] = migrated.client.get_item(TableName=migrated.table_of(entity), Key=key)["Item"]
    return item


def query_category(migrated: Any, category: str, **options: Any) -> list[dict[str, Any]]:
    pages = migrated.client.get_paginator("query").paginate(
        TableName=migrated.table_of("Product"),
        IndexName="CategoryIndex",
        KeyConditionExpression="category = :cat",
        ExpressionAttributeValues={":cat": {"S": category}},
        **options,
    )
    return [item for page in pages for item in page["Items"]]


# ---- the run


def test_both_tables_equal_a_plain_rendering_of_the_source(migrated: Any, differences: Any) -> None:
    assert migrated.run.report["status"] == "succeeded"
    assert migrated.door.refused == []
    for entity in TABLES:
        assert differences(migrated.scan(entity), expected_items(SOURCE, entity)) == []


def test_the_sample_items_are_what_the_description_prints(migrated: Any) -> None:
    assert get(migrated, "Product", id={"N": "1"}) == SAMPLE_PRODUCT
    assert get(migrated, "Session", session_id={"S": "sess_123456789"}) == SAMPLE_SESSION


def test_verify_finds_no_difference_and_every_access_pattern_agrees(migrated: Any) -> None:
    verify = migrated.verify()
    assert verify.exit_code == 0, verify.stdout + verify.stderr
    assert "access patterns: 7 of 7 agree" in verify.stdout


def test_what_the_shop_pays_stays_behind(migrated: Any) -> None:
    assert [key for key, item in migrated.scan("Product").items() if "unit_cost" in item] == []


def test_a_broken_row_is_rejected_alone_and_says_why(run_with: Any, scan: Any, differences: Any) -> None:
    products = {key: GOOD_PRODUCT | {"id": key, column: value} for key, (column, value, _) in BROKEN_PRODUCTS.items()}
    sessions = {
        key: GOOD_SESSION | {"session_id": key, column: value} for key, (column, value, _) in BROKEN_SESSIONS.items()
    }
    run = run_with(*(("products", row) for row in products.values()), *(("sessions", row) for row in sessions.values()))
    found = [(reject["row"], reject["column"], reject["code"]) for reject in run.rejects]
    expected = [({"id": {"N": str(key)}}, column, code) for key, (column, _, code) in BROKEN_PRODUCTS.items()]
    expected += [({"session_id": {"S": key}}, column, code) for key, (column, _, code) in BROKEN_SESSIONS.items()]
    assert run.exit_code == 1
    assert sorted(found, key=str) == sorted(expected, key=str)
    for entity, table in TABLES.items():
        assert differences(scan(table), expected_items(SOURCE, entity)) == []


# ---- what the application asks: products


def test_a_product_is_found_by_its_id_where_a_double_would_find_its_neighbour(migrated: Any) -> None:
    numbers = ("9007199254740992", "9007199254740993")
    titles = [get(migrated, "Product", id={"N": number})["title"]["S"] for number in numbers]
    assert titles == ["Hinge, left", "Hinge, right"]


def test_every_category_comes_newest_first(migrated: Any, select: Any) -> None:
    newest_first = "SELECT id FROM products WHERE category = ? ORDER BY julianday(created_at) DESC"
    categories = select("SELECT DISTINCT category FROM products WHERE category <> ''")
    found = {category: query_category(migrated, category, ScanIndexForward=False) for category in categories}
    assert {category: [int(item["id"]["N"]) for item in items] for category, items in found.items()} == {
        category: select(newest_first, category) for category in categories
    }


def test_a_product_in_no_category_is_in_no_index(migrated: Any, select: Any) -> None:
    indexed = migrated.client.scan(TableName=migrated.table_of("Product"), IndexName="CategoryIndex")["Items"]
    in_one = select("SELECT id FROM products WHERE category <> ''")
    assert len(in_one) < len(select("SELECT id FROM products"))
    assert sorted(int(item["id"]["N"]) for item in indexed) == sorted(in_one)


def test_the_index_answers_with_the_whole_product(migrated: Any) -> None:
    assert SAMPLE_PRODUCT in query_category(migrated, "electronics")


def test_all_products_come_from_a_scan(migrated: Any, select: Any) -> None:
    assert sorted(int(number) for (number,) in migrated.scan("Product")) == select(
        "SELECT id FROM products ORDER BY id"
    )


# ---- what the application asks: sessions


def test_session_data_is_the_text_that_was_stored(migrated: Any, select: Any) -> None:
    stored = select("SELECT session_id FROM sessions WHERE data LIKE '{ %' LIMIT 1")[0]
    session = get(migrated, "Session", session_id={"S": stored})
    assert session["data"] == {"S": '{ "cart" : [ ] , "preferences" : { } }'}


def test_a_session_expires_at_the_second_that_its_text_names(migrated: Any, select: Any) -> None:
    to_seconds = "SELECT CAST(strftime('%s', expires_at) AS INTEGER) FROM sessions ORDER BY session_id"
    found = migrated.scan("Session")
    assert [int(found[key]["expires_at"]["N"]) for key in sorted(found)] == select(to_seconds)


def test_living_sessions_are_told_from_expired_ones(migrated: Any, select: Any) -> None:
    in_2025 = 1_735_689_600
    living = migrated.client.scan(
        TableName=migrated.table_of("Session"),
        FilterExpression="expires_at > :now",
        ExpressionAttributeValues={":now": {"N": str(in_2025)}},
    )["Items"]
    expected = select(
        "SELECT session_id FROM sessions WHERE julianday(expires_at) > julianday('2025-01-01') ORDER BY session_id"
    )
    assert sorted(item["session_id"]["S"] for item in living) == expected


# ---- the tables themselves, where every setting is kept


@pytest.fixture
def kept(door: Any) -> KeptSettings:
    settings = KeptSettings()
    door.keeps(settings)
    return settings


def test_the_tables_are_as_their_mappings_define_them(migrator: Any, kept: KeptSettings, plan: Path) -> None:
    migrator("run", plan)
    check = migrator("table", "check", str(plan))
    assert check.exit_code == 0, check.stdout + check.stderr


def test_sessions_expire_and_products_do_not(migrator: Any, kept: KeptSettings, plan: Path) -> None:
    migrator("run", plan)
    expiring = {request["TableName"]: request["TimeToLiveSpecification"] for request in kept.of("UpdateTimeToLive")}
    assert expiring == {TABLES["Session"]: {"AttributeName": "expires_at", "Enabled": True}}


def test_both_tables_are_encrypted_with_the_key_that_aws_manages(migrator: Any, kept: KeptSettings, plan: Path) -> None:
    migrator("run", plan)
    encryption = {request["TableName"]: request["SSESpecification"] for request in kept.of("CreateTable")}
    assert encryption == {table: {"Enabled": True, "SSEType": "KMS"} for table in TABLES.values()}
