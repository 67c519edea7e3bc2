"""A SQLite file's schema, read by PRAGMA.

SQLAlchemy's reflection aborts on files that people have (one unknown virtual-table module, a foreign key
to a missing table) and misreads generated columns; the PRAGMAs go table by table and know every kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from msgspec.structs import replace
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.source.failure import is_about_the_file, message_of, to_source_error
from migrator.source.schema import Affinity, Column, ForeignKey, Index, Schema, Table
from migrator.source.text import InvalidText

#: https://www.sqlite.org/datatype3.html, 3.1: the first word found in the declared type decides
_AFFINITIES: tuple[tuple[str, Affinity], ...] = (
    ("INT", "INTEGER"),
    ("CHAR", "TEXT"),
    ("CLOB", "TEXT"),
    ("TEXT", "TEXT"),
    ("BLOB", "BLOB"),
    ("REAL", "REAL"),
    ("FLOA", "REAL"),
    ("DOUB", "REAL"),
)
_ROWID_NAMES = ("rowid", "_rowid_", "oid")
#: the `hidden` column of table_xinfo
_GENERATED: dict[int, Literal["", "virtual", "stored"]] = {2: "virtual", 3: "stored"}
_TABLE_LIST = "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'"
_COLUMNS = 'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(CAST(? AS TEXT)) ORDER BY cid'
_FOREIGN_KEYS = (
    'SELECT id, "table", "from", "to", on_update, on_delete'
    " FROM pragma_foreign_key_list(CAST(? AS TEXT)) ORDER BY id DESC, seq"
)
_INDEXES = 'SELECT name, "unique", origin, partial FROM pragma_index_list(CAST(? AS TEXT)) ORDER BY seq DESC'
_INDEX_COLUMNS = "SELECT cid, name, coll FROM pragma_index_xinfo(CAST(? AS TEXT)) WHERE key ORDER BY seqno"
_NO_COLLATION = "no such collation sequence: "
_NOT_UTF8 = "a name in it is not UTF-8, so it cannot be read by name"


def to_affinity(declared_type: str) -> Affinity:
    """What SQLite makes of a declared type; ANY is a type of STRICT tables that converts nothing.

    >>> to_affinity("VARCHAR(20)"), to_affinity("DECIMAL(10,2)"), to_affinity("FLOATING POINT")
    ('TEXT', 'NUMERIC', 'INTEGER')
    """
    folded = declared_type.upper()
    if folded in ("", "ANY"):
        return "BLOB"
    return next((affinity for word, affinity in _AFFINITIES if word in folded), "NUMERIC")


def reflect_schema(connection: Connection, path: str) -> Schema:
    """Every table and view but SQLite's own, table by table, so that one odd table hides no other."""
    try:
        tables = _reflect_tables(connection)
        return Schema(
            path=path,
            tables=_resolve_parents(tables),
            page_size=int(connection.exec_driver_sql("PRAGMA page_size").scalar_one()),
            encoding=str(connection.exec_driver_sql("PRAGMA encoding").scalar_one()),
        )
    except DBAPIError as error:
        raise to_source_error(error, path) from error


def _reflect_tables(connection: Connection) -> list[Table]:
    listed = {row[0]: row[1:] for row in connection.exec_driver_sql(_TABLE_LIST)}
    master = connection.exec_driver_sql(
        "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view', 'index')"
        " AND lower(substr(name, 1, 7)) <> 'sqlite_' ORDER BY rowid"
    ).fetchall()
    index_sql = {name: _text(sql) for name, kind, sql in master if kind == "index" and sql is not None}
    return [
        _reflect_table(connection, name, listed.get(name, (kind, 0, 0)), sql, index_sql)
        for name, kind, sql in master
        if kind != "index"
    ]


def _reflect_table(
    connection: Connection, name: str | InvalidText, listed: Any, sql: Any, index_sql: Mapping[Any, str]
) -> Table:
    kind, without_rowid, strict = listed
    bare = Table(_text(name), kind, (), without_rowid=bool(without_rowid), strict=bool(strict), sql=_text(sql))
    try:
        rows = connection.exec_driver_sql(_COLUMNS, (name,)).fetchall()
        if isinstance(name, InvalidText) or any(isinstance(row[0], InvalidText) for row in rows):
            return replace(bare, columns=_columns(rows), error=_NOT_UTF8)
        bare = replace(bare, columns=_columns(rows), primary_key=_primary_key(rows))
        if kind in ("view", "virtual"):
            _try_reading(connection, name, "*")
        indexes = tuple(_indexes(connection, name, index_sql)) if kind in ("table", "shadow") else ()
        keyed = replace(bare, columns=tuple(_ordered(connection, bare)), indexes=indexes)
        keyed = replace(keyed, integer_primary_key=_rowid_alias(keyed), error=_key_error(connection, keyed))
        return replace(keyed, rowid=_rowid_name(connection, keyed), foreign_keys=tuple(_foreign_keys(connection, name)))
    except DBAPIError as error:
        if is_about_the_file(error):
            raise
        return replace(bare, error=message_of(error))


