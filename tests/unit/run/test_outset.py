"""How fast a run begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from migrator.mapping.model import KeyAttribute, TableDefinition
from migrator.run.outset import set_paces
from migrator.target.governor import Governor
from migrator.target.session import TargetSettings


@pytest.mark.parametrize(("local", "waits"), [(True, False), (False, True)])
def test_no_pace_is_taken_from_the_embedded_engine(*, local: bool, waits: bool) -> None:
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
        )
        opened: Any = SimpleNamespace(
            plan=SimpleNamespace(target=TargetSettings(local=local)),
            tables={0: TableDefinition("orders", KeyAttribute("id"))},
            client=lambda: client,
        )
        governor = Governor()
        set_paces(opened, {"orders": governor})
        governor.take(1000)
        assert (governor.wait_s() > 0) == waits
