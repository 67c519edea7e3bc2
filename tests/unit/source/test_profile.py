"""What columns really hold, counted value by value."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from migrator.errors import SourceError
from migrator.source.connection import connect
from migrator.source.profile import SAMPLE_ABOVE_ROWS, ColumnProfile, TableProfile, profile_table
from migrator.source.profile_values import Sample, look_at_values
from migrator.source.reflection import reflect_schema
from migrator.source.snapshot import take_snapshot
from migrator.source.text import InvalidText, SqliteValue


@contextmanager
def opened(path: Path, *statements: str):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_collation("PHONEBOOK", lambda a, b: (a < b) - (a > b))
        connection.create_function("soundslike", 1, lambda value: value, deterministic=True)
        for statement in statements:
            connection.execute(statement)
    with connect(take_snapshot(path)) as reader:
        yield reader


def profile(folder: Path, *statements: str, name: str = "t", **options: Any) -> TableProfile:
    with opened(folder / "x.sqlite", *statements) as connection:
        table = reflect_schema(connection, "x").table(name)
        assert table is not None
        return profile_table(connection, table, **options)


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


# ---- values


def test_texts_with_a_nul_and_empty_values_are_counted(tmp_path: Path) -> None:
    found = column(tmp_path, "('a' || char(0)), (x'00'), (''), (x''), (' '), (NULL), (0)")
    assert (found.with_nul, found.empty) == (1, 2)


def test_common_values_are_those_that_repeat(tmp_path: Path) -> None:
    found = column(tmp_path, "('a'), ('b'), ('b'), ('c'), ('c'), ('c'), (NULL), (NULL), (NULL), (NULL)")
    assert found.common == (("c", 3 / 6), ("b", 2 / 6))


def test_a_long_value_counts_for_the_skew_and_is_not_shown(tmp_path: Path) -> None:
    found = column(tmp_path, "(zeroblob(500)), (zeroblob(500)), (zeroblob(501)), (1)")
    assert found.common == ()
    assert found.skew is not None
    assert found.skew.biggest_share == 0.5


def test_rows_spread_evenly_over_as_many_values_as_there_are(tmp_path: Path) -> None:
    found = column(tmp_path, "(1), (1), (2), (2), (3), (3), (NULL)")
    assert found.skew is not None
    assert (found.skew.biggest_share, found.skew.effective_values) == (1 / 3, 3)


def test_one_value_for_nearly_all_rows_is_like_one_value(tmp_path: Path) -> None:
    found = column(tmp_path, ", ".join(["('hot')"] * 98 + ["(1)", "(2)"]))
    assert found.skew is not None
    assert found.skew.effective_values == pytest.approx(1.04, abs=0.01)


def test_a_column_of_nulls_has_no_skew(tmp_path: Path) -> None:
    assert column(tmp_path, "(NULL), (NULL)").skew is None


def test_formats_are_the_callers_and_their_shares_those_of_values(tmp_path: Path) -> None:
    def is_short(value: SqliteValue) -> str | None:
        return "short" if isinstance(value, str) and len(value) < 3 else None

    found = profile(
        tmp_path, "CREATE TABLE t (a)", "INSERT INTO t VALUES ('a'), ('a'), ('b'), ('long'), (NULL)", format_of=is_short
    )
    assert found.columns[0].formats == (("short", 3 / 4),)


def test_a_value_that_fails_while_rows_come_in_is_an_error_of_the_database(tmp_path: Path) -> None:
    statements = (
        "CREATE TABLE t (a)",
        "INSERT INTO t VALUES ('{}'), ('no json')",
        "ALTER TABLE t ADD COLUMN g AS (json_extract(a, '$.x'))",
    )
    with opened(tmp_path / "x.sqlite", *statements) as connection:
        table = reflect_schema(connection, "x").tables[0]
        with pytest.raises(DBAPIError, match="malformed JSON"):
            look_at_values(connection, table, [ColumnProfile("g")], Sample(2, 2), lambda _: None)


# ---- big tables

BIG = SAMPLE_ABOVE_ROWS + 1
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"


def big(folder: Path, create: str = "CREATE TABLE t (a, b)", rows: int = BIG, **options: Any) -> TableProfile:
    # a WITHOUT ROWID table holds no NULL in its key
    seventh = "7" if "WITHOUT ROWID" in create else "NULL"
    insert = f"{NUMBERS.format(rows)} INSERT INTO t SELECT i / 2, CASE i WHEN 7 THEN {seventh} ELSE i % 10 END FROM n"
    return profile(folder, "PRAGMA synchronous = OFF", create, insert, **options)


def test_a_table_at_the_limit_is_looked_at_whole(tmp_path: Path) -> None:
    found = big(tmp_path, rows=SAMPLE_ABOVE_ROWS)
    assert found.sampled_rows is None
    assert (found.columns[0].distinct, found.columns[0].distinct_error) == (SAMPLE_ABOVE_ROWS // 2 + 1, 0)


@pytest.mark.parametrize(
    "create", ["CREATE TABLE t (a, b)", "CREATE TABLE t (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID"], ids=["rowid", "key"]
)
def test_a_big_table_is_sampled_and_its_distinct_values_are_estimated(tmp_path: Path, create: str) -> None:
    found = big(tmp_path, create)
    a, b = found.columns
    assert found.sampled_rows is not None
    assert found.sampled_rows == pytest.approx(100_000, rel=0.02)
    assert a.distinct == pytest.approx(BIG / 2, rel=2 * a.distinct_error)
    assert 0 < a.distinct_error < 0.04
    assert (b.distinct, b.distinct_error) == (10, 0)
    assert b.skew is not None
    assert b.skew.biggest_share == pytest.approx(0.1, rel=0.1)


def test_what_must_be_exact_is_exact_in_a_big_table(tmp_path: Path) -> None:
    found = big(tmp_path)
    assert (found.rows, found.columns[1].nulls, found.columns[0].maximum) == (BIG, 1, BIG // 2)


def test_exact_looks_at_every_row_of_a_big_table(tmp_path: Path) -> None:
    found = big(tmp_path, exact=True)
    assert found.sampled_rows is None
    assert (found.columns[0].distinct, found.columns[0].distinct_error) == (BIG // 2 + 1, 0)


def test_a_unique_column_needs_no_estimate(tmp_path: Path) -> None:
    found = profile(
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, code UNIQUE)",
        f"{NUMBERS.format(BIG)} INSERT INTO t SELECT i, CASE WHEN i > 5 THEN i END FROM n",
    )
    assert [(c.distinct, c.distinct_error) for c in found.columns] == [(BIG, 0), (BIG - 5, 0)]


def test_the_same_file_gives_the_same_profile(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert big(tmp_path) == big(tmp_path / "again")


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
