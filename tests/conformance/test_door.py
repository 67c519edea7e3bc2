"""The strict door refuses what the service documents that it refuses, and lets its nearest neighbour through."""

from __future__ import annotations

import http.client
import json
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

import door_faults as faults
from door import QUIET_S, Door, Forward, Reply, Request

TABLE: dict[str, Any] = {
    "TableName": "DoorTest",
    "AttributeDefinitions": [
        {"AttributeName": "PK", "AttributeType": "S"},
        {"AttributeName": "SK", "AttributeType": "N"},
        {"AttributeName": "GPK", "AttributeType": "S"},
        {"AttributeName": "GSK", "AttributeType": "B"},
    ],
    "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "GSI1",
            "KeySchema": [{"AttributeName": "GPK", "KeyType": "HASH"}, {"AttributeName": "GSK", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
)


@dataclass
class Wire:
    """Sends what no SDK would."""

    door: Door

    def send(self, operation: str, document: Any) -> tuple[int, bytes, Mapping[str, str]]:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "X-Amz-Date": "20261121T000000Z",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": AUTHORIZATION,
        }
        address = urlsplit(self.door.url)
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)) as connection:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read(), dict(response.getheaders())

    def put(self, **attributes: Any) -> int:
        item = {"PK": {"S": "a"}, "SK": {"N": "1"}, **attributes}
        return self.send("PutItem", {"TableName": "DoorTest", "Item": item})[0]

    def rules(self) -> list[str]:
        return [refusal.rule for refusal in self.door.refused]


@pytest.fixture
def wire(door: Door, dynamodb: Any) -> Wire:
    dynamodb.create_table(**TABLE)
    dynamodb.get_waiter("table_exists").wait(TableName="DoorTest", WaiterConfig={"Delay": 0.1})
    return Wire(door)


def nested(containers: int) -> Any:
    value: Any = {"NULL": True}
    for _ in range(containers):
        value = {"L": [value]}
    return value


def put(key: str = "a", **attributes: Any) -> dict[str, Any]:
    return {"PutRequest": {"Item": {"PK": {"S": key}, "SK": {"N": "1"}, **attributes}}}


# ---- one value: rule, what is refused, its neighbour
VALUES = [
    ("one_type", {"S": "x", "N": "1"}, {"S": "x"}),
    ("known_type", {"X": "x"}, {"S": "x"}),
    ("text", {"S": 1}, {"S": "1"}),
    ("utf8", {"S": "\ud800"}, {"S": "\ud83d\ude00"}),
    ("number_as_text", {"N": 1}, {"N": "1"}),
    ("number_syntax", {"N": "1_000"}, {"N": "1000"}),
    ("number_syntax", {"N": "+5"}, {"N": "5"}),
    ("number_syntax", {"N": "٣"}, {"N": "3"}),
    ("number_syntax", {"N": "NaN"}, {"N": "0"}),
    ("number_syntax", {"N": ""}, {"N": "-0"}),
    ("number_digits", {"N": "1" * 39}, {"N": "1" * 38}),
    ("number_digits", {"N": "1." + "1" * 38}, {"N": "1" * 38 + "0"}),
    ("number_overflow", {"N": "1E126"}, {"N": "9.9999999999999999999999999999999999999E+125"}),
    ("number_overflow", {"N": "-1E126"}, {"N": "-1E125"}),
    ("number_underflow", {"N": "9E-131"}, {"N": "1E-130"}),
    ("base64", {"B": "a"}, {"B": "YQ=="}),
    ("base64", {"B": "é==="}, {"B": ""}),
    ("boolean", {"BOOL": 1}, {"BOOL": True}),
    ("null", {"NULL": False}, {"NULL": True}),
    ("empty_set", {"SS": []}, {"L": []}),
    ("empty_set", {"M": {"x": {"NS": []}}}, {"M": {"x": {"NS": ["1"]}}}),
    ("set_duplicates", {"SS": ["a", "a"]}, {"SS": ["a", "A"]}),
    ("set_duplicates", {"NS": ["1", "1.0"]}, {"NS": ["1", "1.1"]}),
    ("set_duplicates", {"BS": ["YQ==", "YQ=="]}, {"BS": ["YQ==", "Yg=="]}),
    ("nesting", nested(32), nested(31)),
    ("attribute_name", {"M": {"": {"S": "x"}}}, {"M": {" ": {"S": "x"}}}),
]


@pytest.mark.parametrize(("rule", "refused", "neighbour"), VALUES)
def test_value_is_refused_and_its_neighbour_taken(wire: Wire, rule: str, refused: Any, neighbour: Any) -> None:
    assert wire.put(x=refused) == 400
    assert wire.put(x=neighbour) == 200
    assert wire.rules() == [rule]


