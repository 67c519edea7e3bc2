"""Reflection, against what SQLite's documentation says of each construct."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrator.source.connection import connect
from migrator.source.reflection import reflect_schema, to_affinity
from migrator.source.schema import ForeignKey, Schema, Table
from migrator.source.snapshot import take_snapshot


class Brought:
    """What an application registers and this program does not know."""

    @staticmethod
    def prepare(connection: sqlite3.Connection) -> None:
        connection.create_collation("PHONEBOOK", lambda a, b: (a > b) - (a < b))
        connection.create_function("soundslike", 1, lambda value: value, deterministic=True)


def reflect(folder: Path, *statements: str) -> Schema:
    path = folder / "x.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        Brought.prepare(connection)
        for statement in statements:
            connection.execute(statement)
    with connect(take_snapshot(path)) as opened:
        return reflect_schema(opened, str(path))


def only(folder: Path, statement: str) -> Table:
    return reflect(folder, statement).tables[0]


@pytest.mark.parametrize(
    ("declared", "affinity"),
    [
        # https://www.sqlite.org/datatype3.html, 3.1.1
        ("TINYINT", "INTEGER"),
        ("UNSIGNED BIG INT", "INTEGER"),
        ("VARYING CHARACTER(255)", "TEXT"),
        ("NVARCHAR(100)", "TEXT"),
        ("CLOB", "TEXT"),
        ("BLOB", "BLOB"),
        ("", "BLOB"),
        ("DOUBLE PRECISION", "REAL"),
        ("FLOAT", "REAL"),
        ("DECIMAL(10,5)", "NUMERIC"),
        ("BOOLEAN", "NUMERIC"),
        ("DATETIME", "NUMERIC"),
        ("STRING", "NUMERIC"),
        ("FLOATING POINT", "INTEGER"),
        ("any", "BLOB"),
    ],
)
def test_affinity_follows_the_declared_type(declared: str, affinity: str) -> None:
    assert to_affinity(declared) == affinity


@pytest.mark.parametrize(
    "name", ["order", "a b", 'a"b', "日本", "x;drop", "", "a.b", "[x]", "a'b", "5", "%s", ":x", "-- c", "a\nb"]
)
def test_every_legal_name_is_reflected_as_it_is(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    schema = reflect(
        tmp_path,
        f"CREATE TABLE {quoted} ({quoted} TEXT PRIMARY KEY, other INT)",
        f"CREATE INDEX i ON {quoted} ({quoted})",
        f"CREATE TABLE child (c REFERENCES {quoted})",
    )
    table = schema.tables[0]
    assert (table.name, table.columns[0].name, table.primary_key) == (name, name, (name,))
    assert (name,) in [index.columns for index in table.indexes]
    assert schema.tables[1].foreign_keys == (ForeignKey(("c",), name, (name,)),)
    assert all(table.error is None for table in schema.tables)


@pytest.mark.parametrize(
    ("declaration", "alias"),
    [
        # https://www.sqlite.org/lang_createtable.html#rowid
        ("id INTEGER PRIMARY KEY", "id"),
        ("id integer PRIMARY KEY AUTOINCREMENT", "id"),
        ("id INTEGER, PRIMARY KEY (id)", "id"),
        ("id INTEGER, x, PRIMARY KEY (ID ASC)", "id"),
        ("id INTEGER, PRIMARY KEY (id DESC)", "id"),
        ("id INTEGER PRIMARY KEY DESC", None),
        ("id INT PRIMARY KEY", None),
        ("id BIGINT PRIMARY KEY", None),
        ("id INTEGER, b, PRIMARY KEY (id, b)", None),
        ("id INTEGER UNIQUE", None),
    ],
)
def test_only_integer_primary_key_is_the_rowid(tmp_path: Path, declaration: str, alias: str | None) -> None:
    path = tmp_path / "probe"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE t ({declaration})")
        connection.execute("INSERT INTO t (rowid, id) VALUES (5, 5)")
        connection.execute("UPDATE t SET rowid = 7")
        is_alias = connection.execute("SELECT id FROM t").fetchone() == (7,)
    assert is_alias is (alias is not None)
    assert only(tmp_path, f"CREATE TABLE t ({declaration})").integer_primary_key == alias


@pytest.mark.parametrize(
    ("statement", "rowid"),
    [
        ("CREATE TABLE t (a)", "rowid"),
        ("CREATE TABLE t (a, RowId)", "_rowid_"),
        ("CREATE TABLE t (rowid, _rowid_)", "oid"),
        ("CREATE TABLE t (rowid, oid, _rowid_)", None),
        ("CREATE TABLE t (rowid, oid, _rowid_, id INTEGER PRIMARY KEY)", "id"),
        ("CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID", None),
        ("CREATE VIEW t AS SELECT 1 AS a", None),
        ("CREATE VIRTUAL TABLE t USING rtree (id, low, high)", "rowid"),
    ],
)
def test_the_rowid_is_read_under_a_name_that_is_free(tmp_path: Path, statement: str, rowid: str | None) -> None:
    assert only(tmp_path, statement).rowid == rowid


def test_the_key_of_a_without_rowid_table_keeps_its_own_order(tmp_path: Path) -> None:
    table = only(tmp_path, "CREATE TABLE t (a INTEGER, b TEXT, c, PRIMARY KEY (c, a)) WITHOUT ROWID")
    assert table.primary_key == ("c", "a")
    assert table.without_rowid


def test_a_single_integer_key_without_rowid_is_no_rowid(tmp_path: Path) -> None:
    table = only(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY) WITHOUT ROWID")
    assert (table.integer_primary_key, table.rowid) == (None, None)


def test_strict_tables_and_columns_are_described(tmp_path: Path) -> None:
    table = only(tmp_path, "CREATE TABLE t (a INTEGER NOT NULL DEFAULT 7, b ANY, c TEXT DEFAULT 'x') STRICT")
    assert table.strict
    assert [(c.not_null, c.default, c.affinity) for c in table.columns] == [
        (True, "7", "INTEGER"),
        (False, None, "BLOB"),
        (False, "'x'", "TEXT"),
    ]


def test_generated_columns_are_told_apart(tmp_path: Path) -> None:
    table = only(
        tmp_path,
        "CREATE TABLE t (a, v INT GENERATED ALWAYS AS (a + 1), s INT GENERATED ALWAYS AS (a + 2) STORED)",
    )
    assert [(c.generated, c.declared_type) for c in table.columns] == [("", ""), ("virtual", "INT"), ("stored", "INT")]


def test_a_foreign_key_without_columns_means_the_parents_key(tmp_path: Path) -> None:
    schema = reflect(
        tmp_path,
        "CREATE TABLE child (x, y, FOREIGN KEY (x, y) REFERENCES PARENT ON DELETE CASCADE)",
        "CREATE TABLE parent (a, b, c, PRIMARY KEY (b, a))",
    )
    assert schema.tables[0].foreign_keys == (ForeignKey(("x", "y"), "parent", ("b", "a"), on_delete="CASCADE"),)


def test_foreign_keys_stand_in_the_order_they_are_written(tmp_path: Path) -> None:
    schema = reflect(
        tmp_path,
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE c (one REFERENCES p (ID), two REFERENCES p, three REFERENCES c (one))",
    )
    assert [(k.columns, k.parent_columns) for k in schema.tables[1].foreign_keys] == [
        (("one",), ("id",)),
        (("two",), ("id",)),
        (("three",), ("one",)),
    ]


def test_a_missing_parent_is_said_to_be_missing(tmp_path: Path) -> None:
    table = only(tmp_path, "CREATE TABLE c (x REFERENCES nobody, y REFERENCES nobody (id))")
    assert [(k.parent_missing, k.parent_columns) for k in table.foreign_keys] == [(True, ()), (True, ("id",))]


def test_indexes_carry_what_makes_them_special(tmp_path: Path) -> None:
    table = reflect(
        tmp_path,
        "CREATE TABLE t (a TEXT UNIQUE, b COLLATE NOCASE)",
        "CREATE INDEX expression ON t (lower(a), b)",
        "CREATE UNIQUE INDEX partial ON t (b) WHERE a IS NOT NULL",
    ).tables[0]
    unique, expression, partial = table.indexes
    assert (unique.origin, unique.unique, unique.columns, unique.sql) == ("u", True, ("a",), None)
    assert (expression.columns, expression.collations, expression.partial) == ((None, "b"), ("BINARY", "NOCASE"), False)
    assert (partial.unique, partial.partial) == (True, True)
    assert partial.sql is not None
    assert partial.sql.startswith("CREATE UNIQUE INDEX")


def test_shadow_tables_are_told_from_tables(tmp_path: Path) -> None:
    schema = reflect(
        tmp_path,
        "CREATE TABLE plain (a)",
        "CREATE VIRTUAL TABLE words USING fts5 (body)",
        "CREATE VIRTUAL TABLE boxes USING rtree (id, low, high)",
    )
    kinds = {table.name: table.kind for table in schema.tables}
    assert (kinds["plain"], kinds["words"], kinds["words_content"], kinds["boxes_node"]) == (
        "table",
        "virtual",
        "shadow",
        "shadow",
    )


def test_hidden_columns_of_virtual_tables_are_marked(tmp_path: Path) -> None:
    table = only(tmp_path, "CREATE VIRTUAL TABLE words USING fts5 (body)")
    assert [(c.name, c.hidden) for c in table.columns] == [("body", False), ("words", True), ("rank", True)]


def test_tables_of_sqlites_own_are_left_out(tmp_path: Path) -> None:
    schema = reflect(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)", "ANALYZE")
    assert [table.name for table in schema.tables] == ["t"]


def test_what_cannot_be_read_carries_the_reason_and_hides_no_other(tmp_path: Path) -> None:
    schema = reflect(
        tmp_path,
        "CREATE TABLE gone (a)",
        "CREATE VIEW lost AS SELECT a FROM gone",
        "CREATE VIEW sorted AS SELECT n FROM names ORDER BY n",
        "CREATE TABLE names (n COLLATE PHONEBOOK)",
        "CREATE TABLE keyed (n COLLATE PHONEBOOK PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE fine (a)",
        "DROP TABLE gone",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'odd', 'odd', 0, 'CREATE VIRTUAL TABLE odd USING unheard (a)')",
    )
    errors = {table.name: table.error for table in schema.tables}
    assert errors == {
        "lost": "no such table: main.gone",
        "sorted": "no such collation sequence: PHONEBOOK",
        "names": None,
        "keyed": "no such collation sequence: PHONEBOOK",
        "fine": None,
        "odd": "no such module: unheard",
    }


def test_a_name_that_is_not_utf8_is_shown_escaped_and_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE tXt (a)")
        connection.execute("CREATE TABLE u (cXc)")
    path.write_bytes(path.read_bytes().replace(b"tXt", b"t\xfft").replace(b"cXc", b"c\xffc"))
    with connect(take_snapshot(path)) as opened:
        schema = reflect_schema(opened, str(path))
    assert [(table.name, table.columns[0].name) for table in schema.tables] == [("t\\xfft", "a"), ("u", "c\\xffc")]
    assert all(table.error for table in schema.tables)


def test_page_size_and_encoding_are_the_files(tmp_path: Path) -> None:
    schema = reflect(tmp_path, "PRAGMA page_size = 8192", "PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (é)")
    assert (schema.page_size, schema.encoding) == (8192, "UTF-16le")
    assert schema.tables[0].columns[0].name == "é"


def test_two_thousand_columns_are_reflected(tmp_path: Path) -> None:
    table = only(tmp_path, f"CREATE TABLE t ({', '.join(f'c{n}' for n in range(2000))})")
    assert len(table.columns) == 2000


def test_a_view_without_end_is_compiled_and_not_run(tmp_path: Path) -> None:
    numbers = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)"
    joined = f"{numbers} SELECT a.i FROM (SELECT max(i) AS i FROM n) a JOIN (SELECT i FROM n ORDER BY i) b USING (i)"
    schema = reflect(tmp_path, f"CREATE VIEW endless AS {joined}")
    assert [(table.name, table.error) for table in schema.tables] == [("endless", None)]


def test_columns_of_a_collation_that_is_not_known_are_marked(tmp_path: Path) -> None:
    table = only(tmp_path, "CREATE TABLE t (a COLLATE PHONEBOOK, b COLLATE NOCASE, c)")
    assert [column.name for column in table.columns if column.unordered] == ["a"]


def test_a_name_that_is_not_utf8_in_an_error_hides_nothing_else(tmp_path: Path) -> None:
    """SQLite's message names it, and sqlite3 alone would raise UnicodeDecodeError."""
    statements = [
        "CREATE TABLE whole (a)",
        "CREATE TABLE gone (a)",
        "CREATE VIEW v AS SELECT a FROM gone",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = CAST(x'435245415445205649455720762041532053454c45435420612046524f4d2022ff22'"
        " AS TEXT) WHERE name = 'v'",
    ]
    schema = reflect(tmp_path, *statements)
    assert {table.name: table.error for table in schema.tables} == {
        "whole": None,
        "gone": None,
        "v": r"no such table: main.\xff",
    }
