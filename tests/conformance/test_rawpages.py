"""A scan whose answers are not walked by botocore finds the same items as one whose answers are."""

from __future__ import annotations

from typing import Any

from door import Door
from migrator.mapping.canonical import digest, key_text
from migrator.mapping.model import KeyAttribute, TableDefinition
from migrator.target.backoff import ask
from migrator.target.rawpages import create_raw_client
from migrator.target.reading import iter_pages
from migrator.target.session import TargetSettings

TABLE = TableDefinition("raw-pages", KeyAttribute("k", "B"), KeyAttribute("n", "N"))
VALUES: tuple[dict[str, Any], ...] = (
    {"S": "日本 \x7f"},
    {"N": "-12.5"},
    {"B": b"\x00\xff"},
    {"NULL": True},
    {"BOOL": False},
    {"SS": ["b", "a"]},
    {"NS": ["2", "1"]},
    {"BS": [b"b", b"a"]},
    {"L": [{"B": b"x"}, {"M": {"z": {"N": "1"}, "a": {"BS": [b"\xfe"]}}}]},
)
ITEMS = [{"k": {"B": bytes([n, 255])}, "n": {"N": str(n)}, "v": value} for n, value in enumerate(VALUES)]


def test_raw_pages_give_the_items_and_go_on_after_a_binary_key(door: Door, dynamodb: Any) -> None:
    types = {key.name: key.type for key in TABLE.key_attributes}
    dynamodb.create_table(
        TableName=TABLE.name,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=TABLE.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
    for item in ITEMS:
        dynamodb.put_item(TableName=TABLE.name, Item=item)
    client = create_raw_client(TargetSettings(region="us-east-1", endpoint_url=door.url))
    pages = list(iter_pages(client, TABLE.name, ask, Limit=2))
    found = {key_text(item, TABLE): digest(item) for page in pages for item in page["Items"]}
    assert len(pages) > len(ITEMS) / 2
    assert found == {key_text(item, TABLE): digest(item) for item in ITEMS}
