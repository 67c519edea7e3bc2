"""The conversion service's plan, as it ships, on each engine behind the strict door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command import fixture
from door_keeps import KeptSettings
from oracle_jobs import expected_items

SYSTEM = "jobs"
SOURCE = fixture(SYSTEM)
TABLE = "CloudToolsJobs"
BACKUP_NAME = f"{TABLE}-backup-%Y-%m-%d"
YEAR_S = 365 * 24 * 60 * 60

#: What makes a good row a broken one: its key -> the column, the value there, the code of its reject
BROKEN_JOBS = {
    "no status": ("status", None, "required"),
    "unknown status": ("status", "done", "one_of"),
    "no user": ("user_id", None, "required"),
    "no creation": ("created_at", None, "required"),
    "no date": ("created_at", "yesterday", "not_a_date"),
    "metadata cut off": ("metadata", '{"pages": 12', "invalid_json"),
    "metadata that is a list": ("metadata", "[12]", "pattern"),
    None: ("job_id", None, "required"),
}
GOOD_JOB = {"status": "failed", "user_id": "u", "created_at": "2024-01-01", "metadata": "{}"}


def query(migrated: Any, index: str, attribute: str, value: str, **options: Any) -> list[str]:
    """The ids that an index gives, in its order. `status` is a reserved word, so every name has a placeholder."""
    pages = migrated.client.get_paginator("query").paginate(
        TableName=migrated.table,
        IndexName=index,
        KeyConditionExpression="#key = :value",
        ExpressionAttributeNames={"#key": attribute},
        ExpressionAttributeValues={":value": {"S": value}},
        **options,
    )
    return [item["jobId"]["S"] for page in pages for item in page["Items"]]


def get(migrated: Any, job_id: str) -> dict[str, Any]:
    item: dict[str, Any] = migrated.client.get_item(TableName=migrated.table, Key={"jobId": {"S": job_id}})["Item"]
    return item


# ---- the run


def test_the_table_equals_a_plain_rendering_of_the_source(migrated: Any, differences: Any) -> None:
    assert migrated.run.report["status"] == "succeeded"
    assert migrated.door.refused == []
    assert differences(migrated.scan(), expected_items(SOURCE, migrated.run.started_at)) == []


def test_verify_finds_no_difference_and_every_access_pattern_agrees(migrated: Any) -> None:
    verify = migrated.verify()
    assert verify.exit_code == 0, verify.stdout + verify.stderr
    assert "access patterns: 7 of 7 agree" in verify.stdout


def test_the_system_status_lives_for_a_year_from_the_run(migrated: Any) -> None:
    status = get(migrated, "system-status")
    assert int(status["ttl"]["N"]) == int(migrated.run.started_at.timestamp()) + YEAR_S


def test_a_broken_row_is_rejected_alone_and_says_why(run_with: Any, scan: Any, differences: Any) -> None:
    broken = {job_id: GOOD_JOB | {column: value} for job_id, (column, value, _) in BROKEN_JOBS.items()}
    run = run_with(*(("jobs", {"job_id": job_id, **row}) for job_id, row in broken.items()))
    found = [(reject["row"]["job_id"].get("S"), reject["column"], reject["code"]) for reject in run.rejects]
    assert run.exit_code == 1
    assert sorted(found, key=str) == sorted(((key, c, code) for key, (c, _, code) in BROKEN_JOBS.items()), key=str)
    assert differences(scan(TABLE), expected_items(SOURCE, run.started_at)) == []


# ---- the backup before it


@pytest.mark.parametrize("engine", ["moto"], indirect=True)
def test_a_backup_of_the_day_is_made(migrator: Any, plan: Path, dynamodb: Any) -> None:
    def backups() -> dict[str, str]:
        made = dynamodb.list_backups(TableName=TABLE)["BackupSummaries"]
        return {backup["BackupArn"]: backup["BackupName"] for backup in made}

    others = backups()  # they outlive the tables of the tests before
    run = migrator("run", plan)
    made = [name for arn, name in backups().items() if arn not in others]
    assert made == [run.started_at.strftime(BACKUP_NAME)]


@pytest.mark.parametrize("engine", ["dynalite"], indirect=True)
def test_without_backups_the_items_of_before_the_run_become_lines(own: Any) -> None:
    own.client.put_item(TableName=own.table, Item={"jobId": {"S": "of the application's own"}})
    before = own.scan()
    state = own.plan.parent / ".migrator" / "backups"
    (of_the_first_run,) = state.iterdir()
    again = own.migrator("run", own.plan)
    (of_the_second_run,) = set(state.iterdir()) - {of_the_first_run}
    lines = [json.loads(line) for line in of_the_second_run.read_text(encoding="utf-8").splitlines()]
    assert of_the_first_run.read_text(encoding="utf-8") == ""
    assert of_the_second_run.name.startswith(again.started_at.strftime(BACKUP_NAME))
    assert {(item["jobId"]["S"],): item for item in lines} == before


# ---- what the application asks


def test_a_job_is_found_by_its_id(migrated: Any) -> None:
    assert get(migrated, "job-12345") == {
        "jobId": {"S": "job-12345"},
        "status": {"S": "processing"},
        "userId": {"S": "user123"},
        "createdAt": {"S": "2024-01-15T09:30:00Z"},
        "updatedAt": {"S": "2024-01-15T09:30:48.500000Z"},
        "jobType": {"S": "convert"},
        "inputFile": {"S": "uploads/user123/q4 report.docx"},
        "metadata": {"M": {"pages": {"N": "12"}, "quality": {"S": "high"}}},
        "ttl": {"N": "1707903000"},
    }


def test_the_jobs_of_a_status_come_in_the_order_of_their_creation(migrated: Any, select: Any) -> None:
    in_order = "SELECT job_id FROM jobs WHERE status = ? ORDER BY julianday(created_at)"
    statuses = ["pending", "processing", "completed", "failed"]
    found = {status: query(migrated, "StatusIndex", "status", status) for status in statuses}
    assert found == {status: select(in_order, status) for status in statuses}


def test_the_jobs_of_a_user_come_newest_first(migrated: Any, select: Any) -> None:
    newest_first = "SELECT job_id FROM jobs WHERE user_id = ? ORDER BY julianday(created_at) DESC"
    users = select("SELECT DISTINCT user_id FROM jobs")
    found = {user: query(migrated, "UserIndex", "userId", user, ScanIndexForward=False) for user in users}
    assert found == {user: select(newest_first, user) for user in users}


def test_a_scan_between_two_dates_holds_their_first_and_last_second(migrated: Any, select: Any) -> None:
    found = migrated.client.scan(
        TableName=migrated.table,
        FilterExpression="createdAt BETWEEN :start AND :end",
        ExpressionAttributeValues={
            ":start": {"S": "2024-01-01T00:00:00Z"},
            ":end": {"S": "2024-01-31T23:59:59Z"},
        },
    )["Items"]
    of_january = "SELECT job_id FROM jobs WHERE strftime('%Y-%m', created_at) = '2024-01' ORDER BY job_id"
    ids = sorted(item["jobId"]["S"] for item in found)
    assert {"job-jan-first", "job-jan-last"} <= set(ids)
    assert ids == select(of_january)


def test_a_job_that_is_done_moves_from_one_status_to_the_other(own: Any) -> None:
    own.client.update_item(
        TableName=own.table,
        Key={"jobId": {"S": "job-12345"}},
        UpdateExpression="SET #status = :status, updatedAt = :updated, outputFile = :output",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":status": {"S": "completed"},
            ":updated": {"S": "2026-11-21T10:00:00.123456"},
            ":output": {"S": "results/job-12345/q4 report.pdf"},
        },
    )
    assert "job-12345" not in query(own, "StatusIndex", "status", "processing")
    assert "job-12345" in query(own, "StatusIndex", "status", "completed")


# ---- the table itself, where every setting is kept


def test_the_table_is_as_its_mapping_defines_it(migrator: Any, door: Any, plan: Path) -> None:
    kept = KeptSettings()
    door.keeps(kept)
    migrator("run", plan)
    check = migrator("table", "check", str(plan))
    assert check.exit_code == 0, check.stdout + check.stderr
    assert [request["ContributorInsightsAction"] for request in kept.of("UpdateContributorInsights")] == ["ENABLE"]
