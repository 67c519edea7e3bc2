"""Runs that are killed, by `kill -9` at any moment and at the worst ones, and then run again until they end: fault 36.

After it the table is what a plain rendering of the source gives, the report's counts cover the whole run, and what was
recorded is not written again.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from command import scan
from cut_off import in_short_segments, kill_at_write, recorded, run_to_the_end, running
from door_faults import delay
from migration import Migration

ROWS, LINES = 300, 120
TABLE = "killed"
PLAN = Path("plan.yaml")
#: Orders with lines inside them; notes of which some share a key; a view. Every 50th order is rejected.
MAPPING_TEXT = f"""\
version: 1
table: {{name: {TABLE}, partition_key: PK, sort_key: SK}}
items: [{{PK: SYSTEM, SK: STATUS, at: {{now: +0d}}}}]
entities:
  Order:
    source: orders
    key: {{PK: "ORDER#{{id}}", SK: "AT#{{placed_at}}"}}
    attributes:
      total: total
      lines: {{list: {{source: lines, match: {{order_id: id}}, value: text}}}}
    columns: none
  Note:
    source: notes
    key: {{PK: "NOTE#{{topic}}", SK: NOTE}}
    attributes: {{text: text}}
    columns: none
  Big:
    source: {{query: SELECT id FROM orders WHERE total > 300, key: [id]}}
    key: {{PK: BIG, SK: "{{id}}"}}
    columns: none
