"""A dump loses nothing: a database built from it by the code in docs/dump.md equals its source, cell for cell."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import SourceError, UsageError
from migrator.source.dump import open_dump

PROJECT = Path(__file__).resolve().parents[3]
REAL_DATA = os.environ.get("MIGRATOR_REAL_DATA")

NASTY = """
CREATE TABLE anything (a, b);
CREATE TABLE "a/b" ("" TEXT, "x.y" INTEGER, "ROWID" TEXT, "É" REAL, "é" BLOB);
CREATE TABLE "a b" (id INTEGER PRIMARY KEY AUTOINCREMENT, rowid_, v NUMERIC);
CREATE TABLE keyed (b TEXT, a INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE computed (n INTEGER, twice INTEGER AS (n * 2) STORED, half REAL AS (n / 2.0));
CREATE TABLE strict_one (id INT PRIMARY KEY, any_value ANY) STRICT;
CREATE TABLE "" (x);
CREATE TABLE "CREATE TABLE" (x DEFAULT ';');
CREATE TABLE empty (x);
CREATE INDEX by_a ON anything (a);
CREATE VIEW joined AS SELECT a, k.b FROM anything JOIN keyed AS k USING (a);
CREATE TRIGGER doubled AFTER INSERT ON anything BEGIN INSERT INTO empty VALUES (new.a); END;
"""
VALUES = (
    None, 0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), 1.0, -0.0, 0.1, 1e300, 5e-324, float("inf"), float("-inf"),
    "", "1", "1.0", "nul\0inside", "\u2028 日本 \U0001f49c", '"quoted"\n', b"", b"1", b"\0\xff",
)  # fmt: skip


@pytest.fixture
def nasty(tmp_path: Path) -> Path:
    path = tmp_path / "nasty.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(NASTY)
        # The trigger would write while this does; it is there again when the file is dumped.
        database.execute("DROP TRIGGER doubled")
        for number, value in enumerate(VALUES):
            database.execute("INSERT INTO anything (rowid, a, b) VALUES (?, ?, ?)", (number * 7 - 3, value, value))
            database.execute('INSERT INTO "a/b" VALUES (?, ?, ?, ?, ?)', (value,) * 5)
            database.execute('INSERT INTO "a b" (rowid_, v) VALUES (?, ?)', (value, value))
            database.execute("INSERT INTO strict_one VALUES (?, ?)", (number, value))
        database.execute("INSERT INTO anything VALUES (CAST(x'ff00fe' AS TEXT), CAST(x'c3' AS TEXT))")
        database.execute('DELETE FROM "a b" WHERE id > 20')
        database.executemany("INSERT INTO keyed VALUES (?, ?)", [("b", 1), ("a", 1), ("z", -5)])
        database.executemany("INSERT INTO computed (n) VALUES (?)", [(1,), (3,), (None,)])
        database.execute('INSERT INTO "" VALUES (1)')
        database.execute(re.search("CREATE TRIGGER.*", NASTY)[0])  # type: ignore[index]
        database.commit()
    return path


@pytest.fixture
def rebuild(tmp_path: Path) -> Callable[[Path], sqlite3.Connection]:
    """The code of the page, on a dump of the file."""
    (shown,) = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/dump.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(shown, "docs/dump.md", "exec"), names)

    def dump_and_rebuild(source: Path) -> sqlite3.Connection:
        dump(source, tmp_path / "dump")
        database: sqlite3.Connection = names["rebuild"](tmp_path / "dump", tmp_path / "rebuilt.sqlite")
        return database

    return dump_and_rebuild


def dump(source: Path, folder: Path, *tables: str) -> dict[str, Any]:
    with open_dump(source, tables) as opened:
        list(opened.write(folder))
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def real_files() -> list[Any]:
    if not REAL_DATA:
        return [pytest.param("", marks=pytest.mark.skip(reason="MIGRATOR_REAL_DATA names no folder of SQLite files"))]
    return sorted(path.name for path in Path(REAL_DATA).glob("*.sqlite"))


def iter_cells(database: sqlite3.Connection, table: str, columns: list[str], rowid: str | None) -> Iterator[Any]:
    """Each cell as its storage class and bytes: a REAL -0.0 is no 0.0, a TEXT no BLOB."""
    database.text_factory = bytes
    names = [quoted(name) for name in ([rowid] if rowid else []) + columns]
    cells = ", ".join(f"typeof({name}), {name}" for name in names)
    for row in database.execute(f"SELECT {cells} FROM {quoted(table)} ORDER BY {cells}"):
        yield tuple(map(repr, row))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def assert_equal_databases(manifest: dict[str, Any], source: Path, rebuilt: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(source)) as original:
        for table in manifest["tables"]:
            columns = [column["name"] for column in table["columns"]]
            found, expected = (
                iter_cells(database, table["name"], columns, table["rowid"]) for database in (rebuilt, original)
            )
            for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
                assert ours == theirs, f"{table['name']}, row {number}"


def test_a_nasty_database_comes_back_cell_for_cell(nasty: Path, rebuild: Any, tmp_path: Path) -> None:
    with closing(rebuild(nasty)) as rebuilt:
        manifest = json.loads((tmp_path / "dump/manifest.json").read_text(encoding="utf-8"))
        assert [table["rows"] for table in manifest["tables"] if table["name"] == "anything"] == [len(VALUES) + 1]
        assert_equal_databases(manifest, nasty, rebuilt)
        assert rebuilt.execute("SELECT seq FROM sqlite_sequence").fetchall() == [(len(VALUES),)]


def test_the_community_platform_comes_back_cell_for_cell(rebuild: Any, tmp_path: Path) -> None:
    source = PROJECT / "fixtures/madmall.sqlite"
    with closing(rebuild(source)) as rebuilt:
        manifest = json.loads((tmp_path / "dump/manifest.json").read_text(encoding="utf-8"))
        assert_equal_databases(manifest, source, rebuilt)


@pytest.mark.parametrize("name", real_files())
def test_a_real_file_comes_back_cell_for_cell(name: str, rebuild: Any, tmp_path: Path) -> None:
    source = Path(REAL_DATA or "") / name
    with closing(rebuild(source)) as rebuilt:
        manifest = json.loads((tmp_path / "dump/manifest.json").read_text(encoding="utf-8"))
        # What is compared with is a copy: a WAL file, opened where it lies, would get a -shm beside it.
        copy = tmp_path / name
        for neighbour in source.parent.glob(f"{name}*"):
            (tmp_path / neighbour.name).write_bytes(neighbour.read_bytes())
        assert manifest["tables"]
        assert_equal_databases(manifest, copy, rebuilt)


# ---- what is dumped


@pytest.fixture
def searchable(tmp_path: Path) -> Path:
    path = tmp_path / "searchable.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE plain (x); CREATE VIEW shown AS SELECT 1 AS one;"
            "CREATE VIRTUAL TABLE found USING fts5(body); INSERT INTO found VALUES ('text');"
        )
    return path


def test_every_ordinary_table_is_dumped_and_what_else_holds_data_is_named(searchable: Path, tmp_path: Path) -> None:
    manifest = dump(searchable, tmp_path / "dump")
    assert [table["name"] for table in manifest["tables"]] == ["plain"]
    assert manifest["left_out"] == [
        {"name": "found", "reason": "a virtual table is dumped only when it is named"},
    ]


def test_views_and_virtual_tables_are_dumped_when_they_are_named(searchable: Path, tmp_path: Path) -> None:
    manifest = dump(searchable, tmp_path / "dump", "shown", "found")
    assert [(table["name"], table["kind"], table["rows"]) for table in manifest["tables"]] == [
        ("shown", "view", 1),
        ("found", "virtual", 1),
    ]
    assert (tmp_path / "dump/found.jsonl").read_text() == '{"rowid":{"integer":"1"},"body":"text"}\n'


def test_a_shadow_table_is_never_dumped(searchable: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='"found_data" belongs to a virtual table'):
        dump(searchable, tmp_path / "dump", "found_data")


def test_the_schema_leaves_out_what_virtual_tables_make_themselves(searchable: Path, tmp_path: Path) -> None:
    dump(searchable, tmp_path / "dump")
    assert (tmp_path / "dump/schema.sql").read_text() == (
        "CREATE TABLE plain (x);\nCREATE VIRTUAL TABLE found USING fts5(body);\nCREATE VIEW shown AS SELECT 1 AS one;\n"
    )


def test_an_unknown_table_is_refused_with_the_nearest_name(nasty: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='Did you mean "anything"'):
        dump(nasty, tmp_path / "dump", "anythin")
    assert not (tmp_path / "dump").exists()


def unreadable(path: Path) -> Path:
    """A table that is its key's index, sorted by a collation that only its application knows."""
    with closing(sqlite3.connect(path)) as database:
        database.create_collation("OURS", lambda a, b: (a > b) - (a < b))
        database.executescript(
            "CREATE TABLE plain (x); CREATE TABLE closed (k TEXT COLLATE OURS PRIMARY KEY) WITHOUT ROWID;"
        )
    return path


def test_a_table_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    with open_dump(unreadable(tmp_path / "s.sqlite")) as opened:
        assert [table.table.name for table in opened.write(tmp_path / "dump")] == ["plain"]
        (left_out,) = opened.left_out
    assert (left_out.name, left_out.unreadable) == ("closed", True)
    assert "OURS" in left_out.reason


def test_a_named_table_that_cannot_be_read_stops_the_dump(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="OURS"):
        dump(unreadable(tmp_path / "s.sqlite"), tmp_path / "dump", "closed")


def test_a_damaged_file_is_refused_before_anything_is_written(nasty: Path, tmp_path: Path) -> None:
    image = bytearray(nasty.read_bytes())
    image[4096 * 2 + 100 : 4096 * 3] = b"\x55" * (4096 - 100)
    nasty.write_bytes(image)
    with pytest.raises(SourceError) as refused:
        dump(nasty, tmp_path / "dump")
    assert refused.value.code == "source_damaged"
    assert not (tmp_path / "dump").exists()


# ---- what stands in the folder


def test_the_manifest_names_the_source_by_its_hash(nasty: Path, tmp_path: Path) -> None:
    source = dump(nasty, tmp_path / "dump")["source"]
    assert source["sha256"] == hashlib.sha256(nasty.read_bytes()).hexdigest()
    assert (source["path"], source["sha256_of"]) == (str(nasty), "file")


def test_every_file_that_the_manifest_names_is_there_and_no_other(nasty: Path, tmp_path: Path) -> None:
    manifest = dump(nasty, tmp_path / "dump")
    named = {table["file"] for table in manifest["tables"]} | {"schema.sql", "manifest.json"}
    assert {path.name for path in (tmp_path / "dump").iterdir()} == named


def test_a_dump_that_is_cut_off_has_no_manifest(nasty: Path, tmp_path: Path) -> None:
    dump(nasty, tmp_path / "dump")
    with open_dump(nasty) as opened:
        next(opened.write(tmp_path / "dump"))
    assert not (tmp_path / "dump/manifest.json").exists()


def test_a_writer_waits_until_all_tables_are_read(nasty: Path, tmp_path: Path) -> None:
    """Otherwise two tables of one dump could be of two moments."""
    with open_dump(nasty) as opened, closing(sqlite3.connect(nasty, timeout=0)) as writer:
        next(opened.write(tmp_path / "dump"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("DELETE FROM keyed").connection.commit()
