"""A verification that was cut off goes on: nothing that it rendered or read is done again, and it finds the same."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from command import environment, through
from cut_off import in_short_segments, running
from door import Door, Forward, Reply, Request
from migration import ROW, TABLE, Migration

#: Rows that share a key with another one: of some the items are equal, of others not.
NOTE = {"Note": {"source": "notes", "key": {"PK": "NOTE#{topic}"}, "attributes": {"text": "text"}, "columns": "none"}}
PATCH = """
from migrator.run import actual, sides, verify
from migrator.run.actual import ActualStore
from migrator.run.digests import DigestStore
from migrator.run.sourcesums import SourceSums
def after(owner, name, call):
    original, calls = getattr(owner, name), []
    def wrapped(*given, **named):
        done = original(*given, **named)
        calls.append(1)
        if len(calls) == call:
            kill()
        return done
    setattr(owner, name, wrapped)
def never_again(owner, done, work):
    found, original, kept = getattr(owner, done), getattr(opened, work), set()
    def worked(segment, *given):
        if len(kept) < 2 or segment.number in kept:
            kill()
        return original(segment, *given)
    setattr(owner, done, lambda self: kept.update(found(self)) or set(kept))
    setattr(opened, work, worked)
"""
PAGE_ITEMS = 5
PAGES = 3
#: where it dies -> how, and how many pages of the table are recorded then; None: all of them
PLACES: dict[str, tuple[str, int | None]] = {
    "what it compares with is known": ("DigestStore.add = kill", 0),
    "two segments rendered": ("after(DigestStore, 'add', 2)", 0),
    "a segment half recorded": ("DigestStore._widen = kill", 0),
    "all rendered and their duplicates found": ("sides.keep_repeats = kill", 0),
    "repeated items kept and not yet removed": ("after(sides, 'keep_repeats', 1)", 0),
    "nothing read": ("ActualStore.scanned = kill", 0),
    "a page half recorded": ("actual.to_wire = kill", 0),
    "some pages read": (f"after(ActualStore, 'add_page', {PAGES})", PAGES),
    "all pages spread out": ("after(ActualStore, 'spread', 1)", None),
    "all compared": ("after(verify, 'compare', 1)", None),
}
#: the same where keys are proved by the schema, so that sides are summed first
SUMMED: dict[str, tuple[str, int | None]] = {
    "the point is drawn": ("after(SourceSums, '_point', 1)", 0),
    "two segments summed": ("after(SourceSums, 'add', 2)", 0),
    "all summed and nothing read": ("ActualStore.scanned = kill", 0),
    "some pages read": (f"after(ActualStore, 'add_page', {PAGES})", PAGES),
    "the sums differ": ("DigestStore.add = kill", None),
    "two segments rendered": ("after(DigestStore, 'add', 2)", None),
    "all compared": ("after(verify, 'compare', 1)", None),
}


def in_short_pages(request: Request, forward: Forward) -> Reply:
    if request.operation != "Scan":
        return forward(request)
    return forward(request.with_document(request.document | {"Limit": PAGE_ITEMS}))


@pytest.fixture
def migration(tmp_path: Path, door: Door, dynamodb: Any) -> Migration:
    """A table that was filled and is not any more as the source says."""
    (tmp_path / "source").mkdir()
    migration = Migration(tmp_path, through(door, tmp_path, environment(tmp_path)), door, dynamodb)
    with closing(sqlite3.connect(migration.source)) as db, db:
        db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a, b)")
        db.executemany("INSERT INTO rows VALUES (?, ?, ?)", ((n, n, f"text {n}") for n in range(50)))
        db.execute("CREATE TABLE notes (topic TEXT, text TEXT)")
        db.executemany(
            "INSERT INTO notes VALUES (?, ?)", ((f"t{n % 8}", f"{n % 8 // min(n, 9)}") for n in range(1, 11))
        )
    migration.write(ROW, more=NOTE)
    assert migration.run().report["totals"]["written"] == 58
    key, *others = dynamodb.scan(TableName=TABLE, Limit=2)["Items"]
    dynamodb.delete_item(TableName=TABLE, Key={"PK": key["PK"]})
    dynamodb.put_item(TableName=TABLE, Item={**others[0], "more": {"S": "added"}})
    dynamodb.put_item(TableName=TABLE, Item={"PK": {"S": "NOTE#none"}})
    door.faults.append(in_short_pages)
    return migration


def verify(migration: Migration, patch: str = "", *options: str) -> tuple[Any, int]:
    """A whole one, and how many pages it read."""
    before = migration.door.requests["Scan"]
    outcome = in_short_segments(migration.migrator, PATCH + patch)("verify", migration.plan, *options)
    return outcome, migration.door.requests["Scan"] - before


def kill(migration: Migration, patch: str) -> None:
    with running(in_short_segments(migration.migrator, PATCH + patch), "verify", str(migration.plan)) as process:
        assert process.wait(60) == -signal.SIGKILL
    migration.door.await_quiet()


def kept(migration: Migration) -> list[str]:
    return sorted(path.name for path in (migration.state / "faults").glob("verify*"))


@pytest.mark.parametrize(("patch", "recorded"), PLACES.values(), ids=PLACES)
def test_one_that_is_killed_goes_on_and_finds_the_same(migration: Migration, patch: str, recorded: int | None) -> None:
    whole, _ = verify(migration)
    assert {difference["kind"] for difference in whole.report["differences"]} == {"missing", "extra", "different"}
    assert_goes_on(migration, patch, recorded)


@pytest.mark.parametrize(("patch", "recorded"), SUMMED.values(), ids=SUMMED)
def test_one_that_sums_is_killed_and_goes_on(migration: Migration, patch: str, recorded: int | None) -> None:
    migration.write(ROW)
    assert_goes_on(migration, patch, recorded)


def assert_goes_on(migration: Migration, patch: str, recorded: int | None) -> None:
    whole, pages = verify(migration)
    assert whole.exit_code == 4
    kill(migration, patch)
    resumed, rest = verify(migration)
    assert (resumed.exit_code, resumed.stdout, resumed.report) == (4, whole.stdout, whole.report)
    assert "goes on" in resumed.stderr
    assert rest == (0 if recorded is None else pages - recorded)
    assert kept(migration) == ["verify.lock"]


def test_what_was_rendered_is_not_rendered_again(migration: Migration) -> None:
    kill(migration, "after(DigestStore, 'add', 2)")
    assert verify(migration, "never_again(DigestStore, 'rendered', 'prove_segment')")[0].exit_code == 4


def test_what_was_summed_is_not_summed_again(migration: Migration) -> None:
    migration.write(ROW)
    kill(migration, "after(SourceSums, 'add', 2)")
    assert verify(migration, "never_again(SourceSums, 'done', 'sum_segment')")[0].exit_code == 4


def test_one_that_is_interrupted_goes_on(migration: Migration) -> None:
    patch = "add = ActualStore.add_page\n"
    patch += "ActualStore.add_page = lambda *given: (add(*given), os.kill(os.getpid(), signal.SIGTERM))[0]"
    assert verify(migration, patch)[0].exit_code == 128 + signal.SIGTERM
    assert "goes on" in verify(migration)[0].stderr


#: what happens meanwhile -> what the log names
MEANWHILE = {
    "a run": "the plan was run",
    "another mapping": "the mapping mapping.yaml",
    "another sample": "--sample",
    "another source": "the source",
    "another table": "which was made anew",
    "a damaged file": "which is damaged",
    "--restart": "--restart",
}


@pytest.mark.parametrize(("what", "named"), MEANWHILE.items(), ids=MEANWHILE)
def test_it_begins_afresh_where_something_changed(migration: Migration, what: str, named: str) -> None:
    kill(migration, "after(ActualStore, 'add_page', 2)")
    _change(migration, what)
    options = {"another sample": ("--sample", "3"), "--restart": ("--restart",)}.get(what, ())
    outcome, _ = verify(migration, "", *options)
    assert outcome.exit_code in (0, 4)
    assert "is given up" in outcome.stderr
    assert named in outcome.stderr
    assert kept(migration) == ["verify.lock"]


def _change(migration: Migration, what: str) -> None:
    match what:
        case "a run":
            assert migration.run().exit_code in (0, 1)
        case "another mapping":
            migration.write(ROW)
        case "another source":
            with closing(sqlite3.connect(migration.source)) as db, db:
                db.execute("UPDATE rows SET b = 'other' WHERE id = 1")
        case "another table":
            migration.client.delete_table(TableName=TABLE)
            migration.client.get_waiter("table_not_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 0.1})
            assert migration.migrator("table create", migration.plan).exit_code == 0
        case "a damaged file":
            store = migration.state / "faults" / "verify" / "verify.sqlite"
            os.truncate(store, store.stat().st_size // 2 + 100)


def test_two_at_once_do_not_meet(migration: Migration) -> None:
    stopped = "ActualStore.scanned = lambda *given: os.kill(os.getpid(), signal.SIGSTOP)"
    with running(in_short_segments(migration.migrator, PATCH + stopped), "verify", str(migration.plan)) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        outcome, _ = verify(migration)
        assert outcome.exit_code == 4
        assert "another verification of this plan is under way" in outcome.stderr
    assert kept(migration) == ["verify", "verify.lock"]
