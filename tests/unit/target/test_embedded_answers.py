"""moto's answers with the quick answers and without them are the same, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.core.serialize import BaseJSONSerializer

from migrator.target.embedded_answers import QUICK_ANSWERS

EVERYTHING: dict[str, Any] = {
    "PK": {"S": 'ä\n"#€'},
    "SK": {"B": b"\x00\xff"},
    "n": {"N": "-1.50E+3"},
    "empty": {"S": ""},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "null": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"\x01", b"\x02"]},
    "list": {"L": [{"S": "x"}, {"B": b"\x03"}, {"L": []}, {"M": {"B": {"BS": [b"\x04"]}}}]},
    "map": {"M": {"S": {"S": "named like a type"}, "M": {"M": {}}, "NULL": {"NULL": True}}},
}
KEY = {name: EVERYTHING[name] for name in ("PK", "SK")}
INDEX = {
    "IndexName": "by_n",
    "KeySchema": [{"AttributeName": "n", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_table(
            TableName="t",
            KeySchema=[
                {"AttributeName": "PK", "KeyType": "HASH"},
                {"AttributeName": "SK", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in (("PK", "S"), ("SK", "B"), ("n", "N"))
            ],
            GlobalSecondaryIndexes=[INDEX],
            BillingMode="PAY_PER_REQUEST",
        )
        client.put_item(TableName="t", Item=EVERYTHING)
        client.put_item(TableName="t", Item={**KEY, "SK": {"B": b"\x01"}})
        yield client


def answers(client: Any) -> list[Any]:
    """Of each operation that gives items or values."""
    found = {"ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":n": EVERYTHING["n"]}}
    kept: list[bytes] = []
    client.meta.events.register("before-parse", lambda response_dict, **_: kept.append(response_dict["body"]))
    documents = [
        client.scan(TableName="t"),
        client.scan(TableName="t", Limit=1),
        client.scan(TableName="t", Select="COUNT"),
        client.query(TableName="t", IndexName="by_n", KeyConditionExpression="#n = :n", **found),
        client.get_item(TableName="t", Key=KEY),
        client.get_item(TableName="t", Key={**KEY, "PK": {"S": "nobody"}}),
        client.batch_get_item(RequestItems={"t": {"Keys": [KEY]}}),
        client.put_item(TableName="t", Item=EVERYTHING, ReturnValues="ALL_OLD"),
        client.describe_table(TableName="t"),
    ]
    refused = {"ConditionExpression": "attribute_not_exists(PK)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    put = {"TableName": "t", "Item": EVERYTHING, **refused}
    for call, asked in ((client.put_item, put), (client.transact_write_items, {"TransactItems": [{"Put": put}]})):
        with pytest.raises(client.exceptions.ClientError) as caught:
            call(**asked)
        documents.append(caught.value.response)
    for document in documents:
        del document["ResponseMetadata"]
    assert len(kept) == len(documents)
    return [*documents, *kept]


def test_every_answer_is_the_same(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    by_moto = answers(dynamodb)
    assert by_moto[4]["Item"] == by_moto[9]["Item"] == EVERYTHING
    written: list[str] = []
    for name, method in QUICK_ANSWERS.items():

        def noted(*given: Any, name: str = name, method: Any = method) -> None:
            written.append(name)
            method(*given)

        monkeypatch.setattr(BaseJSONSerializer, name, noted)
    assert answers(dynamodb) == by_moto
    assert {"_serialize_type_map", "_serialize_type_structure"} == set(written)