# ---- one item
ITEMS = [
    ("attribute_name", {"": {"S": "x"}}, {"x": {"S": "x"}}),
    ("attribute_name", {"x" * 65_536: {"S": "x"}}, {"x" * 65_535: {"S": "x"}}),
    ("key_empty", {"PK": {"S": ""}}, {"PK": {"S": " "}}),
    ("key_type", {"PK": {"N": "1"}}, {"PK": {"S": "1"}}),
    ("key_size", {"PK": {"S": "é" * 1025}}, {"PK": {"S": "é" * 1024}}),
    ("index_key_empty", {"GPK": {"S": ""}}, {"other": {"S": ""}}),
    ("index_key_empty", {"GPK": {"S": "x"}, "GSK": {"B": ""}}, {"GPK": {"S": "x"}}),
    ("index_key_type", {"GPK": {"N": "1"}}, {"GPK": {"S": "1"}}),
    ("index_key_type", {"GPK": {"NULL": True}}, {"other": {"NULL": True}}),
    ("index_key_size", {"GSK": {"B": "AAAA" * 342}}, {"GSK": {"B": "AAAA" * 341}}),
]


@pytest.mark.parametrize(("rule", "refused", "neighbour"), ITEMS, ids=[f"{row[0]}{n}" for n, row in enumerate(ITEMS)])
def test_item_is_refused_and_its_neighbour_taken(wire: Wire, rule: str, refused: Any, neighbour: Any) -> None:
    assert wire.put(**refused) == 400
    assert wire.put(**neighbour) == 200
    assert wire.rules() == [rule]


def test_item_without_its_sort_key_is_refused(wire: Wire) -> None:
    assert wire.send("PutItem", {"TableName": "DoorTest", "Item": {"PK": {"S": "a"}}})[0] == 400
    assert wire.rules() == ["key_missing"]


def test_item_of_409601_bytes_is_refused_and_409600_pass_the_rules(wire: Wire) -> None:
    # PK + a, SK + 1 in two bytes, x: 8 bytes beside the text. moto itself stops at 405 000.
    assert wire.put(x={"S": "v" * (409_600 - 8 + 1)}) == 400
    wire.put(x={"S": "v" * (409_600 - 8)})
    assert wire.rules() == ["item_size"]


def test_item_size_counts_utf8_bytes(wire: Wire) -> None:
    assert wire.put(x={"S": "é" * 204_797}) == 400
    wire.put(x={"S": "é" * 204_796})
    assert wire.rules() == ["item_size"]


def test_key_with_an_attribute_too_many_is_refused(wire: Wire) -> None:
    key = {"PK": {"S": "a"}, "SK": {"N": "1"}}
    assert wire.send("GetItem", {"TableName": "DoorTest", "Key": {**key, "x": {"S": "y"}}})[0] == 400
    assert wire.send("GetItem", {"TableName": "DoorTest", "Key": key})[0] == 200
    assert wire.rules() == ["key_schema"]


# ---- batches and transactions


def test_batch_of_26_is_refused_and_25_are_taken(wire: Wire) -> None:
    batches = [[put(str(n)) for n in range(count)] for count in (26, 25)]
    answers = [wire.send("BatchWriteItem", {"RequestItems": {"DoorTest": batch}}) for batch in batches]
    assert [status for status, *_ in answers] == [400, 200]
    assert wire.rules() == ["batch_size"]
    assert len(wire.door.writes) == 25


def test_key_twice_in_a_batch_is_refused_by_value(wire: Wire) -> None:
    twice = [put("a"), put("a", SK={"N": "1.0"})]
    assert wire.send("BatchWriteItem", {"RequestItems": {"DoorTest": twice}})[0] == 400
    other = [put("a"), put("a", SK={"N": "1.1"})]
    assert wire.send("BatchWriteItem", {"RequestItems": {"DoorTest": other}})[0] == 200
    assert wire.rules() == ["key_twice"]


def test_put_and_delete_of_one_key_in_a_batch_are_refused(wire: Wire) -> None:
    delete = {"DeleteRequest": {"Key": {"PK": {"S": "a"}, "SK": {"N": "1"}}}}
    assert wire.send("BatchWriteItem", {"RequestItems": {"DoorTest": [put("a"), delete]}})[0] == 400
    assert wire.rules() == ["key_twice"]


def test_one_bad_item_sinks_its_batch(wire: Wire, dynamodb: Any) -> None:
    assert wire.send("BatchWriteItem", {"RequestItems": {"DoorTest": [put("a"), put("b", x={"SS": []})]}})[0] == 400
    assert dynamodb.scan(TableName="DoorTest")["Count"] == 0


