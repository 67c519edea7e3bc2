"""A plan that ships, through files: what lies in a folder, and the table that an import makes of a bucket."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from command import ROOT, Items, Migrator, environment, moved_plan, scan
from conftest import new_client
from oracle_madmall import expected_items

SOURCE = ROOT / "fixtures" / "madmall.sqlite"


@pytest.fixture
def importing(tmp_path: Path, aws_url: str) -> Migrator:
    """The command beside a DynamoDB that has S3, with a table of its own name."""
    endpoints = {f"AWS_ENDPOINT_URL_{service}": aws_url for service in ("DYNAMODB", "S3", "CLOUDWATCH_LOGS")}
    return Migrator(tmp_path, environment(tmp_path) | endpoints | {"ENVIRONMENT": f"import-{uuid.uuid4().hex}"})


def with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    """A binary value as boto3 gives it."""
    return {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) and len(value) == 1 else value


def in_files(place: Path) -> Items:
    lines = [line for file in place.rglob("*.json.gz") for line in gzip.decompress(file.read_bytes()).splitlines()]
    items = [json.loads(line, object_hook=with_bytes)["Item"] for line in lines]
    found = {(item["PK"]["S"], item["SK"]["S"]): item for item in items}
    assert len(found) == len(items)
    return found


def expected(report: dict[str, Any]) -> Items:
    return expected_items(SOURCE, datetime.fromisoformat(report["started_at"]))


def test_the_files_equal_a_plain_rendering_of_the_source(
    importing: Migrator, tmp_path: Path, differences: Callable[..., list[str]]
) -> None:
    run = importing("run", moved_plan("madmall", tmp_path), "--via", "out")
    assert run.exit_code == 0, run.stderr
    assert differences(in_files(tmp_path / "out"), expected(run.report)) == []


def test_an_imported_table_equals_it_too_and_verifies(
    importing: Migrator, tmp_path: Path, aws_url: str, differences: Callable[..., list[str]]
) -> None:
    boto3.client("s3", endpoint_url=aws_url).create_bucket(Bucket="shipped")
    plan = moved_plan("madmall", tmp_path)
    run = importing("run", plan, "--via", f"s3://shipped/{tmp_path.name}")
    assert run.exit_code == 0, run.stderr
    (table,) = run.report["target"]["tables"]
    assert differences(scan(new_client(aws_url), table), expected(run.report)) == []
    verify = importing("verify", plan)
    assert verify.exit_code == 0, verify.stdout
    assert verify.stdout.splitlines()[-1] == "access patterns: 21 of 21 agree"
    check = importing("table check", plan)
    assert check.exit_code == 0, check.stdout
