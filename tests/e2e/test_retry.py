"""`migrator retry` and `migrator runs` as a person types them, on each engine; and retries that are killed."""

from __future__ import annotations

import fcntl
import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from door import Door
from door_faults import delay

TABLE = "retried"
ROWS = 120
PLAN_TEXT = """\
version: 1
name: retried
source: retried.sqlite
mappings: [mapping.yaml]
settings: {parallelism: 2, batch_size: 5}
"""
MAPPING_TEXT = """\
version: 1
table: {name: %s, partition_key: PK, sort_key: SK}
entities:
  Order:
    source: orders
    key: {PK: "ORDER#{id}", SK: "AT#{placed_at}"}
    attributes: {total: total}
    columns: none
"""
#: A command that kills itself where it is told to.
DRIVER = """
import os, signal
from migrator.run import deadletters, opened
from migrator.run.deadletters import DeadLetters
from migrator.cli import main
opened.SEGMENT_ROWS = 20
rewrite, calls = deadletters._rewrite, []
def dying(*given):
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(1)
    rewrite(*given)
deadletters._rewrite = dying
main()
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Every tenth of the orders has no date, and is rejected."""
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN_TEXT, encoding="utf-8")
    (tmp_path / "mapping.yaml").write_text(MAPPING_TEXT % TABLE, encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "retried.sqlite")) as db, db:
        db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at TEXT, total REAL)")
        orders = [(n, f"2026-{n:04d}" if n % 10 else None, n * 1.5) for n in range(1, ROWS + 1)]
        db.executemany("INSERT INTO orders VALUES (?, ?, ?)", orders)
    return path


def mend(plan: Path, condition: str) -> None:
    with closing(sqlite3.connect(plan.with_name("retried.sqlite"))) as db, db:
        db.execute(f"UPDATE orders SET placed_at = printf('2026-%04d', id) WHERE placed_at IS NULL AND {condition}")


def expected(*left: int) -> dict[tuple[str, str], dict[str, Any]]:
    """The table once all but these orders are written."""
    return {
        (f"ORDER#{n}", f"AT#2026-{n:04d}"): {
            "PK": {"S": f"ORDER#{n}"},
            "SK": {"S": f"AT#2026-{n:04d}"},
            "total": {"N": f"{n * 1.5:g}"},
        }
        for n in range(1, ROWS + 1)
        if n not in left
    }


def test_what_was_mended_is_written_and_the_runs_are_listed(migrator: Any, plan: Path, scan: Any) -> None:
    run = migrator("run", plan)
    assert (run.exit_code, run.report["totals"]["rejected"]) == (1, 12)
    mend(plan, "id <> 70")
    dry = migrator("retry", plan, "--dry-run")
    assert (dry.exit_code, len(scan(TABLE))) == (1, 108)
    retry = migrator("retry", plan)
    assert retry.exit_code == 1
    assert "12 tried again, 11 closed, 1 left" in retry.stdout
    assert scan(TABLE) == expected(70)
    mend(plan, "id = 70")
    assert migrator("retry", plan).exit_code == 0
    assert scan(TABLE) == expected()
    assert migrator("verify", plan).exit_code == 0
    nothing = migrator("retry", plan)
    assert (nothing.exit_code, nothing.stdout.startswith("nothing to retry")) == (0, True)
    listed = json.loads(migrator("runs", plan, "--format", "json").stdout)
    assert [(run["kind"], run["exit_code"]) for run in listed["runs"]] == [
        ("retry", 0),
        ("retry", 1),
        ("dry run", 1),
        ("run", 1),
    ]


def test_the_report_of_a_retry_tells_whose_it_is_and_what_became_of_it(migrator: Any, plan: Path) -> None:
    run = migrator("run", plan)
    mend(plan, "id < 50")
    file = plan.with_name("retry.json")
    migrator("retry", plan, "--report", str(file))
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["run_id"] != run.report["run_id"]
    assert report["retry"] == {"run_id": run.report["run_id"], "sought": 12, "closed": 4, "gone": 0, "left": 8}
    (order,) = report["entities"]
    assert {name: order[name] for name in ("read", "items", "written", "rejected", "failed")} == {
        "read": 12,
        "items": 4,
        "written": 4,
        "rejected": 8,
        "failed": 0,
    }
    assert (report["status"], report["exit_code"]) == ("completed_with_rejects", 1)


@pytest.mark.parametrize("call", [0, 1])
def test_a_retry_that_is_killed_while_it_closes_loses_nothing(migrator: Any, plan: Path, scan: Any, call: int) -> None:
    run = migrator("run", plan)
    mend(plan, "id < 50")
    killed = subprocess.run(
        [sys.executable, "-c", DRIVER.format(call=call), "retry", str(plan)],
        cwd=plan.parent,
        env=dict(migrator.environment),
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert migrator("retry", plan).exit_code == 1
    lines = Path(run.report["rejects"]).read_text(encoding="utf-8").splitlines()
    assert sorted(int(json.loads(line)["row"]["id"]["N"]) for line in lines) == list(range(50, ROWS + 1, 10))
    assert scan(TABLE) == expected(*range(50, ROWS + 1, 10))


def test_a_retry_that_is_terminated_is_gone_on_with_by_retrying_again(
    migrator: Any, plan: Path, scan: Any, door: Door
) -> None:
    migrator("run", plan)
    mend(plan, "id > 0")
    door.faults.append(delay(1.0))
    asked = door.requests["BatchWriteItem"]
    with subprocess.Popen(
        [sys.executable, "-m", "migrator", "retry", str(plan)], cwd=plan.parent, env=dict(migrator.environment)
    ) as process:
        give_up = time.monotonic() + 60
        while door.requests["BatchWriteItem"] == asked:
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    door.faults.clear()
    assert migrator("retry", plan).exit_code == 0
    assert scan(TABLE) == expected()


def test_of_a_run_and_a_retry_at_once_the_second_is_refused(migrator: Any, plan: Path) -> None:
    migrator("run", plan)
    folder = plan.parent / ".migrator"
    with (folder / "retried.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = migrator("retry", plan)
    assert (refused.exit_code, "is being run by" in refused.stderr) == (5, True)


def test_retry_with_local_does_again_what_run_with_local_left(lone_migrator: Any, plan: Path) -> None:
    lone_migrator("run", plan, "--local")
    mend(plan, "id > 0")
    assert lone_migrator("retry", plan, "--local").exit_code == 0
    assert lone_migrator("verify", plan, "--local").exit_code == 0


def test_a_run_against_another_target_is_not_the_last_run_of_this_one(
    lone_migrator: Any, migrator: Any, plan: Path, dynamodb: Any
) -> None:
    lone_migrator("run", plan, "--local")
    refused = migrator("retry", plan)
    assert (refused.exit_code, refused.stdout.startswith("nothing to retry")) == (0, True)
    assert TABLE not in dynamodb.list_tables()["TableNames"]