def test_key_twice_in_a_batch_read_is_refused(wire: Wire) -> None:
    key = {"PK": {"S": "a"}, "SK": {"N": "1"}}
    assert wire.send("BatchGetItem", {"RequestItems": {"DoorTest": {"Keys": [key, key]}}})[0] == 400
    assert wire.send("BatchGetItem", {"RequestItems": {"DoorTest": {"Keys": [key]}}})[0] == 200
    assert wire.rules() == ["key_twice"]


def test_item_twice_in_a_transaction_is_refused(wire: Wire) -> None:
    action = {"Put": {"TableName": "DoorTest", "Item": put("a")["PutRequest"]["Item"]}}
    assert wire.send("TransactWriteItems", {"TransactItems": [action, action]})[0] == 400
    assert wire.rules() == ["key_twice"]


def test_request_over_16_mb_gets_a_bare_413(wire: Wire) -> None:
    status, body, _ = wire.send("BatchWriteItem", b" " * (16 * 1024 * 1024 + 1))
    assert (status, body) == (413, b"")
    assert wire.rules() == ["request_size"]


@pytest.mark.parametrize("body", [b"{", b'{"TableName": "\xff"}'], ids=["cut", "not-utf8"])
def test_body_that_is_not_json_is_refused(wire: Wire, body: bytes) -> None:
    assert wire.send("PutItem", body)[0] == 400
    assert wire.rules() == ["json"]


def test_request_without_its_item_is_refused(wire: Wire) -> None:
    assert wire.send("PutItem", {"TableName": "DoorTest"})[0] == 400
    assert wire.rules() == ["shape"]


# ---- tables


def index(number: int, **changes: Any) -> dict[str, Any]:
    return {**TABLE["GlobalSecondaryIndexes"][0], "IndexName": f"GSI{number}", **changes}


def local_index(number: int) -> dict[str, Any]:
    schema = [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "GSK", "KeyType": "RANGE"}]
    return {"IndexName": f"LSI{number}", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}


def keyed_by(name: str) -> dict[str, Any]:
    return {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": None,
    }


TABLES = [
    ("table_name", {"TableName": "ab"}),
    ("table_name", {"TableName": "a b"}),
    ("table_name", {"TableName": "日本語"}),
    ("table_name", {"TableName": "x" * 256}),
    ("table_name", {"GlobalSecondaryIndexes": [index(1, IndexName="ix")]}),
    ("index_name_twice", {"GlobalSecondaryIndexes": [index(1), index(1)]}),
    ("index_count", {"GlobalSecondaryIndexes": [index(n) for n in range(21)]}),
    ("index_count", {"LocalSecondaryIndexes": [local_index(n) for n in range(6)]}),
    ("key_name", keyed_by("é" * 128)),
    ("attribute_definitions", {"GlobalSecondaryIndexes": None}),
    ("capacity", {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}),
    ("capacity", {"BillingMode": "PROVISIONED"}),
]


@pytest.mark.parametrize(("rule", "changes"), TABLES, ids=[f"{row[0]}{n}" for n, row in enumerate(TABLES)])
def test_table_is_refused(door: Door, dynamodb: Any, rule: str, changes: dict[str, Any]) -> None:
    definition = {name: value for name, value in {**TABLE, **changes}.items() if value is not None}
    assert Wire(door).send("CreateTable", definition)[0] == 400
    assert Wire(door).rules() == [rule]


@pytest.mark.parametrize(
    "changes",
    [{"TableName": "a.b"}, {"LocalSecondaryIndexes": [local_index(n) for n in range(5)]}, keyed_by("é" * 127)],
    ids=["name", "five-local-indexes", "key-name"],
)
def test_table_at_the_limit_is_created(door: Door, dynamodb: Any, changes: dict[str, Any]) -> None:
    definition = {name: value for name, value in {**TABLE, **changes}.items() if value is not None}
    assert Wire(door).send("CreateTable", definition)[0] == 200
    assert door.refused == []


def test_twenty_global_indexes_pass_the_rules(door: Door, dynamodb: Any) -> None:
    # dynalite itself still stops at five, the limit of 2018.
    Wire(door).send("CreateTable", {**TABLE, "GlobalSecondaryIndexes": [index(n) for n in range(20)]})
    assert door.refused == []


# ---- how it answers, what it counts


def test_refusal_looks_like_the_service(wire: Wire) -> None:
    _, body, headers = wire.send("PutItem", {"TableName": "DoorTest", "Item": {"PK": {"S": "a"}, "SK": {"S": "1"}}})
    assert json.loads(body)["__type"] == "com.amazon.coral.validate#ValidationException"
    assert headers["x-amz-crc32"] == str(zlib.crc32(body))


