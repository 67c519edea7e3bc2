from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace

from migrator.errors import InterruptedRun, LockHeldError, MigratorError, StoppedError, TargetError
from migrator.run.report import RunReport, check_accounts, first_exit_code
from migrator.run.report_files import FileResult
from migrator.run.results import EntityResult, Requests, RunError
from migrator.run.verify_report import EntityComparison, VerifyReport

USER = EntityResult(
    "User", "main", "users", read=5, rendered_rows=5, items=5, written=5, bytes=4096, write_units=7.0, duration_s=0.4
)
REPORT = RunReport(
    run_id="r1",
    plan="madmall",
    started_at=datetime(2026, 11, 21, 11, tzinfo=timezone(timedelta(hours=1))),
    finished_at=datetime(2026, 11, 21, 10, 0, 2, tzinfo=UTC),
    duration_s=1.9,
    entities=(USER,),
    requests=Requests(9, 1, 0, 0, (3.9, 4.1)),
    sources=(FileResult("/data/madmall.sqlite", "f00d", entities={"User": {"read": 5, "items": 4}}),),
    region="us-east-1",
    tables=("main",),
    rejects="/state/rejects.jsonl",
    failed="/state/failed.jsonl",
    version="0.1.0",
)


def test_the_json_is_exactly_the_documented_one() -> None:
    assert REPORT.to_json() == {
        "run_id": "r1",
        "version": "0.1.0",
        "plan": "madmall",
        "status": "succeeded",
        "exit_code": 0,
        "dry_run": False,
        "resumed": False,
        "started_at": "2026-11-21T10:00:00Z",
        "finished_at": "2026-11-21T10:00:02Z",
        "duration_s": 1.9,
        "source": [
            {
                "path": "/data/madmall.sqlite",
                "snapshot": "f00d",
                "read": 5,
                "items": 4,
                "written": 0,
                "rejected": 0,
                "failed": 0,
                "error": None,
            }
        ],
        "target": {"region": "us-east-1", "endpoint_url": None, "tables": ["main"]},
        "entities": [
            {
                "entity": "User",
                "table": "main",
                "source": "users",
                "read": 5,
                "items": 5,
                "written": 5,
                "skipped": 0,
                "unchanged": 0,
                "deleted": 0,
                "rejected": 0,
                "failed": 0,
                "unsent": 0,
                "warnings": 0,
                "bytes": 4096,
                "write_units": 7,
                "duration_s": 0.4,
            }
        ],
        "totals": {
            "read": 5,
            "items": 5,
            "written": 5,
            "skipped": 0,
            "unchanged": 0,
            "deleted": 0,
            "rejected": 0,
            "failed": 0,
            "unsent": 0,
            "write_units": 7,
        },
        "requests": {
            "sent": 9,
            "retried": 1,
            "throttled": 0,
            "unprocessed_items": 0,
            "latency_ms": {"mean": 4, "p50": 3.9, "p99": 4.1},
        },
        "rejects": "/state/rejects.jsonl",
        "failed": "/state/failed.jsonl",
        "error": None,
    }


INTERRUPTED = RunError.of(InterruptedRun(15))
DIFFERENT = VerifyReport("madmall", [EntityComparison("User", "t", 5, 5, missing=1)], 0, [], None)
REJECTED = replace(USER, read=6, rejected=1)
FAILED = replace(USER, written=4, failed=1)


