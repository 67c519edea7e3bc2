"""`migrator rollback` as a user types it: two tables, kills in the run and in the rollback, what it prints and refuses.

The engine hardly matters here; what both engines must hold is in unit/run/test_rollback.py.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from door_faults import delay
from migrator.run.lock import plan_lock

PLAN = Path("plan.yaml")
ORDERS = 200
MAPPINGS = {
    "orders.yaml": """\
version: 1
table: {name: rolled-orders, partition_key: PK, sort_key: {n: N}}
items: [{PK: STATUS, n: 1, at: {now: +0d}}]
entities:
  Order:
    source: orders
    key: {PK: "ORDER#{id}", n: "{id}"}
    attributes: {total: total}
    columns: none
""",
    "notes.yaml": """\
version: 1
table: {name: rolled-notes, partition_key: topic}
entities:
  Note: {source: notes, key: {topic: "{topic}"}, attributes: {text: text}}
""",
}
PLAN_TEXT = """\
version: 1
name: rolled
source: rolled.sqlite
mappings: [orders.yaml, notes.yaml]
settings: {parallelism: 2, batch_size: 5, connections: 2, rollback: true}
"""
#: A command, with short segments; what else it does is given to it.
DRIVER = """
import os, signal
from migrator.run import opened, undo, writing
from migrator.cli import main
opened.SEGMENT_ROWS, writing.PART_S = 20, 0.1
append, calls = undo.WrittenFile.append, []
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def nth(call, act, original):
    def wrapped(self, given):
        calls.append(1)
        return act(self, given) if len(calls) == call else original(self, given)
    return wrapped
{patch}
main()
"""


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """One engine is enough here."""
    return os.environ.get("DYNAMODB_ENDPOINT") or request.getfixturevalue("dynalite_url")


class Project:
    """The source and its plan, and two tables that hold something before the run."""

    def __init__(self, migrator: Any, door: Any, dynamodb: Any, scan: Any) -> None:
        self.migrator, self.door, self.dynamodb, self.scan = migrator, door, dynamodb, scan
        self.folder: Path = migrator.folder
        (self.folder / PLAN).write_text(PLAN_TEXT, encoding="utf-8")
        for name, text in MAPPINGS.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        with closing(sqlite3.connect(self.folder / "rolled.sqlite")) as db, db:
            db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL)")
            db.execute("CREATE TABLE notes (topic TEXT PRIMARY KEY, text TEXT)")
            db.executemany("INSERT INTO orders VALUES (?, ?)", [(n, n / 4) for n in range(1, ORDERS + 1)])
            db.executemany("INSERT INTO notes VALUES (?, ?)", [(f"t{n}", "x" * n) for n in range(50)])
        self.fill()

    def fill(self) -> None:
        assert self.migrator("table create", PLAN).exit_code == 0
        for n in range(50, 90):
            old = {"PK": {"S": f"ORDER#{n}"}, "n": {"N": str(n)}, "old": {"L": [{"N": str(n)}, {"B": bytes([n])}]}}
            self.dynamodb.put_item(TableName="rolled-orders", Item=old)
        self.dynamodb.put_item(TableName="rolled-notes", Item={"topic": {"S": "theirs"}})

    def tables(self) -> dict[str, Any]:
        return {name: self.scan(name) for name in ("rolled-orders", "rolled-notes")}

    def killed(self, *command: str, operations: tuple[str, ...], requests: int) -> None:
        """Begin the command, and kill it and its workers after so many requests."""
        asked = self._asked(operations)
        with subprocess.Popen(
            [sys.executable, "-c", DRIVER.format(patch=""), *command],
            cwd=self.folder,
            env=dict(self.migrator.environment),
            start_new_session=True,
        ) as process:
            give_up = time.monotonic() + 60
            while process.poll() is None and self._asked(operations) < asked + requests:
                assert time.monotonic() < give_up, "nothing happens"
                time.sleep(0.002)
            os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL

    def _asked(self, operations: tuple[str, ...]) -> int:
        return sum(self.door.requests[operation] for operation in operations)

    def run_id(self) -> str:
        (folder,) = (self.folder / ".migrator" / "rolled" / "runs").iterdir()
        return folder.name

    def rollback(self, run_id: str, *options: str) -> Any:
        return self.migrator("rollback", PLAN, "--run", run_id, *options)


@pytest.fixture
def project(migrator: Any, door: Any, dynamodb: Any, scan: Any) -> Project:
    return Project(migrator, door, dynamodb, scan)


def test_a_run_and_its_rollback_are_killed_again_and_again(project: Project) -> None:
    before = project.tables()
    project.door.faults.append(delay(0.03, None, ("BatchWriteItem", "PutItem", "DeleteItem")))
    for requests in (3, 10, 12):
        project.killed("run", str(PLAN), operations=("BatchWriteItem",), requests=requests)
    assert project.tables() != before
    ended = project.migrator("run", PLAN)
    assert ended.exit_code == 0
    assert ended.report["resumed"]
    rollback = ("rollback", str(PLAN), "--run", ended.report["run_id"])
    for requests in (5, 60):
        project.killed(*rollback, operations=("PutItem", "DeleteItem"), requests=requests)
    half = project.tables()
    assert half != before
    project.door.faults.clear()
    outcome = project.rollback(ended.report["run_id"])
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert project.tables() == before


#: where the run dies -> how
WORST = {
    "what is replaced is kept and nothing is sent": "nth(4, lambda *given: (append(*given), kill()), append)",
    "a line is half written": "nth(4, lambda self, lines: (self._write(b'{{\"ta'), kill()), append)",
}


@pytest.mark.parametrize("patch", WORST.values(), ids=WORST)
def test_a_run_that_is_killed_at_the_worst_moments_is_taken_back_to_the_last_item(project: Project, patch: str) -> None:
    before = project.tables()
    (project.folder / PLAN).write_text(PLAN_TEXT.replace("parallelism: 2", "parallelism: 1"), encoding="utf-8")
    script = DRIVER.format(patch=f"undo.WrittenFile.append = {patch.format()}")
    killed = subprocess.run(
        [sys.executable, "-c", script, "run", str(PLAN)],
        cwd=project.folder,
        env=dict(project.migrator.environment),
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert project.migrator("run", PLAN).report["resumed"]
    assert project.rollback(project.run_id()).exit_code == 0
    assert project.tables() == before


def test_a_run_that_was_killed_is_taken_back_and_does_not_go_on(project: Project) -> None:
    before = project.tables()
    project.door.faults.append(delay(0.03))
    project.killed("run", str(PLAN), operations=("BatchWriteItem",), requests=12)
    project.door.faults.clear()
    project.door.await_quiet()
    assert project.rollback(project.run_id()).exit_code == 0
    assert project.tables() == before
    assert project.migrator("run", PLAN).report["resumed"] is False


def test_what_it_prints_and_reports(project: Project) -> None:
    run_id = project.migrator("run", PLAN).report["run_id"]
    project.dynamodb.put_item(TableName="rolled-notes", Item={"topic": {"S": "t1"}, "text": {"S": "mine"}})
    report_file = project.folder / "rollback.json"
    outcome = project.rollback(run_id, "--report", str(report_file))
    assert outcome.exit_code == 1
    report = json.loads(report_file.read_text(encoding="utf-8"))
    changed = report["changed"]
    assert outcome.stdout == (
        f"rollback of run {run_id} of plan rolled: rolled back with changes\n"
        "\n"
        "table          deleted  restored  gone  as before  changed\n"
        "rolled-orders      161        40     0          0        0\n"
        "rolled-notes        49         0     0          0        1\n"
        "total              210        40     0          0        1\n"
        "\n"
        f"changed since the run, and left alone: {changed}\n"
    )
    assert json.loads(Path(changed).read_text(encoding="utf-8")) == {
        "table": "rolled-notes",
        "key": {"topic": {"S": "t1"}},
    }
    none = {"deleted": 0, "restored": 0, "gone": 0, "as_before": 0, "changed": 0}
    assert report == report | {
        "run_id": run_id,
        "plan": "rolled",
        "status": "rolled_back_with_changes",
        "exit_code": 1,
        "tables": [
            {"table": "rolled-orders"} | none | {"deleted": 161, "restored": 40},
            {"table": "rolled-notes"} | none | {"deleted": 49, "changed": 1},
        ],
        "totals": {"deleted": 210, "restored": 40, "gone": 0, "as_before": 0, "changed": 1},
        "error": None,
    }


def test_what_cannot_be_is_told_with_the_reason(project: Project) -> None:
    assert project.migrator("rollback", PLAN).exit_code == 2
    run_id = project.migrator("run", PLAN).report["run_id"]
    unknown = project.rollback("2026")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert f"knows no run 2026\n  runs: {run_id}" in unknown.stderr
    with plan_lock(project.folder / ".migrator", "rolled"):
        assert project.rollback(run_id).exit_code == 5
    assert project.rollback(run_id).exit_code == 0
    again = project.rollback(run_id)
    assert again.exit_code == 2
    assert again.stderr.startswith(f"migrator: run {run_id} cannot be rolled back: it was rolled back already\n")


def test_a_rollback_that_is_terminated_says_so_and_goes_on(project: Project) -> None:
    before = project.tables()
    run_id = project.migrator("run", PLAN).report["run_id"]
    project.door.faults.append(delay(0.05, None, ("PutItem", "DeleteItem")))
    with subprocess.Popen(
        [sys.executable, "-m", "migrator", "rollback", str(PLAN), "--run", run_id],
        cwd=project.folder,
        env=dict(project.migrator.environment),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while process.poll() is None and project.door.requests["DeleteItem"] < 5:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert stdout.startswith(f"rollback of run {run_id} of plan rolled: interrupted\n")
    project.door.faults.clear()
    assert project.rollback(run_id).exit_code == 0
    assert project.tables() == before


def test_locally_too(lone_migrator: Any) -> None:
    with closing(sqlite3.connect(lone_migrator.folder / "rolled.sqlite")) as db, db:
        db.execute("CREATE TABLE notes (topic TEXT PRIMARY KEY, text TEXT)")
        db.execute("INSERT INTO notes VALUES ('a', 'x')")
    (lone_migrator.folder / "notes.yaml").write_text(MAPPINGS["notes.yaml"], encoding="utf-8")
    (lone_migrator.folder / PLAN).write_text(
        "version: 1\nname: rolled\nsource: rolled.sqlite\nmappings: [notes.yaml]\n", encoding="utf-8"
    )
    run_id = lone_migrator("run", PLAN, "--local").report["run_id"]
    outcome = lone_migrator("rollback", PLAN, "--local", "--run", run_id)
    assert (outcome.exit_code, outcome.stdout.splitlines()[-1].split()) == (0, ["total", "1", "0", "0", "0", "0"])
