"""What columns really hold, counted value by value."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from migrator.errors import SourceError
from migrator.source.profile import ColumnProfile, TableProfile, profile_table
from migrator.source.schema import reflect_schema
from migrator.source.snapshot import connect, take_snapshot
from migrator.source.text import InvalidText


@contextmanager
def opened(path: Path, *statements: str):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("PHONEBOOK", lambda a, b: (a < b) - (a > b))
        connection.create_function("soundslike", 1, lambda value: value, deterministic=True)
        for statement in statements:
            connection.execute(statement)
    with connect(take_snapshot(path)) as reader:
        yield reader


def profile(folder: Path, *statements: str, name: str = "t", limit_s: float | None = None) -> TableProfile:
    with opened(folder / "x.sqlite", *statements) as connection:
        table = reflect_schema(connection, "x").table(name)
        assert table is not None
        return profile_table(connection, table, limit_s=limit_s)


def column(folder: Path, values: str, declared: str = "") -> ColumnProfile:
    return profile(folder, f"CREATE TABLE t (a {declared})", f"INSERT INTO t VALUES {values}").columns[0]


def test_storage_classes_are_those_of_the_values_not_of_the_declaration(tmp_path: Path) -> None:
    found = column(tmp_path, "(1), (2.5), ('x'), (x'00'), (NULL), (NULL)", "INTEGER")
    assert found.storage_classes == {"INTEGER": 1, "REAL": 1, "TEXT": 1, "BLOB": 1, "NULL": 2}
    assert found.nulls == 2


def test_ranges_follow_sqlites_order(tmp_path: Path) -> None:
    found = column(tmp_path, "('a'), (3), (x'00'), (-1.5), (NULL)")
    assert (found.minimum, found.maximum) == (-1.5, b"\0")


def test_distinct_values_are_counted_exactly_and_by_case(tmp_path: Path) -> None:
    assert column(tmp_path, "(1), (1.0), ('1'), (x'31'), ('a'), ('A'), (NULL), (NULL)", "COLLATE NOCASE").distinct == 5


def test_the_longest_value_is_measured_in_bytes(tmp_path: Path) -> None:
    assert column(tmp_path, "('日本'), ('abc'), (x'0001')").longest_bytes == 6


def test_bytes_after_a_nul_count(tmp_path: Path) -> None:
    assert column(tmp_path, "(CAST(x'6100626364' AS TEXT))").longest_bytes == 5


def test_text_that_is_not_utf8_is_counted(tmp_path: Path) -> None:
    found = column(tmp_path, "(CAST(x'ff' AS TEXT)), (CAST(x'6100c3' AS TEXT)), ('fine é'), (x'ff')")
    assert found.invalid_utf8 == 2
    assert found.storage_classes == {"TEXT": 3, "BLOB": 1}


def test_a_range_end_that_is_not_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    assert isinstance(column(tmp_path, "(CAST(x'ff' AS TEXT))").maximum, InvalidText)


def test_text_of_a_utf16_file_is_measured_as_utf8(tmp_path: Path) -> None:
    found = profile(
        tmp_path, "PRAGMA encoding = 'UTF-16be'", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('né😀')"
    ).columns[0]
    assert (found.longest_bytes, found.invalid_utf8, found.maximum) == (7, 0, "né😀")


def test_an_empty_table_has_columns_and_no_values(tmp_path: Path) -> None:
    found = profile(tmp_path, "CREATE TABLE t (a, b)")
    assert found == TableProfile("t", 0, (ColumnProfile("a"), ColumnProfile("b")))


def test_infinities_are_the_ends_of_a_range(tmp_path: Path) -> None:
    found = column(tmp_path, "(-9223372036854775808), (9223372036854775807), (9e999), (-9e999)")
    assert (found.minimum, found.maximum) == (float("-inf"), float("inf"))


def test_the_largest_integer_is_exact(tmp_path: Path) -> None:
    assert column(tmp_path, "(9223372036854775807), (1)").maximum == 2**63 - 1


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "日本", "a.b", "x'y"])
def test_odd_names_are_profiled(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    found = profile(tmp_path, f"CREATE TABLE {quoted} ({quoted})", f"INSERT INTO {quoted} VALUES ('here')", name=name)
    assert (found.columns[0].name, found.columns[0].maximum) == (name, "here")


def test_more_columns_than_one_scan_takes_are_all_profiled(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(130)]
    found = profile(
        tmp_path, f"CREATE TABLE t ({', '.join(names)})", f"INSERT INTO t VALUES ({', '.join(map(str, range(130)))})"
    )
    assert [c.maximum for c in found.columns] == list(range(130))


def test_a_generated_column_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    found = profile(
        tmp_path,
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES ('no json')",
        "ALTER TABLE t ADD COLUMN g AS (json_extract(a, '$.x'))",
        "ALTER TABLE t ADD COLUMN s AS (soundslike(a))",
    )
    plain, failing, unknown = found.columns
    assert (found.rows, plain.distinct, plain.error) == (1, 1, None)
    assert failing.error == "malformed JSON"
    assert unknown.error is not None
    assert "soundslike" in unknown.error


def test_a_contentless_full_text_table_answers_nulls(tmp_path: Path) -> None:
    found = profile(
        tmp_path,
        "CREATE VIRTUAL TABLE t USING fts5 (body, content = '')",
        "INSERT INTO t (rowid, body) VALUES (1, 'a b')",
    )
    assert [c.storage_classes for c in found.columns] == [{"NULL": 1}]


def test_a_view_is_profiled_as_a_table(tmp_path: Path) -> None:
    found = profile(tmp_path, "CREATE VIEW t AS SELECT 1 AS a UNION SELECT 'x'")
    assert (found.rows, found.columns[0].distinct) == (2, 2)


def test_a_view_of_a_missing_table_says_so(tmp_path: Path) -> None:
    found = profile(tmp_path, "CREATE TABLE u (a)", "CREATE VIEW t AS SELECT * FROM u", "DROP TABLE u")
    assert (found.rows, found.error) == (None, "no such table: main.u")


def test_a_view_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    found = profile(tmp_path, f"CREATE VIEW t AS {endless}", limit_s=0.1)
    assert found.rows is None
    assert found.error is not None
    assert "0.1 s" in found.error


def test_a_column_of_an_unknown_collation_is_profiled_by_its_bytes(tmp_path: Path) -> None:
    found = profile(tmp_path, "CREATE TABLE t (a COLLATE PHONEBOOK UNIQUE)", "INSERT INTO t VALUES ('a'), ('b'), ('B')")
    assert (found.columns[0].distinct, found.columns[0].minimum) == (3, "B")


def test_a_damaged_page_is_a_source_error(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a, b)")
        connection.execute(f"{numbers} INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n")
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\x55" * 64)
    with connect(take_snapshot(path)) as connection:
        table = reflect_schema(connection, "x").tables[0]
        with pytest.raises(SourceError) as caught:
            profile_table(connection, table)
    assert (caught.value.code, str(path) in str(caught.value)) == ("source_damaged", True)
