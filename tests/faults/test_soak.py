"""Two hundred runs that are killed: the long form of fault 36 (`make soak`).

The moments are drawn from seeds, and lie over an unkilled run's whole length; every fourth run dies at a named point.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from command import ROOT, Outcome, moved_plan, scan
from conftest import await_table
from cut_off import START_S, Held, in_short_segments, run_to_the_end, running
from door_faults import delay
from migration import ROW, TABLE, Migration, plain_values
from oracle_madmall import expected_items
from oracle_rows import expected_of

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

KILLS = 100  #: of each of the two
ROWS = 20_000
MOST_LIVES = 30
MADMALL = ROOT / "fixtures" / "madmall.sqlite"
#: In the code of a run, which comes by each often; the fourth point is a write without its answer.
POINTS = (
    "Checkpoint.record = dying('record', {call}, True)",  # rejects on disk, their segment not recorded
    "Checkpoint.record = dying('record', {call}, False)",
    "Checkpoint._add = dying('_add', {call}, False)",  # a checkpoint half written
)


@dataclass(frozen=True)
class Subject:
    """What is migrated, how its source is cut, and what its table must be."""

    name: str
    migration: Migration
    plan: Path
    table: str
    segment_rows: int
    points: int  #: how often a run writes or records at the least
    expected: Callable[[Outcome], dict[Any, Any]]

    @property
    def state(self) -> Path:
        return self.migration.folder / ".migrator" / self.name / "state.sqlite"

    def running(self, patch: str = "") -> Any:
        patch = f"opened.SEGMENT_ROWS = {self.segment_rows}\n{patch}"
        return running(in_short_segments(self.migration.migrator, patch), "run", str(self.plan))

    def is_unfinished(self) -> bool:
        if not self.state.exists():
            return False
        with closing(sqlite3.connect(self.state)) as db:
            return bool(db.execute("SELECT count(*) FROM runs WHERE status = 'unfinished'").fetchone()[0])

    def finish(self) -> None:
        """Run again, and look at everything."""
        state = self.state if self.is_unfinished() else None
        outcome = run_to_the_end(self.migration.migrator, self.plan, self.migration.door, state)
        assert (outcome.exit_code, outcome.report["resumed"]) == (0, state is not None), outcome.stderr
        expected = self.expected(outcome)
        assert outcome.report["totals"]["written"] == len(expected)
        assert plain_values(scan(self.migration.client, self.table)) == plain_values(expected)


def community(migration: Migration, parallelism: int) -> Subject:
    """The platform's plan, as it ships, but for its workers."""
    plan = moved_plan("madmall", migration.folder)
    settings = f"settings:\n  parallelism: {parallelism}\n  connections: 1"
    plan.write_text(plan.read_text(encoding="utf-8").replace("settings:", settings), encoding="utf-8")
    return Subject(
        "madmall",
        migration,
        plan,
        "madmall-e2e-main",
        3,
        6,
        lambda outcome: expected_items(MADMALL, datetime.fromisoformat(outcome.report["started_at"])),
    )


def fill(migration: Migration) -> None:
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a, b)")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", ((n, n / 8, f"text {n}") for n in range(ROWS)))


def rows(migration: Migration, parallelism: int) -> Subject:
    """A table of 20 000 rows."""
    fill(migration)
    migration.write(ROW, parallelism=parallelism)
    expected = expected_of(migration.source, ROW).items
    return Subject("faults", migration, migration.plan, TABLE, 500, 30, lambda outcome: expected)


SUBJECTS = {"community": community, "20 000 rows": rows}


@pytest.fixture(scope="module")
def lengths() -> dict[tuple[str, int], float]:
    """Seconds that a run takes which nobody kills, by subject and workers; measured by the first who asks."""
    return {}


def length_of(subject: Subject) -> float:
    """Of a whole run, whose traces are taken away."""
    client = subject.migration.client
    started = time.monotonic()
    with subject.running() as process:
        assert process.wait(300) == 0
    length_s = time.monotonic() - started
    client.delete_table(TableName=subject.table)
    await_table(client, subject.table, "table_not_exists")
    subject.migration.door.reset()
    return length_s


@pytest.mark.parametrize("seed", range(KILLS))
@pytest.mark.parametrize("name", SUBJECTS)
def test_36_two_hundred_killed_runs_go_on_to_the_same_table(
    migration: Migration, lengths: dict[tuple[str, int], float], name: str, seed: int
) -> None:
    draw = random.Random(seed)
    parallelism = draw.choice([1, 2])
    subject = SUBJECTS[name](migration, parallelism)
    if seed % 4 == 3:
        die_at_a_point(subject, draw)
    else:
        if (name, parallelism) not in lengths:
            lengths[name, parallelism] = length_of(subject)
        # One moment in each hundredth of the run.
        kill_after(subject, lengths[name, parallelism] * (seed + draw.random()) / KILLS)
    subject.finish()


def test_36_a_run_that_is_killed_every_five_seconds_still_ends(migration: Migration) -> None:
    """At some 1 200 items a second a whole window of items would take longer than any of its lives."""
    fill(migration)
    migration.write(ROW, parallelism=1, connections=1)
    migration.door.faults.append(delay(0.02))
    expected, lives, ended = expected_of(migration.source, ROW).items, 0, False
    while not ended:
        lives += 1
        assert lives < MOST_LIVES
        with running(migration.migrator, "run", str(migration.plan)) as process, suppress(subprocess.TimeoutExpired):
            ended = process.wait(5) == 0
    assert lives > 1
    assert plain_values(scan(migration.client, TABLE)) == plain_values(expected)


def kill_after(subject: Subject, seconds: float) -> None:
    with subject.running() as process, suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def die_at_a_point(subject: Subject, draw: random.Random) -> None:
    call = draw.randint(1, subject.points)
    point = draw.choice((*POINTS, "unanswered"))
    if point != "unanswered":
        with subject.running(point.format(call=call)) as process:
            assert process.wait(300) == -9
        return
    held = Held(call)
    subject.migration.door.faults.append(held)
    with subject.running():
        assert held.reached.wait(START_S)
    held.release.set()
