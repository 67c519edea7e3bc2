"""What may change while a run is cut off, and what may not: faults 9, 10, 35 and 43."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from command import Outcome
from conftest import await_table
from cut_off import kill_at_write, recorded
from migration import ROW, TABLE, Migration, said_plainly
from oracle_rows import expected_of
from writers import execute

Change = Callable[[Migration], Any]


def assert_refused(migration: Migration, outcome: Outcome, *words: str) -> None:
    """Nothing was sent, the reason is said, and the run can still go on."""
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, "resume_refused"), outcome.stderr
    assert said_plainly(outcome.stderr)
    for word in (*words, "--restart"):
        assert word in outcome.stderr
    assert (dict(migration.door.writes), migration.door.requests["BatchWriteItem"]) == ({}, 0)
    assert recorded(migration.state_file) == (20, 0)


def refused_run(migration: Migration) -> Outcome:
    migration.door.reset()
    return migration.run()


# ---- 9: the source


def replace_source(migration: Migration) -> None:
    """Another file in its place: all its rows are of the same ids."""
    migration.source.unlink()
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a, b)")
        connection.executemany("INSERT INTO rows VALUES (?, 'other', 'file')", ((n,) for n in range(60)))


SOURCE_CHANGES: dict[str, Change] = {
    "a row changed": lambda migration: execute(migration.source, "UPDATE rows SET a = 'new' WHERE id < 40"),
    "a row inserted": lambda migration: execute(migration.source, "INSERT INTO rows VALUES (-1, 'new', NULL)"),
    "another schema": lambda migration: execute(migration.source, "ALTER TABLE rows DROP COLUMN b"),
    "another file": replace_source,
}


@pytest.mark.parametrize("change", SOURCE_CHANGES.values(), ids=SOURCE_CHANGES)
def test_09_a_source_that_changed_since_the_kill_is_refused(cut: Migration, change: Change) -> None:
    change(cut)
    assert_refused(cut, refused_run(cut), str(cut.source))
    cut.assert_holds_once(cut.run("--restart"), expected_of(cut.source, ROW))


def test_09_a_source_that_is_put_back_is_gone_on_with(cut: Migration) -> None:
    expected = expected_of(cut.source, ROW)
    aside = shutil.copy2(cut.source, cut.folder / "aside")
    replace_source(cut)
    assert_refused(cut, refused_run(cut), str(cut.source))
    shutil.copy2(aside, cut.source)
    cut.assert_holds(cut.resume(), expected)


def test_09_a_private_copy_that_was_damaged_is_refused(cut: Migration) -> None:
    (copy,) = (cut.state / "faults" / "snapshots").rglob("*.sqlite")
    copy.write_bytes(copy.read_bytes()[:-4096])
    assert_refused(cut, refused_run(cut), "private copy")


# ---- 10: VACUUM gives rows without INTEGER PRIMARY KEY other rowids


@pytest.fixture
def with_holes(migration: Migration) -> Migration:
    """60 rows, whose rowids are far from 1 to 60."""
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id TEXT, v)")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", ((f"r{n:03}", n) for n in range(300)))
        connection.execute("DELETE FROM rows WHERE v % 5")
    migration.write(ROW, batch_size=5, connections=1)
    return migration


def rowids(migration: Migration) -> list[int]:
    with closing(sqlite3.connect(migration.source)) as connection:
        return [rowid for (rowid,) in connection.execute("SELECT rowid FROM rows ORDER BY id")]


def vacuum(migration: Migration) -> None:
    before = rowids(migration)
    with closing(sqlite3.connect(migration.source)) as connection:
        connection.execute("VACUUM")
    assert rowids(migration) != before


def test_10_a_vacuum_since_the_kill_is_refused(with_holes: Migration) -> None:
    expected = expected_of(with_holes.source, ROW)
    kill_at_write(with_holes.migrator, with_holes.plan, with_holes.door, 6, with_holes.state_file)
    vacuum(with_holes)
    assert_refused(with_holes, refused_run(with_holes), str(with_holes.source))
    with_holes.assert_holds(with_holes.run("--restart"), expected)


def test_10_a_vacuum_in_wal_mode_skips_and_repeats_nothing(with_holes: Migration) -> None:
    expected = expected_of(with_holes.source, ROW)
    execute(with_holes.source, "PRAGMA journal_mode = WAL")
    kill_at_write(with_holes.migrator, with_holes.plan, with_holes.door, 6, with_holes.state_file)
    vacuum(with_holes)
    outcome = with_holes.resume()
    assert max(with_holes.door.writes.values()) == 2  # what was under way when it died
    with_holes.assert_holds(outcome, expected)


# ---- 35: another table of the same name


def test_35_a_table_made_anew_since_the_kill_is_refused(cut: Migration) -> None:
    expected = expected_of(cut.source, ROW)
    found = cut.client.describe_table(TableName=TABLE)["Table"]
    cut.client.delete_table(TableName=TABLE)
    await_table(cut.client, TABLE, "table_not_exists")
    assert_refused(cut, refused_run(cut), f"table {TABLE}, which is gone")
    shape = {name: found[name] for name in ("TableName", "KeySchema", "AttributeDefinitions")}
    cut.client.create_table(**shape, BillingMode="PAY_PER_REQUEST")
    await_table(cut.client, TABLE)
    assert_refused(cut, refused_run(cut), f"table {TABLE}, which was made anew")
    assert cut.items() == {}
    cut.assert_holds(cut.run("--restart"), expected)


# ---- 43: the documents


def edit(name: str, old: str, new: str) -> Change:
    def change(migration: Migration) -> None:
        path = migration.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return change


DOCUMENT_CHANGES: dict[str, tuple[Change, str]] = {
    "another key": (edit("mapping.yaml", "K#{", "L#{"), "the mapping mapping.yaml"),
    "another table": (edit("mapping.yaml", '"faults"', '"faults-2"'), "the mapping mapping.yaml"),
    "another where": (edit("mapping.yaml", '"source":', '"where": "id > 9", "source":'), "the mapping mapping.yaml"),
    "what exists is kept": (edit("plan.yaml", '"batch_size"', '"on_existing": "skip", "batch_size"'), "on_existing"),
    "nothing is validated": (edit("plan.yaml", '"batch_size"', '"validate": false, "batch_size"'), "validate"),
}


@pytest.mark.parametrize(("change", "words"), DOCUMENT_CHANGES.values(), ids=DOCUMENT_CHANGES)
def test_43_documents_edited_since_the_kill_are_refused(cut: Migration, change: Change, words: str) -> None:
    change(cut)
    assert_refused(cut, refused_run(cut), words)


def test_43_a_comment_and_another_speed_are_no_edit(cut: Migration) -> None:
    edit("mapping.yaml", '"entities"', '# thought again\n"entities"')(cut)
    edit("plan.yaml", '"batch_size": 5', '"batch_size": 25, "write_rate": 1000')(cut)
    cut.assert_holds(cut.resume(), expected_of(cut.source, ROW))
