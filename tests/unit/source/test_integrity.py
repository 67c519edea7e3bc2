"""Damage is told from hazards, and from what only the application knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from migrator.errors import SourceError
from migrator.source.connection import connect
from migrator.source.integrity import Finding, check_integrity
from migrator.source.snapshot import take_snapshot


def make(path: Path, statements: Iterable[str]) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("PHONEBOOK", lambda a, b: (a < b) - (a > b))
        connection.create_function("soundslike", 1, lambda value: value, deterministic=True)
        for statement in statements:
            connection.execute(statement)
    return path


def check(path: Path) -> tuple[Finding, ...]:
    with connect(take_snapshot(path)) as connection:
        return check_integrity(connection)


def found(path: Path, *statements: str) -> dict[str, tuple[str, int]]:
    """What a file made by the statements shows: subject -> code and count."""
    return {f.subject: (f.code, f.count) for f in check(make(path / "x.sqlite", statements))}


NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"


def test_a_whole_file_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, "CREATE TABLE t (a PRIMARY KEY, b UNIQUE)", "INSERT INTO t VALUES (1, 2), (NULL, 3)") == {}


def test_nulls_in_not_null_columns_are_counted_as_a_hazard(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES (NULL), (NULL), (1)",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL)'",
    ) == {"t.a": ("null", 2)}


def test_rows_that_break_a_check_are_a_hazard(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        "CREATE TABLE t (a CHECK (a > 0))",
        "PRAGMA ignore_check_constraints = ON",
        "INSERT INTO t VALUES (-1), (1)",
    ) == {"t": ("check", 1)}


def test_a_value_of_another_type_in_a_strict_table_is_a_hazard(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        "CREATE TABLE t (a ANY) STRICT",
        "INSERT INTO t VALUES ('x')",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INTEGER) STRICT'",
    ) == {"t.a": ("type", 1)}


def test_more_than_a_hundred_hazards_do_not_hide_damage(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.sqlite",
        [
            "CREATE TABLE t (a, b)",
            f"{NUMBERS.format(500)} INSERT INTO t SELECT NULL, i FROM n",
            "CREATE INDEX i ON t (b)",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL, b)' WHERE name = 't'",
            "DELETE FROM sqlite_master WHERE name = 'i'",
        ],
    )
    # The pages of the index that left the schema belong to nobody now.
    with pytest.raises(SourceError, match="never used"):
        check(path)


def stale_index(path: Path) -> Path:
    """An index that lacks a row: it was partial when the row came, and its schema says no more that it was."""
    return make(
        path,
        [
            "CREATE TABLE t (a, b)",
            "CREATE INDEX i ON t (b) WHERE b < 1000",
            f"{NUMBERS.format(100)} INSERT INTO t SELECT i, i FROM n",
            "INSERT INTO t VALUES (1000, 1000)",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (b)' WHERE name = 'i'",
        ],
    )


def test_a_stale_index_is_damage(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="row 101 missing from index i") as caught:
        check(stale_index(tmp_path / "x.sqlite"))
    assert caught.value.code == "source_damaged"


def damaged_page(path: Path) -> Path:
    make(path, ["CREATE TABLE t (a, b)", f"{NUMBERS.format(2000)} INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n"])
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\x55" * 64)
    return path


def test_a_damaged_page_is_damage_and_says_where(tmp_path: Path) -> None:
    path = damaged_page(tmp_path / "x.sqlite")
    with pytest.raises(SourceError) as caught:
        check(path)
    assert caught.value.code == "source_damaged"
    assert str(path) in str(caught.value)
    assert ".recover" in str(caught.value)


def test_damage_shows_its_first_findings_only(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    make(path, ["CREATE TABLE t (a, b)", f"{NUMBERS.format(2000)} INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n"])
    content = bytearray(path.read_bytes())
    for page in range(10, 60):
        content[page * 4096 : page * 4096 + 64] = b"\x55" * 64
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        check(path)
    assert len(str(caught.value).splitlines()) < 10


def test_an_index_in_an_unknown_collation_is_set_aside_and_said(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        "CREATE TABLE t (a COLLATE PHONEBOOK UNIQUE)",
        "INSERT INTO t VALUES ('a'), ('b'), ('c')",
        "CREATE TABLE k (a COLLATE PHONEBOOK PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO k VALUES ('a'), ('b'), ('c')",
    ) == {"PHONEBOOK": ("collation", 1)}


def test_an_unknown_function_in_a_check_or_an_index_is_set_aside_and_said(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        "CREATE TABLE t (a CHECK (soundslike(a) = a))",
        "INSERT INTO t VALUES (1), (2)",
        "CREATE INDEX i ON t (soundslike(a))",
    ) == {"soundslike": ("function", 1)}


def test_a_partial_index_by_an_unknown_function_is_no_damage(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        "CREATE TABLE t (a)",
        "CREATE INDEX i ON t (a) WHERE soundslike(a)",
        "INSERT INTO t VALUES (1), (2)",
    ) == {"soundslike": ("function", 1)}


def test_damage_is_found_beside_an_unknown_collation(tmp_path: Path) -> None:
    path = stale_index(tmp_path / "x.sqlite")
    make(path, ["CREATE TABLE n (a COLLATE PHONEBOOK UNIQUE)", "INSERT INTO n VALUES ('a'), ('b')"])
    with pytest.raises(SourceError, match="missing from index i"):
        check(path)


def test_stand_ins_are_gone_after_the_check(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", ["CREATE TABLE t (a COLLATE PHONEBOOK)", "INSERT INTO t VALUES ('a')"])
    with connect(take_snapshot(path)) as connection:
        check_integrity(connection)
        with pytest.raises(Exception, match="no such collation"):
            connection.exec_driver_sql("SELECT * FROM t ORDER BY a")


def test_an_unknown_virtual_module_does_not_matter(tmp_path: Path) -> None:
    assert (
        found(
            tmp_path,
            "CREATE TABLE t (a)",
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES ('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING unheard (a)')",
        )
        == {}
    )


def test_an_expression_that_fails_on_its_data_leaves_one_table_unchecked(tmp_path: Path) -> None:
    with_json = "CREATE TABLE t (a, b, c AS (json_extract(a, ''$.x'')) NOT NULL)"
    statements = [
        "CREATE TABLE t (a, b)",
        "INSERT INTO t VALUES ('no json', 1)",
        'CREATE TABLE "u 5" (a CHECK (a > 0))',
        "PRAGMA ignore_check_constraints = ON",
        'INSERT INTO "u 5" VALUES (-1)',
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = '{with_json}' WHERE name = 't'",
    ]
    assert found(tmp_path, *statements) == {"t": ("unchecked", 1), "u 5": ("check", 1)}


def test_the_check_leaves_the_file_untouched(tmp_path: Path) -> None:
    path = make(tmp_path / "x.sqlite", ["CREATE TABLE t (a CHECK (a > 0))", "INSERT INTO t VALUES (1)"])
    before = (path.stat().st_mtime_ns, path.read_bytes())
    check(path)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.sqlite"]


def test_checks_that_cannot_be_seen_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write any file
    assert found(tmp_path, "CREATE TABLE t (a CHECK (a > 0))") == {"CHECK": ("unchecked", 1)}