def _try_reading(connection: Connection, name: str, columns: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
    # Compiled only: with LIMIT 0 SQLite would still work out what a view joins, which may have no end.
    connection.exec_driver_sql(f"EXPLAIN SELECT src.{columns} FROM {quoted} AS src").close()


def _text(value: Any) -> str:
    """A name or SQL text; what is not UTF-8 stays legible, escaped."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value or "")


def _columns(rows: Sequence[Any]) -> tuple[Column, ...]:
    return tuple(
        Column(
            name=_text(name),
            declared_type=_text(declared_type),
            affinity=to_affinity(_text(declared_type)),
            not_null=bool(not_null),
            default=None if default is None else _text(default),
            generated=_GENERATED.get(hidden, ""),
            hidden=hidden == 1,
        )
        for name, declared_type, not_null, default, _, hidden in rows
    )


def _primary_key(rows: Sequence[Any]) -> tuple[str, ...]:
    """`pk` is the column's place in the key, from 1."""
    return tuple(_text(row[0]) for row in sorted((row for row in rows if row[4]), key=lambda row: int(row[4])))


def _indexes(connection: Connection, name: str, index_sql: Mapping[Any, str]) -> Iterator[Index]:
    for index, unique, origin, partial in connection.exec_driver_sql(_INDEXES, (name,)).fetchall():
        parts = connection.exec_driver_sql(_INDEX_COLUMNS, (index,)).fetchall()
        yield Index(
            name=_text(index),
            unique=bool(unique),
            origin=origin,
            # cid -1 is the rowid, -2 an expression; both come without a name
            columns=tuple("rowid" if cid == -1 else None if cid == -2 else _text(column) for cid, column, _ in parts),
            collations=tuple(_text(collation) for _, _, collation in parts),
            partial=bool(partial),
            sql=index_sql.get(index),
        )


def _rowid_alias(table: Table) -> str | None:
    """INTEGER PRIMARY KEY exactly: INT is an ordinary column, and DESC has an index of its own."""
    if table.kind not in ("table", "shadow") or table.without_rowid or len(table.primary_key) != 1:
        return None
    column = table.column(table.primary_key[0])
    has_index = any(index.origin == "pk" for index in table.indexes)
    return column.name if column and column.declared_type.upper() == "INTEGER" and not has_index else None


def _ordered(connection: Connection, table: Table) -> Iterator[Column]:
    """The columns, those marked whose collation is not known here."""
    all_known = table.kind != "table" or _is_ordered(connection, table, table.columns)
    for column in table.columns:
        yield column if all_known or _is_ordered(connection, table, [column]) else replace(column, unordered=True)


def _is_ordered(connection: Connection, table: Table, columns: Sequence[Column]) -> bool:
    """A subquery asks for the collations of what it gives; PRAGMAs tell only those of indexes."""
    quoted = connection.dialect.identifier_preparer.quote_identifier
    inner = f"SELECT {', '.join(quoted(column.name) for column in columns)} FROM {quoted(table.name)}"
    try:
        connection.exec_driver_sql(f"EXPLAIN SELECT * FROM ({inner})").close()
    except DBAPIError as error:
        return not message_of(error).startswith(_NO_COLLATION)
    return True


def _key_error(connection: Connection, table: Table) -> str | None:
    """A WITHOUT ROWID table is its key's index: not even a scan opens it without the application's collation."""
    if not table.without_rowid:
        return None
    used = {name for index in table.indexes if index.origin == "pk" for name in index.collations}
    quoted = connection.dialect.identifier_preparer.quote_identifier
    try:
        for name in sorted(used):
            # pragma_collation_list also names collations that were only ever asked for
            connection.exec_driver_sql(f"SELECT '' = '' COLLATE {quoted(name)}").close()
    except DBAPIError as error:
        return message_of(error)
    return None


def _rowid_name(connection: Connection, table: Table) -> str | None:
    if table.integer_primary_key is not None:
        return table.integer_primary_key
    if table.kind == "view" or table.without_rowid:
        return None
    taken = {column.name.lower() for column in table.columns}
    free = next((name for name in _ROWID_NAMES if name not in taken), None)
    if free is None or table.kind != "virtual":
        return free
    try:
        _try_reading(connection, table.name, free)
    except DBAPIError:
        return None  # a virtual table may be WITHOUT ROWID
    return free


def _foreign_keys(connection: Connection, name: str) -> Iterator[ForeignKey]:
    """As written: a parent's columns left out stay () until all tables are known."""
    rows = connection.exec_driver_sql(_FOREIGN_KEYS, (name,)).fetchall()
    for _, group in groupby(rows, key=lambda row: row[0]):
        parts = list(group)
        _, parent, _, to, on_update, on_delete = parts[0]
        parent_columns = () if to is None else tuple(_text(part[3]) for part in parts)
        columns = tuple(_text(part[2]) for part in parts)
        yield ForeignKey(columns, _text(parent), parent_columns, _text(on_update), _text(on_delete))


def _resolve_parents(tables: Sequence[Table]) -> tuple[Table, ...]:
    by_name = {table.name.lower(): table for table in tables}
    return tuple(
        replace(table, foreign_keys=tuple(_resolve(key, by_name.get(key.table.lower())) for key in table.foreign_keys))
        for table in tables
    )


def _resolve(key: ForeignKey, parent: Table | None) -> ForeignKey:
    """The parent's exact names; SQLite folds case."""
    if parent is None:
        return replace(key, parent_missing=True)
    found = [(name, parent.column(name)) for name in key.parent_columns or parent.primary_key]
    return replace(key, table=parent.name, parent_columns=tuple(c.name if c else name for name, c in found))