def test_sdk_reads_a_refusal_as_validation_exception(wire: Wire, dynamodb: Any) -> None:
    with pytest.raises(ClientError) as caught:
        dynamodb.put_item(TableName="DoorTest", Item={"PK": {"S": ""}, "SK": {"N": "1"}})
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_table_that_was_there_before_the_door_is_known(wire: Wire, engine: str) -> None:
    with Door(engine) as second:
        assert Wire(second).put(GPK={"S": ""}) == 400
        assert Wire(second).rules() == ["index_key_empty"]


def test_writes_are_counted_by_key(wire: Wire) -> None:
    wire.put(SK={"N": "1"})
    wire.put(SK={"N": "1.0"})
    wire.put(SK={"N": "2"})
    assert sorted(wire.door.writes.values()) == [1, 2]
    assert wire.door.requests["PutItem"] == 3


def test_a_write_that_is_under_way_is_awaited(wire: Wire) -> None:
    begun = threading.Event()

    def late(request: Request, forward: Forward) -> Reply:
        begun.set()
        time.sleep(3 * QUIET_S)
        return forward(request)

    wire.door.faults.append(late)
    writing = threading.Thread(target=wire.put)
    writing.start()
    assert begun.wait(60)
    wire.door.await_quiet()
    assert wire.door.writes.total() == 1
    writing.join()


def test_refused_items_do_not_count_as_written(wire: Wire) -> None:
    wire.put(x={"SS": []})
    assert not wire.door.writes


def test_deletes_are_counted_apart(wire: Wire) -> None:
    key = {"PK": {"S": "a"}, "SK": {"N": "1"}}
    wire.send("DeleteItem", {"TableName": "DoorTest", "Key": key})
    assert (len(wire.door.writes), sum(wire.door.deletes.values())) == (0, 1)


# ---- faults


def test_throttling_ends_after_so_many_requests(wire: Wire, dynamodb: Any) -> None:
    wire.door.faults.append(faults.throttle(2))
    assert [wire.put(), wire.put(), wire.put()] == [400, 400, 200]


def test_sdk_reads_throttling(wire: Wire, dynamodb: Any) -> None:
    wire.door.faults.append(faults.throttle(1))
    with pytest.raises(dynamodb.exceptions.ProvisionedThroughputExceededException):
        dynamodb.put_item(TableName="DoorTest", Item=put()["PutRequest"]["Item"])


def test_items_left_unprocessed_are_not_written(wire: Wire, dynamodb: Any) -> None:
    wire.door.faults.append(faults.leave_unprocessed(2, times=1))
    answer = dynamodb.batch_write_item(RequestItems={"DoorTest": [put("a"), put("b"), put("c")]})
    assert answer["UnprocessedItems"] == {"DoorTest": [put("b"), put("c")]}
    assert [item["PK"]["S"] for item in dynamodb.scan(TableName="DoorTest")["Items"]] == ["a"]
    assert len(wire.door.writes) == 1


def test_whole_batch_can_be_left_unprocessed(wire: Wire, dynamodb: Any) -> None:
    wire.door.faults.append(faults.leave_unprocessed(25))
    answer = dynamodb.batch_write_item(RequestItems={"DoorTest": [put("a")]})
    assert answer["UnprocessedItems"] == {"DoorTest": [put("a")]}
    assert not wire.door.writes


def test_server_error_writes_nothing(wire: Wire, dynamodb: Any) -> None:
    wire.door.faults.append(faults.server_error(1, status=503))
    assert wire.put() == 503
    assert dynamodb.scan(TableName="DoorTest")["Count"] == 0


@pytest.mark.parametrize(("fault", "written"), [(faults.drop_before, 0), (faults.drop_after, 1)])
def test_dropped_connection_before_and_after_the_write(wire: Wire, dynamodb: Any, fault: Any, written: int) -> None:
    wire.door.faults.append(fault(1))
    with pytest.raises(ConnectionClosedError):
        dynamodb.put_item(TableName="DoorTest", Item=put()["PutRequest"]["Item"])
    assert dynamodb.scan(TableName="DoorTest")["Count"] == written
    assert len(wire.door.writes) == written


def test_first_fault_stands_in_front(wire: Wire) -> None:
    wire.door.faults.extend([faults.deny(1, kind=faults.EXPIRED), faults.server_error(1)])
    assert [wire.put(), wire.put(), wire.put()] == [400, 500, 200]


def test_reset_forgets_counts_and_faults(wire: Wire) -> None:
    wire.door.faults.append(faults.server_error(None))
    wire.put()
    wire.door.reset()
    assert wire.put() == 200
    assert wire.door.requests == {"PutItem": 1}
