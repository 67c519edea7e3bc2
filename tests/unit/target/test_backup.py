import base64
import json
from datetime import UTC, datetime

import pytest
from moto import mock_aws

from migrator.errors import TargetError
from migrator.mapping.model import KeyAttribute, TableDefinition
from migrator.target.backoff import Timing
from migrator.target.backup import backup_table
from migrator.target.session import TargetSettings, create_client
from migrator.target.table import create_table

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ORDERS = TableDefinition("orders", KeyAttribute("PK"))


@pytest.fixture
def timing(clock):
    return Timing(clock, clock.sleep)


class NoBackups:
    """An engine that scans, two items a page, and knows no backups."""

    def __init__(self, error, items, scan_error=None):
        self._error = error
        self._items = items
        self._scan_error = scan_error

    def create_backup(self, **parameters):
        raise self._error("UnknownOperationException")

    def scan(self, ExclusiveStartKey=0, **parameters):  # noqa: N803
        if self._scan_error and ExclusiveStartKey:
            raise self._scan_error
        end = ExclusiveStartKey + 2
        page = {"Items": self._items[ExclusiveStartKey:end]}
        return page | ({"LastEvaluatedKey": end} if end < len(self._items) else {})


def test_an_engine_with_backups_makes_one(tmp_path, timing):
    with mock_aws():
        client = create_client(TargetSettings(region="us-east-1"))
        create_table(client, ORDERS, timing=timing)
        told = backup_table(client, ORDERS, None, tmp_path, NOW, timing=timing)
        assert told.startswith("orders-backup-2026-11-21 (arn:aws:dynamodb:")
        (backup,) = client.list_backups()["BackupSummaries"]
    assert backup["BackupName"] == "orders-backup-2026-11-21"
    assert not (tmp_path / "backups").exists()


def test_without_backups_every_item_becomes_a_line(error, tmp_path, timing):
    items = [{"PK": {"S": f"{n}"}, "b": {"B": b"\xff"}} for n in range(5)]
    told = backup_table(NoBackups(error, items), ORDERS, None, tmp_path, NOW, timing=timing)
    path = tmp_path / "backups" / "orders-backup-2026-11-21.jsonl"
    assert told == f"{path} (5 items)"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [base64.b64decode(line["b"]["B"]) for line in lines] == [b"\xff"] * 5


def test_an_earlier_backup_is_not_overwritten(error, tmp_path, timing):
    for _ in range(2):
        backup_table(NoBackups(error, []), ORDERS, "mine", tmp_path, NOW, timing=timing)
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == ["mine-2.jsonl", "mine.jsonl"]


def test_a_backup_that_fails_half_way_is_an_error_and_no_file(error, tmp_path, timing):
    items = [{"PK": {"S": f"{n}"}} for n in range(5)]
    client = NoBackups(error, items, error("AccessDeniedException"))
    with pytest.raises(TargetError, match="nothing was written") as caught:
        backup_table(client, ORDERS, None, tmp_path, NOW, timing=timing)
    assert caught.value.code == "backup_failed"
    assert list((tmp_path / "backups").glob("*.jsonl")) == []


def test_a_denied_backup_is_not_replaced_by_a_dump(error, tmp_path, timing):
    class Denied(NoBackups):
        def create_backup(self, **parameters):
            raise self._error("AccessDeniedException")

    with pytest.raises(TargetError) as caught:
        backup_table(Denied(error, []), ORDERS, None, tmp_path, NOW, timing=timing)
    assert caught.value.code == "backup_failed"
