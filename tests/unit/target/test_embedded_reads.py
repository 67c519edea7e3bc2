"""moto's answers with the quick reads and without them are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.dynamodb.models.table import Table

from migrator.target import embedded_reads
from migrator.target.embedded_reads import Writes, iter_items, quick_reads

ITEMS = [
    {
        "PK": {"S": f"USER#{n % 7}"},
        "SK": {"N": str(n * 3 % 40 - 20)},
        "name": {"S": f"name {n % 5}"},
        "pad": {"S": "x" * 400},
        **({"team": {"S": f"T{n % 3}"}, "rank": {"N": f"{n / 4}"}} if n % 4 else {}),
    }
    for n in range(60)
]
NO_SORT_KEY = [{"PK": {"B": bytes([n])}, "team": {"N": f"{n % 3}.0"}} for n in range(20)]


def keyed(name: str, key_type: str = "S") -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": key_type}]


def schema(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        everything = {"ProjectionType": "ALL"}
        client.create_table(
            TableName="t",
            KeySchema=schema("PK", "SK"),
            AttributeDefinitions=keyed("PK") + keyed("SK", "N") + keyed("team") + keyed("rank", "N") + keyed("name"),
            GlobalSecondaryIndexes=[
                {"IndexName": "teams", "KeySchema": schema("team", "rank"), "Projection": everything},
                {"IndexName": "names", "KeySchema": schema("name"), "Projection": {"ProjectionType": "KEYS_ONLY"}},
            ],
            LocalSecondaryIndexes=[{"IndexName": "ranks", "KeySchema": schema("PK", "rank"), "Projection": everything}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.create_table(
            TableName="u",
            KeySchema=schema("PK"),
            AttributeDefinitions=keyed("PK", "B") + keyed("team", "N"),
            GlobalSecondaryIndexes=[{"IndexName": "teams", "KeySchema": schema("team"), "Projection": everything}],
            BillingMode="PAY_PER_REQUEST",
        )
        for table, items in (("t", ITEMS), ("u", NO_SORT_KEY)):
            for item in items:
                client.put_item(TableName=table, Item=item)
        yield client


def query(condition: str, *values: Any, table: str = "t", **more: Any) -> dict[str, Any]:
    """A request; in the condition %0, %1, … are the values."""
    placed = {f":v{n}": value for n, value in enumerate(values)}
    text = condition.replace("%", ":v")
    names = {f"#{name}": name for name in ("PK", "SK", "team", "rank", "name") if f"#{name}" in condition}
    return {
        "TableName": table,
        "KeyConditionExpression": text,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": placed,
        **more,
    }


USER, TEAM = {"S": "USER#3"}, {"S": "T1"}
QUERIES = [
    query("#PK = %0", USER),
    query("#PK = %0", USER, ScanIndexForward=False, Limit=3),
    query("#PK = %0 AND #SK BETWEEN %1 AND %2", USER, {"N": "-9"}, {"N": "9"}),
    query("#PK = %0", {"S": "nobody"}),
    query("#PK = %0 AND #rank > %1", USER, {"N": "4"}, IndexName="ranks"),
    query("#team = %0", TEAM, IndexName="teams"),
    query("#team = %0 AND #rank < %1", TEAM, {"N": "7.50"}, IndexName="teams", Limit=2, ScanIndexForward=False),
    query("#team = %0", {"S": "no team"}, IndexName="teams"),
    query("#name = %0", {"S": "name 2"}, IndexName="names", Limit=4),
    query("#PK = %0", {"B": b"\x05"}, table="u"),
    query("#team = %0", {"N": "1"}, table="u", IndexName="teams"),
]
SCANS: list[dict[str, Any]] = [
    {"TableName": "t"},
    {"TableName": "t", "Limit": 7},
    {"TableName": "t", "Segment": 1, "TotalSegments": 3},
    {"TableName": "t", "IndexName": "teams", "Limit": 9},
    {"TableName": "u", "Limit": 3},
]


def answers(client: Any) -> list[Any]:
    """Every page of every question."""
    pages = []
    for call, requests in ((client.query, QUERIES), (client.scan, SCANS)):
        for request in requests:
            asked: dict[str, Any] | None = request
            while asked is not None:
                page = call(**asked)
                del page["ResponseMetadata"]
                pages.append(page)
                last = page.get("LastEvaluatedKey")
                asked = {**request, "ExclusiveStartKey": last} if last else None
    return pages


def quicken(monkeypatch: pytest.MonkeyPatch) -> Writes:
    writes = Writes()
    for name, method in quick_reads(writes).items():
        monkeypatch.setattr(Table, name, method)
    return writes


def test_every_answer_is_the_same(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    by_moto = answers(dynamodb)
    assert sum(page["Count"] for page in by_moto) > 200
    quicken(monkeypatch)
    assert answers(dynamodb) == by_moto
    assert answers(dynamodb) == by_moto  # of lists that were made before


def test_a_table_is_sorted_once_until_something_is_written(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = quicken(monkeypatch)
    read: list[str] = []

    def reading(table: Table) -> Any:
        read.append(table.name)
        return iter_items(table)

    monkeypatch.setattr(embedded_reads, "iter_items", reading)
    answers(dynamodb)
    assert sorted(read) == ["t", "u"]
    with writes.under_way():
        dynamodb.put_item(TableName="t", Item={"PK": USER, "SK": {"N": "99"}, "team": TEAM, "rank": {"N": "0"}})
        assert dynamodb.query(**QUERIES[0])["Items"][-1]["SK"] == {"N": "99"}
    assert dynamodb.query(**QUERIES[0])["Items"][-1]["SK"] == {"N": "99"}
    assert dynamodb.query(**QUERIES[5])["Items"][0]["SK"] == {"N": "99"}
    with writes.under_way():
        dynamodb.delete_item(TableName="t", Key={"PK": USER, "SK": {"N": "99"}})
    assert {"N": "99"} not in [item["SK"] for item in dynamodb.scan(TableName="t")["Items"]]


def test_what_a_write_may_change_is_not_kept(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = quicken(monkeypatch)
    with writes.under_way():
        before = dynamodb.scan(TableName="u")["Count"]
        dynamodb.put_item(TableName="u", Item={"PK": {"B": b"\xff"}})
        assert dynamodb.scan(TableName="u")["Count"] == before + 1
    assert dynamodb.scan(TableName="u")["Count"] == before + 1


def test_a_lull_ends_with_the_next_write() -> None:
    writes = Writes()
    first = writes.lull()
    with writes.under_way():
        assert writes.lull() is None
    assert writes.lull() not in (first, None)
