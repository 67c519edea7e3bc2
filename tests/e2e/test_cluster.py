"""A plan that ships, on a Dask cluster: one of its own, and one of a scheduler with two workers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import boto3
import pytest

from command import ROOT, Migrator, environment, moved_plan, scan
from conftest import new_client
from dask_cluster import dask_cluster
from oracle_madmall import expected_items

SOURCE = ROOT / "fixtures" / "madmall.sqlite"


@pytest.fixture
def migrator(tmp_path: Path, aws_url: str) -> Migrator:
    endpoints = {f"AWS_ENDPOINT_URL_{service}": aws_url for service in ("DYNAMODB", "S3", "CLOUDWATCH_LOGS")}
    return Migrator(tmp_path, environment(tmp_path) | endpoints | {"ENVIRONMENT": f"cluster-{uuid.uuid4().hex}"})


def test_a_cluster_of_its_own_fills_and_verifies_a_table(
    migrator: Migrator, tmp_path: Path, aws_url: str, differences: Callable[..., list[str]]
) -> None:
    plan = moved_plan("madmall", tmp_path)
    run = migrator("run", plan, "--cluster", "local:2", "--log-format", "json")
    assert run.exit_code == 0, run.stderr
    assert all(line.startswith("{") for line in run.stderr.splitlines())
    (table,) = run.report["target"]["tables"]
    expected = expected_items(SOURCE, datetime.fromisoformat(run.report["started_at"]))
    assert differences(scan(new_client(aws_url), table), expected) == []
    verify = migrator("verify", plan, "--cluster", "local:2")
    assert verify.exit_code == 0, verify.stdout + verify.stderr
    assert verify.stdout.splitlines()[-1] == "access patterns: 21 of 21 agree"


def test_the_workers_of_a_scheduler_write_the_files_of_an_import(
    migrator: Migrator, tmp_path: Path, aws_url: str, differences: Callable[..., list[str]]
) -> None:
    boto3.client("s3", endpoint_url=aws_url).create_bucket(Bucket="cluster")
    # What a worker needs of the plan comes with its tasks; its environment has credentials and endpoints.
    region = {"AWS_DEFAULT_REGION": "", "AWS_REGION": ""}
    with dask_cluster(tmp_path / "cluster", {**migrator.environment, **region}, 2) as cluster:
        options = ("--cluster", cluster.address, "--via", f"s3://cluster/{tmp_path.name}")
        run = migrator("run", moved_plan("madmall", tmp_path), *options)
    assert run.exit_code == 0, run.stderr
    (table,) = run.report["target"]["tables"]
    expected = expected_items(SOURCE, datetime.fromisoformat(run.report["started_at"]))
    assert differences(scan(new_client(aws_url), table), expected) == []
