"""A SQLite file as JSON lines that lose nothing: `migrator dump`, described in docs/dump.md.

What a file holds besides rows (its schema, the counters of AUTOINCREMENT, which of its columns are computed) stands in
a manifest, so that a database can be built from the folder alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.errors import SourceError, UsageError, known_names
from migrator.source.cells import to_cell
from migrator.source.connection import connect
from migrator.source.failure import to_source_error
from migrator.source.integrity import Finding, check_integrity
from migrator.source.read import WHOLE, Read
from migrator.source.reflection import reflect_schema
from migrator.source.relation import table_relation
from migrator.source.rows import iter_rows
from migrator.source.schema import Schema, Table
from migrator.source.snapshot import Snapshot, release, take_snapshot
from migrator.source.text import InvalidText
from migrator.wholefile import whole_file

MANIFEST, SCHEMA = "manifest.json", "schema.sql"
FORMAT = 1
_NAME_BYTES = 150  # of 255 that file systems take; the part file's name is longer
_HASH_BYTES = 1 << 20


class DumpedTable(Struct, frozen=True):
    table: Table
    file: str
    rows: int


class LeftOut(Struct, frozen=True):
    """A table that holds data and is not dumped."""

    name: str
    reason: str
    unreadable: bool


class Dump:
    """A file opened to be dumped: every table is read in one transaction, so all of them are of one moment."""

    def __init__(self, connection: Connection, snapshot: Snapshot, schema: Schema, names: Sequence[str]) -> None:
        self.tables = select_tables(schema, names)
        self.left_out = () if names else tuple(_iter_left_out(schema))
        self.findings: tuple[Finding, ...] = check_integrity(connection, snapshot.path)
        self._connection = connection
        self._snapshot = snapshot
        self._schema = schema

    def write(self, folder: Path) -> Iterator[DumpedTable]:
        """Write table after table, then the schema and, last, the manifest: where it is, the dump is whole."""
        _make_folder(folder)
        (folder / MANIFEST).unlink(missing_ok=True)
        dumped = []
        for table, file in zip(self.tables, file_names(table.name for table in self.tables), strict=True):
            dumped.append(DumpedTable(table, file, self._write_rows(table, folder / file)))
            yield dumped[-1]
        statements = list(_iter_statements(self._connection, self._schema))
        with whole_file(folder / SCHEMA) as stream:
            stream.write("".join(f"{each['sql']};\n" for each in statements).encode())
        with whole_file(folder / MANIFEST) as stream:
            stream.write(json.dumps(self._manifest(dumped, statements), ensure_ascii=False, indent=2).encode() + b"\n")

    def _write_rows(self, table: Table, path: Path) -> int:
        relation = table_relation(table)
        names = [column.name for column in relation.columns]
        rowid = _own_rowid(table)
        count = 0
        with whole_file(path) as stream:
            try:
                for row in iter_rows(self._connection, Read(relation, tuple(names)), WHOLE):
                    cells = {rowid: to_cell(row.rowid)} if rowid else {}
                    cells |= zip(names, map(to_cell, row.values), strict=True)
                    stream.write(json.dumps(cells, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
                    count += 1
            except (sqlite3.Error, DBAPIError) as error:
                raise to_source_error(error, f"{self._snapshot.path}: {table.name}") from error
        return count

    def _manifest(self, dumped: Sequence[DumpedTable], statements: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        sequences = _sequences(self._connection)
        return {
            "format": FORMAT,
            "source": {
                "path": self._snapshot.path,
                "sha256": _sha256(Path(self._snapshot.read_path)),
                # The file itself, or a private copy into which its journal was played back.
                "sha256_of": "copy" if self._snapshot.is_copy else "file",
                "encoding": self._schema.encoding,
                "user_version": self._pragma("user_version"),
                "application_id": self._pragma("application_id"),
            },
            "tables": [
                {
                    "name": each.table.name,
                    "kind": each.table.kind,
                    "file": each.file,
                    "rows": each.rows,
                    "rowid": _own_rowid(each.table),
                    "autoincrement": sequences.get(each.table.name),
                    "columns": [
                        {"name": column.name, "type": column.declared_type, "generated": bool(column.generated)}
                        for column in each.table.columns
                        if not column.hidden
                    ],
                }
                for each in dumped
            ],
            "left_out": [{"name": each.name, "reason": each.reason} for each in self.left_out],
            "schema": statements,
        }

    def _pragma(self, name: str) -> int:
        return int(self._connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


@contextmanager
def open_dump(source: Path, names: Sequence[str] = ()) -> Iterator[Dump]:
    """Look at the file. Raises SourceError, and UsageError for a table that it has not."""
    snapshot = take_snapshot(source)
    try:
        with connect(snapshot) as connection:
            connection.exec_driver_sql("BEGIN")
            yield Dump(connection, snapshot, reflect_schema(connection, snapshot.path), names)
    finally:
        release(snapshot)


# ---- which tables


def select_tables(schema: Schema, names: Sequence[str]) -> tuple[Table, ...]:
    """The named ones; without names every ordinary table that can be read."""
    if names:
        return tuple(dict.fromkeys(_named(schema, name) for name in names))
    return tuple(table for table in schema.tables if table.kind == "table" and not table.error)


def _iter_left_out(schema: Schema) -> Iterator[LeftOut]:
    for table in schema.tables:
        if table.kind == "table" and table.error:
            yield LeftOut(table.name, f"it cannot be read: {table.error}", unreadable=True)
        elif table.kind == "virtual":
            yield LeftOut(table.name, "a virtual table is dumped only when it is named", unreadable=False)


def _named(schema: Schema, name: str) -> Table:
    table = schema.table(name)
    if table is None or table.kind == "shadow":
        known = known_names("tables", (each.name for each in schema.tables if each.kind != "shadow"), name)
        why = "belongs to a virtual table: name that one" if table else "is not in the file"
        raise UsageError(f'--table: "{name}" {why}\n  {known}')
    if table.error:
        raise SourceError(
            f'{schema.path}: table "{table.name}" cannot be read: {table.error}\n  Name others with --table.',
            code="source_error",
        )
    return table


def file_names(tables: Iterable[str]) -> Iterator[str]:
    """Names that any file system takes and tells apart, one for each table.

    >>> list(file_names(["users", "a/b", "a b", "", "..", "Ärger"]))
    ['users.jsonl', 'a_b.jsonl', 'a_b-2.jsonl', 'table.jsonl', 'table-2.jsonl', 'Ärger.jsonl']
    """
    taken: set[str] = set()
    for table in tables:
        safe = re.sub(r"[^\w.-]", "_", unicodedata.normalize("NFC", table)).strip(".")
        stem = safe.encode()[:_NAME_BYTES].decode(errors="ignore") or "table"
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        yield f"{name}.jsonl"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: the folder cannot be made: {error.strerror}", code="output") from error


def _own_rowid(table: Table) -> str | None:
    """The name under which a rowid that is no column is read; no column of the table has it."""
    return None if table.rowid == table.integer_primary_key else table.rowid


# ---- what stands beside the rows

_STATEMENTS = (
    "SELECT CASE WHEN sql LIKE 'CREATE VIRTUAL%' THEN 'virtual' ELSE type END, name, tbl_name, sql FROM sqlite_master"
    " WHERE sql IS NOT NULL AND lower(substr(name, 1, 7)) <> 'sqlite_' ORDER BY rowid"
)
#: Rows are loaded after the first; an index is built faster, and a trigger does not fire, when they are there already.
_ORDER = ("table", "virtual", "index", "view", "trigger")


def _iter_statements(connection: Connection, schema: Schema) -> Iterator[dict[str, str]]:
    """The whole schema in the order in which it is built; virtual tables make their shadow tables themselves."""
    shadows = {table.name for table in schema.tables if table.kind == "shadow"}
    found = [tuple(map(_text, row)) for row in connection.exec_driver_sql(_STATEMENTS)]
    for kind, name, of_table, sql in sorted(found, key=lambda statement: _ORDER.index(statement[0])):
        if of_table not in shadows:
            yield {"type": kind, "name": name, "sql": sql}


def _text(value: str | InvalidText) -> str:
    return value if isinstance(value, str) else value.decode(errors="backslashreplace")


def _sequences(connection: Connection) -> dict[str, int]:
    """What AUTOINCREMENT has given out last, by table."""
    kept = "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'"
    if not connection.exec_driver_sql(kept).scalar_one():
        return {}
    return {row[0]: row[1] for row in connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(_HASH_BYTES):
            digest.update(part)
    return digest.hexdigest()