"""
PLAN_TEXT = """\
version: 1
name: killed
source: killed.sqlite
mappings: [mapping.yaml]
settings: {parallelism: %d, batch_size: 5, connections: 2}
"""


class Project:
    """The source, its plan, and runs of it that may die."""

    def __init__(self, migration: Migration) -> None:
        self.migrator = migration.migrator
        self.door = migration.door
        self.client = migration.client
        self.folder: Path = migration.folder
        self.write(parallelism=1)
        (self.folder / "mapping.yaml").write_text(MAPPING_TEXT, encoding="utf-8")
        with closing(sqlite3.connect(self.folder / "killed.sqlite")) as db, db:
            db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at TEXT, total REAL)")
            db.execute("CREATE TABLE lines (order_id INTEGER, position INTEGER PRIMARY KEY, text TEXT)")
            db.execute("CREATE TABLE notes (topic TEXT, text TEXT)")
            orders = [(n, None if n % 50 == 0 else f"2026-{n:04d}", n * 1.5) for n in range(1, ROWS + 1)]
            db.executemany("INSERT INTO orders VALUES (?, ?, ?)", orders)
            db.executemany("INSERT INTO lines VALUES (?, ?, ?)", [(n % 40, n, f"line {n}") for n in range(LINES)])
            # Topics 0 and 1 come twice: once with the same text, once with another.
            notes = [(f"t{n % 58}", "same" if n % 58 == 0 else f"text {n}") for n in range(60)]
            db.executemany("INSERT INTO notes VALUES (?, ?)", notes)

    def write(self, parallelism: int) -> None:
        (self.folder / PLAN).write_text(PLAN_TEXT % parallelism, encoding="utf-8")

    @property
    def state(self) -> Path:
        return self.folder / ".migrator" / "killed"

    def running(self, patch: str = "") -> AbstractContextManager[subprocess.Popen[str]]:
        return running(in_short_segments(self.migrator, patch), "run", str(PLAN))

    def await_requests(self, process: subprocess.Popen[str], requests: int) -> None:
        give_up = time.monotonic() + 60
        while process.poll() is None and self.door.requests["BatchWriteItem"] < requests:
            assert time.monotonic() < give_up, "nothing is written"
            time.sleep(0.002)

    def expected(self, now_s: int) -> dict[tuple[str, str], dict[str, Any]]:
        """The table as the source says, in plain Python."""
        items: dict[tuple[str, str], dict[str, Any]] = {("SYSTEM", "STATUS"): {"at": {"N": str(now_s)}}}
        for n in range(1, ROWS + 1):
            lines = [{"S": f"line {m}"} for m in range(LINES) if m % 40 == n]
            if n % 50:
                items[f"ORDER#{n}", f"AT#2026-{n:04d}"] = {"total": {"N": f"{n * 1.5:g}"}, "lines": {"L": lines}}
            if n * 1.5 > 300:
                items["BIG", str(n)] = {}
        for n in range(58):
            items[f"NOTE#t{n}", "NOTE"] = {"text": {"S": "same" if n == 0 else f"text {n}"}}
        return items

    def check(self, outcome: Any) -> None:
        report = outcome.report
        assert outcome.exit_code == 1, report["error"]
        found = {
            key: {name: value for name, value in item.items() if name not in ("PK", "SK")}
            for key, item in scan(self.client, TABLE).items()
        }
        (at,) = (int(item["at"]["N"]) for item in found.values() if "at" in item)
        expected = self.expected(at)
        assert found == expected
        assert report["started_at"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        rejected = ROWS // 50 + 1
        big = sum(key[0] == "BIG" for key in expected)
        wanted = {"read": ROWS + 60 + big, "items": len(expected) + 1, "written": len(expected)}
        assert report["totals"] == report["totals"] | wanted | {"skipped": 1, "rejected": rejected, "failed": 0}
        lines = [json.loads(line) for line in Path(report["rejects"]).read_text(encoding="utf-8").splitlines()]
        assert sorted(line["code"] for line in lines) == ["duplicate_key"] + ["null_key"] * (ROWS // 50)
        assert len({(line["entity"], json.dumps(line["row"])) for line in lines}) == rejected
        # Who dies in the middle of a request leaves a torn one.
        assert [refusal for refusal in self.door.refused if refusal.rule not in ("json", "shape")] == []


@pytest.fixture
def project(migration: Migration) -> Project:
    return Project(migration)


def finish(project: Project, *, same_run: bool = True) -> Any:
    state = project.state / "state.sqlite"
    return run_to_the_end(project.migrator, PLAN, project.door, state if same_run else None)


#: How many requests have come in when a run of about 90 is killed, and its worker processes.
MOMENTS = [(1, 1), (4, 2), (9, 1), (20, 1), (30, 2), (40, 2), (48, 1), (55, 1), (63, 2), (70, 1), (75, 1), (80, 2)]


@pytest.mark.parametrize(("requests", "parallelism"), MOMENTS)
def test_36_a_run_that_is_killed_goes_on_to_the_same_table(project: Project, requests: int, parallelism: int) -> None:
    project.write(parallelism)
    project.door.faults.append(delay(0.01))
    with project.running() as process:
        project.await_requests(process, requests)
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    outcome = finish(project)
    assert outcome.report["resumed"]
    project.check(outcome)


def test_36_a_run_that_is_killed_between_a_write_and_its_answer_goes_on(project: Project) -> None:
    kill_at_write(project.migrator, PLAN, project.door, 33, project.state / "state.sqlite")
    outcome = finish(project)
    assert outcome.report["resumed"]
    project.check(outcome)


#: where it dies -> how, and whether there is a run to go on with
WORST = {
    "before anything is recorded": ("Checkpoint.begin = kill", False),
    "the run is recorded and nothing is done": ("Checkpoint.begin = dying('begin', 1, False)", True),
    "rejects on disk and their segment not recorded": ("Checkpoint.record = dying('record', 4, True)", True),
    "a segment recorded": ("Checkpoint.record = dying('record', 3, False)", True),
    "a record half written": ("Checkpoint._add = dying('_add', 5, False)", True),
    "the report written and the run not ended": ("Checkpoint.end = kill", True),
    "the run ended and its snapshot still there": ("Checkpoint.end = dying('end', 1, False)", False),
}


@pytest.mark.parametrize(("patch", "resumed"), WORST.values(), ids=WORST)
def test_36_a_run_that_is_killed_at_the_worst_moments_goes_on_to_the_same_table(
    project: Project, patch: str, resumed: bool
) -> None:
    with project.running(patch) as process:
        assert process.wait(60) == -signal.SIGKILL
    outcome = finish(project, same_run=resumed)
    assert outcome.report["resumed"] == resumed
    project.check(outcome)
    assert list((project.state / "snapshots").iterdir()) == []


def test_36_a_run_that_is_killed_again_and_again_ends(project: Project) -> None:
    project.door.faults.append(delay(0.05))
    kills = 0
    while not (reports := list((project.state / "runs").glob("*/report.json"))):
        with project.running() as process:
            project.await_requests(process, project.door.requests["BatchWriteItem"] + 1)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.7)
        kills += process.returncode == -signal.SIGKILL
        assert kills < 30, f"no end: {recorded(project.state / 'state.sqlite')}"
    assert kills > 1
    (report,) = (json.loads(path.read_text(encoding="utf-8")) for path in reports)
    project.check(SimpleNamespace(report=report, exit_code=report["exit_code"]))


def test_36_what_is_proved_when_a_run_is_killed_is_kept(project: Project) -> None:
    patch = "from migrator.run.digests import DigestStore; DigestStore.rendered = lambda self: set()\n"
    patch += "import migrator.run.proof as proof; add = DigestStore.add; seen = []\n"
    patch += "DigestStore.add = lambda self, *a, **b: (add(self, *a, **b), seen.append(1), len(seen) == 5 and kill())"
    with project.running(patch) as process:
        assert process.wait(60) == -signal.SIGKILL
    assert not project.door.writes
    (proof,) = (project.state / "snapshots").glob("*/proof.sqlite")
    with closing(sqlite3.connect(proof)) as db:
        assert db.execute("SELECT count(*) FROM rendered").fetchone() == (5,)
    outcome = finish(project)
    project.check(outcome)


def test_37_a_terminated_run_goes_on(project: Project) -> None:
    project.door.faults.append(delay(0.05))
    with project.running() as process:
        project.await_requests(process, 12)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    (kept,) = project.state.glob("runs/*/report.json")
    report = json.loads(kept.read_text())
    assert report["status"] == "interrupted"
    assert report["totals"]["written"] == len(scan(project.client, TABLE))
    for entity in report["entities"]:
        assert entity["items"] == entity["written"] + entity["skipped"] + entity["failed"]
    outcome = finish(project)
    assert outcome.report["resumed"]
    project.check(outcome)
