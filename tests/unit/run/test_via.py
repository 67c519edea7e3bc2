"""Runs by way of files: what lies in a folder, and what an import makes of a bucket (moto's S3 and ImportTable)."""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer

from migrator.cli.app import app
from migrator.errors import UsageError
from migrator.run import opened, via
from migrator.run.engine import run_plan
from migrator.run.plan import Plan, load_plan
from migrator.run.report import RunReport
from migrator.run.verify import verify_plan
from migrator.target import importlog
from migrator.target.backoff import RetryPolicy
from migrator.target.imports import Import
from shop import Shop, open_shop

BUCKET = "files"
PEOPLE = """
    CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, born TEXT, team TEXT);
    INSERT INTO people VALUES (1, 'Ada', '1815-12-10', 'red'), (2, 'Bo', '?', 'red'), (3, 'Cé', NULL, 'blue'),
        (4, NULL, '1815-12-10', 'green');
"""
PERSON = 'Person: {source: people, key: {PK: "P#{id}"}, attributes: {name: name, born: born|date}, columns: none}'
BY_TEAM = 'Person: {source: people, key: {PK: "{team}"}, attributes: {name: name}, columns: none}'
EXPECTED = {"P#1": {"name": "Ada", "born": "1815-12-10"}, "P#3": {"name": "Cé"}, "P#4": {"born": "1815-12-10"}}


