"""The source is in use, was left in the middle of something, or is no database: faults 1 to 5, 7, 8 and 11."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from door_faults import before_writes
from migration import Migration, Waiting, plain_values, said_plainly, waiting, without_engine
from oracle_rows import Entity, Expected, expected_of
from writers import SPILL, beside, committing_all_the_time, execute, leave_behind

ORDER = Entity("Order", "orders", "id", prefix="ORDER")
CUSTOMER = Entity("Customer", "customers", "id", prefix="CUSTOMER")
ROWS = 300


def fill(path: Path, *, wal: bool = False) -> None:
    """Two tables of one generation: whoever reads them at one moment meets one generation."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
        for table in ("orders", "customers"):
            connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, generation INTEGER, pad BLOB)")
            rows = ((number, 0, bytes(200)) for number in range(ROWS))
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)


JOURNALS = pytest.mark.parametrize("wal", [False, True], ids=["rollback", "wal"])


# ---- 1: a writer holds EXCLUSIVE


@pytest.fixture(scope="module", autouse=True)
def locked_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    """Hold the source from the first test of the module to its last."""
    migration = without_engine(tmp_path_factory.mktemp("locked"))
    fill(migration.source)
    migration.write(ORDER)
    with closing(sqlite3.connect(migration.source, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with waiting(migration) as locked_out:
            yield locked_out


def test_01_a_writer_that_lets_go_is_waited_for(migration: Migration) -> None:
    fill(migration.source)
    migration.write(ORDER)
    expected = expected_of(migration.source, ORDER)
    with closing(sqlite3.connect(migration.source, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with migration.migrator.start("run", str(migration.plan)) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.communicate(timeout=2)
            assert not migration.door.writes
            writer.execute("ROLLBACK")
            process.communicate(timeout=60)
    assert process.returncode == 0
    assert plain_values(migration.items()) == plain_values(expected.items)


# ---- 2, 8 and 11: others write while a run is under way


def test_02_a_writer_commits_while_the_run_is_held_up(migration: Migration) -> None:
    fill(migration.source)
    migration.write(ORDER, CUSTOMER)
    expected = expected_of(migration.source, ORDER, CUSTOMER)
    change = "UPDATE orders SET generation = 1"
    migration.door.faults.append(before_writes(lambda: execute(migration.source, change)))
    outcome = migration.run()
    migration.assert_holds_once(outcome, expected)
    assert expected_of(migration.source, ORDER) != expected, "the writer was locked out"


@JOURNALS
def test_08_changes_of_data_and_schema_during_the_run_are_not_seen(migration: Migration, wal: bool) -> None:
    fill(migration.source, wal=wal)
    migration.write(ORDER, CUSTOMER, parallelism=2)
    expected = expected_of(migration.source, ORDER, CUSTOMER)
    done: list[str] = []

    def change(statement: str) -> Callable[[], object]:
        return lambda: (execute(migration.source, statement), done.append(statement))

    changes = [
        "INSERT INTO orders VALUES (1000, 1, NULL)",
        "UPDATE orders SET generation = 1",
        "DELETE FROM customers WHERE id % 2",
        "ALTER TABLE customers ADD COLUMN late TEXT DEFAULT 'late'",
        "DROP TABLE orders",
    ]
    migration.door.faults.append(before_writes(*map(change, changes)))
    migration.assert_holds_once(migration.run(), expected)
    assert done == changes


@JOURNALS
def test_08_parallel_readers_of_two_tables_see_one_moment_of_a_busy_file(migration: Migration, wal: bool) -> None:
    fill(migration.source, wal=wal)
    migration.write(ORDER, CUSTOMER, parallelism=2)
    statements = ("UPDATE orders SET generation = ?", "UPDATE customers SET generation = ?")
    with committing_all_the_time(migration.source, *statements):
        outcome = migration.run()
    assert outcome.exit_code == 0, outcome.stderr
    items = migration.items()
    assert len(items) == outcome.report["totals"]["written"] == 2 * ROWS
    assert len({item["generation"]["N"] for item in items.values()}) == 1


def test_11_no_run_keeps_a_wal_alive(migration: Migration) -> None:
    fill(migration.source, wal=True)
    migration.write(ORDER)
    expected = expected_of(migration.source, ORDER)
    wal = migration.source.with_name("shop.sqlite-wal")
    found: list[tuple[int, int]] = []

    def write_and_checkpoint() -> None:
        with closing(sqlite3.connect(migration.source, isolation_level=None)) as writer:
            writer.execute("UPDATE orders SET pad = randomblob(200)")
            grown = wal.stat().st_size
            busy, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            found.append((busy, wal.stat().st_size))
            assert grown

    migration.door.faults.append(before_writes(write_and_checkpoint))
    migration.assert_holds_once(migration.run(), expected)
    assert found == [(0, 0)]


# ---- 3 to 5: what a writer left behind


def test_03_rows_of_a_wal_that_was_never_checkpointed_arrive(migration: Migration) -> None:
    fill(migration.source, wal=True)
    leave_behind(migration.source, "c.execute('UPDATE orders SET generation = 7')")
    before = beside(migration.source)
    assert before["shop.sqlite-wal"][2]
    migration.write(ORDER)
    expected = expected_of_copy(migration)
    assert {item["generation"]["N"] for item in expected.items.values()} == {"7"}
    migration.assert_holds(migration.run(), expected)
    assert beside(migration.source) == before


def expected_of_copy(migration: Migration) -> Expected:
    """What SQLite itself recovers, looked at in a copy: opening the file would change it."""
    folder = migration.folder / "recovered"
    shutil.copytree(migration.source.parent, folder)
    return expected_of(folder / migration.source.name, ORDER)


@pytest.fixture
def bound_by_permissions(migration: Migration) -> Migration:
    """Run by who may not write where permissions forbid it, as root may."""
    if os.geteuid():
        return migration
    if not shutil.which("setpriv"):
        pytest.skip("root reads and writes everything, and setpriv is not there to take that right away")
    rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    return replace(migration, migrator=replace(migration.migrator, prefix=rights))


@pytest.mark.parametrize("with_shm", [False, True])
def test_04_a_wal_in_a_folder_that_one_may_only_read_gives_its_rows(
    bound_by_permissions: Migration, with_shm: bool
) -> None:
    migration = bound_by_permissions
    fill(migration.source, wal=True)
    leave_behind(migration.source, "c.execute('UPDATE orders SET generation = 7')")
    if not with_shm:
        migration.source.with_name("shop.sqlite-shm").unlink()
    migration.write(ORDER)
    expected = expected_of_copy(migration)
    before = beside(migration.source)
    migration.source.parent.chmod(0o555)
    try:
        migration.assert_holds(migration.run(), expected)
        assert beside(migration.source) == before
    finally:
        migration.source.parent.chmod(0o755)


def test_05_what_a_killed_writer_had_not_committed_never_appears(migration: Migration) -> None:
    fill(migration.source)
    committed = expected_of(migration.source, ORDER)
    leave_behind(
        migration.source, f"{SPILL}c.execute('BEGIN'); c.execute('UPDATE orders SET generation=9, pad=randomblob(200)')"
    )
    before = beside(migration.source)
    assert before["shop.sqlite-journal"][2]
    migration.write(ORDER)
    migration.assert_holds(migration.run(), committed)
    assert beside(migration.source) == before


# ---- 7: no database


def missing(source: Path) -> None:
    source.unlink()


def folder(source: Path) -> None:
    source.unlink()
    source.mkdir()


def zero_bytes(source: Path) -> None:
    source.write_bytes(b"")


def text(source: Path) -> None:
    source.write_bytes(b"id,generation\n1,2\n" * 1000)


def encrypted(source: Path) -> None:
    source.write_bytes(os.urandom(source.stat().st_size))


def truncated(source: Path) -> None:
    os.truncate(source, source.stat().st_size // 2)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (missing, "source_missing"),
        (folder, "source_folder"),
        (zero_bytes, "source_empty"),
        (text, "source_not_sqlite"),
        (encrypted, "source_not_sqlite"),
        (truncated, "source_damaged"),
    ],
)
def test_07_what_is_no_whole_database_is_named_and_nothing_created(
    migration: Migration, spoil: Callable[[Path], None], code: str
) -> None:
    fill(migration.source)
    spoil(migration.source)
    migration.write(ORDER)
    before = sorted(migration.source.parent.iterdir())
    outcome = migration.run()
    migration.assert_stopped(outcome, code)
    assert not migration.items()
    assert sorted(migration.source.parent.iterdir()) == before


# ---- 1, which has waited since the first test


def test_01_a_writer_that_never_lets_go_is_named_after_a_limit(locked_out: Waiting) -> None:
    outcome = locked_out.outcome()
    source = locked_out.migration.source
    assert outcome.exit_code == 3
    assert said_plainly(outcome.stderr)
    assert f"{source}: another program holds the file locked" in outcome.stderr
    assert [path.name for path in source.parent.iterdir()] == [source.name]
