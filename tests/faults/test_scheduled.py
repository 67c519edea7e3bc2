"""Scheduled runs that send only what changed, beside a program that goes on writing, killed at any moment: 49 to 51."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conftest import clearing_client
from door import Door
from migration import ROW, Migration
from scheduled import KILLED, POINTS, Schedule, expected_items, schedule

HASH = {"hash": {"max_deletes": "100%"}}
WATERMARK = {"watermark": {"column": "updated_at", "overlap": "5s"}}
KEEP = 5
#: Each name is a journal, and what a plan of a source with it says. A source with a rollback journal that has changed
#: since the run was killed is no source to go on with.
SETTINGS = {"WAL": {}, "DELETE": {"on_changed": "restart"}}


@pytest.fixture(params=SETTINGS)
def subject(request: pytest.FixtureRequest, tmp_path: Path, moto_url: str) -> Iterator[Schedule]:
    """Give a schedule that has not begun; moto is the faster engine here."""
    with (
        Door(moto_url) as door,
        clearing_client(door) as client,
        schedule(tmp_path, client, door.url, request.param) as subject,
    ):
        subject.plan(HASH, keep_runs=KEEP, **SETTINGS[request.param])
        yield subject


def night(subject: Schedule, draw: random.Random, *, deletes: bool = True) -> int:
    """A run that may be killed, beside a writer that goes on or has stopped."""
    at, after_s = "", None
    match draw.randrange(4):
        case 0:
            at = draw.choice(POINTS).format(call=draw.randint(1, 6))
        case 1:
            after_s = draw.uniform(0.02, 0.5)
    with subject.writing(draw, deletes=deletes) as writer:
        writer.write(draw.randint(0, 20))
        subject.begin(after_s=after_s, at=at)
        if draw.random() < 0.4:
            writer.write(30)
        return subject.end()


def prove(subject: Schedule, seed: int, nights: int, *, deletes: bool = True) -> None:
    """The table is right after each night: what was cut off ends, and one more run sees what was written meanwhile."""
    draw = random.Random(seed)
    with subject.writing(draw, deletes=deletes) as writer:
        writer.write(300)
    for _ in range(nights):
        code = night(subject, draw, deletes=deletes)
        assert code in (0, KILLED), subject.log()
        while code == KILLED or subject.report()["resumed"]:
            code = subject.run()
            assert code == 0, subject.log()
        assert subject.run() == 0, subject.log()
        expected, found = expected_items(subject.source), subject.found()
        # A row that an entity's query or condition leaves out now is gone, too, which a watermark does not see.
        assert {key: item for key, item in found.items() if deletes or key in expected} == expected


def assert_bounded(subject: Schedule) -> None:
    """What a few hundred items need in the state folder, and nothing of runs that ended."""
    assert list((subject.state / "snapshots").iterdir()) == []
    assert len(list((subject.state / "runs").iterdir())) <= KEEP
    assert sum(path.stat().st_size for path in subject.state.rglob("*.sqlite")) < 400_000


def test_49_the_table_is_right_after_each_night(subject: Schedule) -> None:
    prove(subject, 1, 8)
    assert_bounded(subject)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(6))
def test_49_the_table_is_right_after_each_of_fifty_nights(subject: Schedule, seed: int) -> None:
    prove(subject, seed, 50)
    assert_bounded(subject)


def test_49_a_run_that_was_given_up_leaves_nothing_behind_and_nothing_out(subject: Schedule) -> None:
    """A row came and went, one went and came back, and others were changed and changed back."""
    with subject.writing(random.Random(0)) as writer:
        writer.write(100)
        assert subject.run() == 0
        before = subject.found()
        with writer.connection as db:
            db.execute("INSERT INTO notes (code, text) VALUES ('new', 'x')")
            db.execute("UPDATE notes SET text = text || '!' WHERE code <> 'new'")
            db.execute("CREATE TABLE gone AS SELECT * FROM orders LIMIT 1")
            db.execute("DELETE FROM orders WHERE id IN (SELECT id FROM gone)")
        assert subject.run(at="engine, 'write_reports', 1, True") == KILLED
        assert subject.found() != before
        with writer.connection as db:
            db.execute("DELETE FROM notes WHERE code = 'new'")
            db.execute("UPDATE notes SET text = rtrim(text, '!')")
            db.execute("INSERT INTO orders SELECT * FROM gone")
    assert subject.run(*["--restart"] * subject.uses_wal) == 0, subject.log()
    assert subject.found() == before
    assert subject.run() == 0
    assert subject.report()["totals"]["written"] == 0


def test_50_by_watermark_the_table_is_right_after_each_night_but_for_deletes(subject: Schedule) -> None:
    subject.plan(WATERMARK, keep_runs=KEEP, on_changed="restart")
    prove(subject, 2, 6, deletes=False)


def change_some(migration: Migration, rows: int) -> None:
    """A hundred rows written, ten new, ten gone."""
    with closing(sqlite3.connect(migration.source)) as db, db:
        db.execute("UPDATE rows SET a = -a - 1 WHERE id % ? = 7", (rows // 100,))
        db.execute("INSERT INTO rows SELECT ? + id, 1, 'new' FROM rows LIMIT 10", (10 * rows,))
        db.execute("DELETE FROM rows WHERE id % ? = 11", (rows // 10,))


def prove_exact(migration: Migration, rows: int) -> None:
    with closing(sqlite3.connect(migration.source)) as db, db:
        db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a, b)")
        db.executemany("INSERT INTO rows VALUES (?, ?, ?)", ((n, n / 8, f"text {n}") for n in range(rows)))
    migration.write(ROW, incremental="hash", parallelism=2)
    assert migration.run().exit_code == 0
    change_some(migration, rows)
    migration.door.reset()
    outcome = migration.run()
    assert outcome.report["totals"] == outcome.report["totals"] | {
        "written": 110,
        "unchanged": rows - 110,
        "deleted": 10,
    }
    puts, deletes = (
        {part[2] for (_, key), count in counter.items() for part in key if count == 1}
        for counter in (migration.door.writes, migration.door.deletes)
    )
    assert (len(migration.door.writes), len(puts)) == (110, 110)
    assert deletes == {f"K#{n}" for n in range(11, rows, rows // 10)}
    assert puts == {f"K#{n}" for n in (*range(7, rows, rows // 100), *range(10 * rows, 10 * rows + 10))}


def test_51_the_door_counts_what_changed_and_nothing_else(migration: Migration) -> None:
    prove_exact(migration, 4_000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_51_of_two_hundred_thousand_rows_the_door_counts_what_changed_and_nothing_else(migration: Migration) -> None:
    prove_exact(migration, 200_000)