@pytest.mark.parametrize(
    ("report", "status", "exit_code"),
    [
        (REPORT, "succeeded", 0),
        (replace(REPORT, entities=(REJECTED,)), "completed_with_rejects", 1),
        (replace(REPORT, entities=(FAILED,)), "completed_with_rejects", 1),
        (replace(REPORT, entities=(REJECTED,), verification=DIFFERENT), "failed", 4),
        (replace(REPORT, entities=(REJECTED,), error=RunError.of(StoppedError("x", code="x"))), "failed", 3),
        (replace(REPORT, error=RunError.of(LockHeldError("x", code="x"))), "failed", 5),
        (replace(REPORT, error=RunError.of(InterruptedRun(2)), entities=(REJECTED,)), "interrupted", 130),
        (replace(REPORT, error=RunError.of(InterruptedRun(15))), "interrupted", 143),
    ],
)
def test_status_and_exit_code_follow_from_the_numbers(report: RunReport, status: str, exit_code: int) -> None:
    assert (report.status, report.exit_code) == (status, exit_code)


@pytest.mark.parametrize(("codes", "first"), [((0, 1, 4), 4), ((4, 3), 3), ((3, 2), 2), ((2, 5), 5), ((5, 143), 143)])
def test_exit_codes_have_the_documented_precedence(codes: tuple[int, ...], first: int) -> None:
    assert first_exit_code(codes) == first


def test_an_error_is_reported_with_code_message_and_whether_to_try_again() -> None:
    report = replace(REPORT, error=RunError.of(TargetError("no answer", code="throttled", retryable=True)))
    assert report.to_json()["error"] == {"code": "throttled", "message": "no answer", "retryable": True}


def test_accounts_that_add_up_pass() -> None:
    check_accounts(replace(REPORT, entities=(USER, REJECTED, FAILED, replace(USER, written=2, skipped=3))))


@pytest.mark.parametrize(
    "wrong", [replace(USER, read=6), replace(USER, rejected=1), replace(USER, written=4), replace(USER, skipped=1)]
)
def test_accounts_that_do_not_add_up_are_an_error_naming_the_entity(wrong: EntityResult) -> None:
    with pytest.raises(MigratorError, match="User: ") as caught:
        check_accounts(replace(REPORT, entities=(wrong,)))
    assert caught.value.code == "accounts"


def test_items_may_be_unsent_only_where_the_run_was_stopped() -> None:
    stopped = replace(REPORT, entities=(replace(USER, items=2, written=2, unsent=3),), error=INTERRUPTED)
    check_accounts(stopped)
    assert stopped.to_text().splitlines()[-2] == "not sent when the run stopped: 3 more items, which were rendered"
    with pytest.raises(MigratorError, match="User: 3 items were not sent"):
        check_accounts(replace(stopped, error=None))


def test_the_text_has_a_line_for_each_entity_and_a_total() -> None:
    lines = replace(REPORT, entities=(USER, replace(REJECTED, entity="Order"))).to_text().splitlines()
    assert lines[0] == "run r1 of plan madmall: completed with rejects"
    assert [line.split()[:7] for line in lines[2:6]] == [
        ["entity", "read", "items", "written", "skipped", "rejected", "failed"],
        ["User", "5", "5", "5", "0", "0", "0"],
        ["Order", "6", "5", "5", "0", "1", "0"],
        ["total", "11", "10", "10", "0", "1", "0"],
    ]
    assert lines[-1] == "rejected rows: /state/rejects.jsonl"
    assert len({len(line) for line in lines[2:6]}) == 1


def test_a_dry_run_says_so() -> None:
    text = replace(REPORT, dry_run=True).to_text()
    assert "dry run: nothing was written" in text
    assert "would write" in text


def test_the_text_ends_with_what_stopped_the_run() -> None:
    report = replace(REPORT, error=RunError.of(StoppedError("the disk is full", code="disk")))
    assert report.to_text().splitlines()[-1] == "stopped: disk"


def test_a_report_of_no_entities_can_be_printed() -> None:
    assert "total" in replace(REPORT, entities=()).to_text()


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "r.json"
    for run_id in ("one", "two"):
        replace(REPORT, run_id=run_id).write(path)
    assert json.loads(path.read_text(encoding="utf-8"))["run_id"] == "two"
    assert [file.name for file in path.parent.iterdir()] == ["r.json"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match=str(tmp_path)):
        REPORT.write(tmp_path)
