"""The writer and its transport on real engines, behind the strict door: whatever happens, each item arrives."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.credentials import Credentials

from conftest import await_table, new_client
from door import Door, Fault, Forward, Reply, Request
from door_faults import EXPIRED, delay, deny, drop_after, drop_before, leave_unprocessed, server_error, throttle
from migrator.mapping.canonical import digest, item_size
from migrator.mapping.encoded import EncodedItem, encode_item
from migrator.mapping.model import Attributes, Item, KeyAttribute, TableDefinition
from migrator.target.backoff import RetryPolicy
from migrator.target.endpoint import Endpoint
from migrator.target.outcome import WriteResult
from migrator.target.transport import Transport
from migrator.target.writer import Writer

COUNT = 60
QUICK = RetryPolicy(first_delay_s=0.001, longest_delay_s=0.05)


@pytest.fixture
def table(dynamodb: Any) -> TableDefinition:
    name = f"writing-{uuid.uuid4().hex}"
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "PK", "AttributeType": "S"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    await_table(dynamodb, name)
    return TableDefinition(name, KeyAttribute("PK"), KeyAttribute("n", "N"))


def attributes(number: int, **more: Any) -> Attributes:
    return {"PK": {"S": f"é#{number}"}, "n": {"N": str(number)}, "text": {"S": 'a"\\\n\u2028😀'}, **more}


def encoded(table: TableDefinition, number: int, **more: Any) -> EncodedItem:
    whole = attributes(number, **more)
    return encode_item(Item(whole, {}, item_size(whole)), table)


@pytest.fixture
def write(door: Door, table: TableDefinition, dynamodb: Any) -> Callable[..., WriteResult]:
    """Write the items 0 to COUNT through the door."""

    def write(**settings: Any) -> WriteResult:
        transport = Transport(Endpoint(door.url, "us-east-1", connections=4), Credentials("test", "test", "token"))
        describe = lambda: dynamodb.describe_table(TableName=table.name)["Table"]  # noqa: E731
        writer = Writer(transport, table, describe=describe, **{"policy": QUICK, **settings})
        writer.put([encoded(table, number) for number in range(COUNT)])
        return writer.close()

    return write


def scan(client: Any, table: TableDefinition) -> dict[int, Attributes]:
    pages = client.get_paginator("scan").paginate(TableName=table.name, ConsistentRead=True)
    return {int(Decimal(item["n"]["N"])): item for page in pages for item in page["Items"]}


FAULTS: dict[str, Callable[[], Fault]] = {
    "drop before": lambda: drop_before(3),
    "drop after": lambda: drop_after(3),
    "throttle": lambda: throttle(3),
    "server error": lambda: server_error(3),
    "bad gateway": lambda: server_error(3, status=502),
    "delay": lambda: delay(0.05, 3),
    "unprocessed": lambda: leave_unprocessed(20, 3),
    "all unprocessed": lambda: leave_unprocessed(25, 3),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("on_existing", ["replace", "skip", "error"])
def test_each_item_arrives_and_is_counted_once(
    write: Any, door: Door, dynamodb: Any, table: TableDefinition, fault: str, on_existing: str
) -> None:
    door.faults.append(FAULTS[fault]())
    result = write(on_existing=on_existing)
    assert (result.written, result.skipped, result.failed, result.unsent) == (COUNT, 0, [], 0)
    assert result.stopped is None
    found = scan(dynamodb, table)
    assert {number: digest(item) for number, item in found.items()} == {n: digest(attributes(n)) for n in range(COUNT)}
    assert door.refused == []


def test_every_request_that_was_sent_is_counted(write: Any, door: Door) -> None:
    """Nothing is sent a second time without being counted."""
    door.faults.append(drop_after(2))
    result = write()
    assert result.requests_sent == door.requests["BatchWriteItem"] == 5
    assert result.retried == 2


def test_an_item_that_is_there_stays_or_fails(write: Any, dynamodb: Any, table: TableDefinition) -> None:
    other = attributes(7, other={"BOOL": True})
    dynamodb.put_item(TableName=table.name, Item=other)
    dynamodb.put_item(TableName=table.name, Item=attributes(8))
    refusing = write(on_existing="error")
    assert (refusing.written, [failed.key["n"] for failed in refusing.failed]) == (COUNT - 1, [{"N": "7"}])
    skipping = write(on_existing="skip")
    assert (skipping.written, skipping.skipped) == (0, COUNT)
    assert digest(scan(dynamodb, table)[7]) == digest(other)


def test_a_final_error_stops_and_condemns_nothing(write: Any, door: Door) -> None:
    door.faults.append(deny(None, kind=EXPIRED))
    result = write()
    assert result.stopped.code == "credentials_expired"
    assert (result.written, result.failed, result.unsent) == (0, [], COUNT)


def test_one_item_that_the_service_refuses_fails_alone(door: Door, dynamodb: Any, table: TableDefinition) -> None:
    transport = Transport(Endpoint(door.url, "us-east-1", connections=2), Credentials("test", "test"))
    writer = Writer(transport, table, describe=lambda: None, policy=QUICK)
    writer.put([encoded(table, n, **({"bad": {"SS": []}} if n == 7 else {})) for n in range(25)])
    result = writer.close()
    assert (result.written, [failed.key["n"] for failed in result.failed]) == (24, [{"N": "7"}])
    assert sorted(scan(dynamodb, table)) == [n for n in range(25) if n != 7]


# ---- the request itself


class Recorder:
    """Keeps what came in."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request, forward: Forward) -> Reply:
        if request.operation in ("BatchWriteItem", "PutItem"):
            self.requests.append(request)
        return forward(request)


@pytest.fixture
def recorder(door: Door) -> Iterator[Recorder]:
    recorder = Recorder()
    door.faults.append(recorder)
    return recorder


EVERY_TYPE = {
    "b": {"B": b"\x00\xff"},
    "yes": {"BOOL": True},
    "none": {"NULL": True},
    "list": {"L": [{"N": "-1.5E+100"}, {"M": {'"quoted"': {"S": ""}}}]},
    "ss": {"SS": ["a", "é"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"a", b"\xff"]},
}


@pytest.mark.parametrize("on_existing", ["replace", "error"])
def test_a_request_is_what_botocore_would_send(
    door: Door, dynamodb: Any, table: TableDefinition, recorder: Recorder, on_existing: Any
) -> None:
    transport = Transport(Endpoint(door.url, "us-east-1", connections=1), Credentials("test", "test", "token"))
    writer = Writer(transport, table, describe=lambda: None, on_existing=on_existing)
    writer.put([encoded(table, 1, **EVERY_TYPE)])
    assert writer.close().written == 1
    item = attributes(1, **EVERY_TYPE)
    if on_existing == "replace":
        request = {table.name: [{"PutRequest": {"Item": item}}]}
        new_client(door.url).batch_write_item(RequestItems=request, ReturnConsumedCapacity="INDEXES")
    else:
        dynamodb.delete_item(TableName=table.name, Key={name: item[name] for name in ("PK", "n")})
        new_client(door.url).put_item(
            TableName=table.name,
            Item=item,
            ConditionExpression="attribute_not_exists(#key)",
            ExpressionAttributeNames={"#key": "PK"},
            ReturnConsumedCapacity="INDEXES",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    ours, botocores = recorder.requests
    assert ours.operation == botocores.operation
    assert json.loads(ours.body) == json.loads(botocores.body)
    assert {"Content-Type", "X-Amz-Target", "Authorization"} <= set(ours.headers)
    for name in ("Content-Type", "X-Amz-Target", "Host"):
        assert ours.headers[name] == botocores.headers[name]