@pytest.fixture
def shop(tmp_path: Path, aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Its files go to a bucket of a server that has DynamoDB, S3 and logs."""
    for service in ("S3", "CLOUDWATCH_LOGS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", aws_url)
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    with open_shop(tmp_path, aws_url, PEOPLE) as shop:
        yield shop


@pytest.fixture
def bucket(shop: Shop) -> str:
    """A place of the test's own in the bucket."""
    return f"s3://{BUCKET}/{shop.table}/here"


def run(plan: Plan, place: str | Path, **options: Any) -> RunReport:
    return run_plan(plan.by_way_of(str(place)), **options)


def read_back(place: Path) -> list[dict[str, Any]]:
    """All items of all files, as boto3 understands them."""
    deserialize = TypeDeserializer().deserialize
    lines = [
        line for file in sorted(place.rglob("*.json.gz")) for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
    return [{name: deserialize(value) for name, value in json.loads(line)["Item"].items()} for line in lines]


def keyed(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {item.pop("PK"): item for item in items}
    assert len(found) == len(items), "a key is there twice"
    return found


def totals(report: RunReport, *names: str) -> tuple[float, ...]:
    return tuple(report.totals()[name] for name in names)


# ---- a folder


def test_the_files_of_a_folder_hold_what_a_run_would_write(shop: Shop, tmp_path: Path) -> None:
    report = run(shop.plan(PERSON), tmp_path / "out")
    assert keyed(read_back(tmp_path / "out")) == EXPECTED
    assert totals(report, "read", "items", "written", "rejected", "failed") == (4, 3, 3, 1, 0)
    assert (report.exit_code, report.via and report.via.files) == (1, 1)


def test_of_two_rows_with_one_key_the_files_have_one(shop: Shop, tmp_path: Path) -> None:
    report = run(shop.plan(BY_TEAM), tmp_path / "out")
    assert keyed(read_back(tmp_path / "out")) == {"red": {"name": "Ada"}, "blue": {"name": "Cé"}, "green": {}}
    assert totals(report, "written", "rejected") == (3, 1)


def test_files_for_a_folder_need_no_target(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    shop.url = "http://127.0.0.1:9"  # nobody listens there
    assert run(shop.plan(PERSON), tmp_path / "out").error is None


def test_two_workers_write_a_file_for_each_segment(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 10)
    shop.source(
        "CREATE TABLE many AS WITH RECURSIVE n(id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM n LIMIT 1000) "
        "SELECT id FROM n"
    )
    plan = shop.plan(
        'Many: {source: {query: "SELECT rowid AS id FROM many", key: [id]}, key: {PK: "{id}"}}',
        'Row: {source: many, key: {PK: "R#{@rowid}"}, columns: none}',
        parallelism=2,
    )
    report = run(plan, tmp_path / "out")
    assert len(keyed(read_back(tmp_path / "out"))) == 2000
    assert report.via is not None
    assert report.via.files == 1 + 1000 / (10 * opened.VIA_SEGMENTS)  # a query is one segment


def test_a_dry_run_counts_and_leaves_no_file(shop: Shop, tmp_path: Path) -> None:
    report = run(shop.plan(PERSON), tmp_path / "out", dry_run=True)
    assert (totals(report, "written", "rejected"), (tmp_path / "out").exists()) == ((3, 1), False)


def test_a_folder_that_has_files_for_the_table_is_refused(shop: Shop, tmp_path: Path) -> None:
    plan = shop.plan(PERSON)
    run(plan, tmp_path / "out")
    with pytest.raises(UsageError, match="already, and an import would read them"):
        run(plan, tmp_path / "out")


def test_a_folder_that_cannot_be_written_stops_the_run(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    report = run(shop.plan(PERSON), tmp_path / "out")
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "files_unwritable")


# ---- a bucket, and its import


def test_an_imported_table_verifies_with_no_difference(shop: Shop, bucket: str) -> None:
    plan = shop.plan(PERSON, items="[{PK: SYSTEM, since: {now: +0d}}]", verify="full")
    report = run(plan, bucket)
    assert report.error is None
    assert report.verification is not None
    assert (report.exit_code, report.verification.exit_code) == (1, 0)
    assert totals(report, "written", "failed") == (4, 0)
    assert report.via is not None
    assert (report.via.files, len(report.via.imports)) == (2, 1)
    assert verify_plan(plan).exit_code == 0


def test_a_table_without_items_is_made_without_an_import(shop: Shop, bucket: str) -> None:
    report = run(shop.plan("Person: {source: people, where: id > 9, key: {PK: id}}"), bucket)
    assert (report.error, shop.items()) == (None, {})


def test_what_an_import_cannot_do_is_done_after_it(shop: Shop, bucket: str) -> None:
    run(shop.plan(PERSON), bucket)
    ttl = shop.client.describe_time_to_live(TableName=shop.table)["TimeToLiveDescription"]
    assert ttl["AttributeName"] == "ttl"


def test_a_table_that_is_there_is_not_imported_into(shop: Shop, bucket: str) -> None:
    plan = shop.plan(PERSON)
    run_plan(plan)
    report = run(plan, bucket)
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "table_exists")


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_bucket_that_is_missing_stops_the_run_before_anything(shop: Shop, dry_run: bool) -> None:
    report = run(shop.plan(PERSON), "s3://nowhere/at/all", dry_run=dry_run)
    assert report.error is not None
    assert (report.exit_code, report.error.code, report.totals()["read"]) == (3, "bucket_missing", 0)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"validate": False}, "bills each item"),
        ({"rollback": True}, "deleting it"),
        ({"create_table": "never"}, "makes its table"),
    ],
)
def test_settings_that_an_import_cannot_keep_are_refused(
    shop: Shop, bucket: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        run(shop.plan(PERSON, **settings), bucket)


def test_a_table_with_local_indexes_is_refused_with_the_reason(shop: Shop, tmp_path: Path) -> None:
    shop.plan(PERSON)
    mapping = tmp_path / "shop.yaml"
    mapping.write_text(
        mapping.read_text()
        .replace("partition_key: PK,", "partition_key: PK, sort_key: SK, local_indexes: {BORN: {sort_key: born}},")
        .replace("{PK:", "{SK: A, PK:")
    )
    with pytest.raises(UsageError, match="ImportTable, which makes it, has no parameter for them"):
        run(load_plan(tmp_path / "plan.yaml"), tmp_path / "out")


@pytest.mark.parametrize("place", ["s3://", "s3:///prefix", "gs://bucket/prefix", ""])
def test_a_place_that_is_none_is_refused(shop: Shop, place: str) -> None:
    with pytest.raises(UsageError, match="is no place"):
        run(shop.plan(PERSON), place)


def test_without_its_extra_it_names_the_command_that_installs_it(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    with pytest.raises(UsageError, match=r'isal.*\n.*pip install "migrator\[s3\]"'):
        run(shop.plan(PERSON), tmp_path / "out")


def test_files_grow_until_an_import_reads_all_of_them(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "SEGMENT_ROWS", 1)
    monkeypatch.setattr(opened, "VIA_SEGMENTS", 1)
    monkeypatch.setattr(via, "IMPORT_FILES", 2)
    report = run(shop.plan(PERSON), tmp_path / "out")
    assert report.via is not None
    assert 1 <= report.via.files <= 2
    assert {item["PK"] for item in read_back(tmp_path / "out" / shop.table)} == set(EXPECTED)


def test_more_source_files_than_an_import_reads_are_refused(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(via, "IMPORT_FILES", 0)
    with pytest.raises(UsageError, match=r"would take 1 file.*, and an import reads 0"):
        run(shop.plan(PERSON), tmp_path / "out")


def test_a_verification_has_to_wait_for_the_import_of_a_folder(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = run(shop.plan(PERSON, verify="full"), tmp_path / "out")
    assert (report.error, report.verification) == (None, None)
    assert "run `migrator verify` after the import" in caplog.text


def test_an_import_that_read_fewer_items_than_there_are_stops_the_run(
    shop: Shop, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short: Any = {"status": "COMPLETED", "processed": 2, "imported": 2}
    monkeypatch.setattr(via.Imports, "watch", lambda *_, **__: Import("arn", **short))
    report = run(shop.plan(PERSON), bucket)
    assert report.error is not None
    assert (report.exit_code, report.error.code) == (3, "import_incomplete")
    assert "read 2 items, and 3 are in its files" in report.error.message


def test_local_and_via_exclude_each_other(shop: Shop, tmp_path: Path) -> None:
    shop.plan(PERSON)
    with pytest.raises(UsageError, match="exclude each other"):
        app(["run", str(tmp_path / "plan.yaml"), "--via", "out", "--local"], standalone_mode=False)


# ---- what an import refuses


@pytest.fixture
def too_large_for_moto(shop: Shop) -> None:
    """An item within the service's limits, which moto counts otherwise, beside others of its file."""
    shop.source("INSERT INTO people VALUES (5, CAST(zeroblob(203000) AS TEXT), NULL, 'x')")
    shop.source("UPDATE people SET name = replace(hex(zeroblob(203500)), '00', 'xx') WHERE id = 5")


def log_of(report: RunReport, shop: Shop, key: str, index: int) -> None:
    """An event as the developer guide shows one, in the stream of the report's import."""
    logs = boto3.client("logs")
    group, stream = "/aws-dynamodb/imports", f"{report.via.imports[0].rpartition('/')[2]}/error" if report.via else ""
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    event = {
        "itemS3Pointer": {"bucket": BUCKET, "key": key, "itemIndex": index},
        "importArn": report.via and report.via.imports[0],
        "errorMessages": ["Item size has exceeded the maximum allowed size"],
    }
    events = [{"timestamp": int(time.time() * 1000), "message": json.dumps(event)}]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


@pytest.mark.usefixtures("too_large_for_moto")
def test_an_item_that_the_import_refused_is_failed_with_its_row_and_the_words_of_the_log(
    shop: Shop, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlog, "LATE", RetryPolicy(max_attempts=2, give_up_after_s=0.2))
    plan = shop.plan(PERSON)
    unread = run(plan, bucket)
    assert unread.error is not None
    assert (unread.error.code, unread.error.retryable) == ("import_log", True)

    lines = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"{shop.table}/here/{shop.table}/000000-0.json.gz")["Body"]
    keys = [json.loads(line)["Item"]["PK"]["S"] for line in gzip.decompress(lines.read()).splitlines()]
    log_of(unread, shop, f"{shop.table}/here/{shop.table}/000000-0.json.gz", keys.index("P#5"))
    report = run(plan, bucket)

    assert (report.resumed, report.error) == (True, None)
    assert totals(report, "items", "written", "failed") == (4, 3, 1)
    assert set(shop.items()) == {"P#1", "P#3", "P#4"}
    (line,) = (json.loads(line) for line in Path(report.failed or "").read_text().splitlines())
    assert (line["row"], line["key"]) == ({"id": {"N": "5"}}, {"PK": {"S": "P#5"}})
    assert line["message"] == "Item size has exceeded the maximum allowed size"
