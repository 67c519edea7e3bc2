"""What a SQLite file's schema says: its tables and views, their columns, keys and indexes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Affinity = Literal["TEXT", "NUMERIC", "INTEGER", "REAL", "BLOB"]


class Column(Struct, frozen=True):
    name: str
    declared_type: str = ""  #: as written, "" for none
    affinity: Affinity = "BLOB"
    not_null: bool = False
    default: str | None = None  #: SQL text
    generated: Literal["", "virtual", "stored"] = ""
    hidden: bool = False  #: a virtual table's hidden column
    unordered: bool = False  #: its collation is the application's own: compared only by another one


class ForeignKey(Struct, frozen=True):
    columns: tuple[str, ...]
    table: str  #: the parent, which may be missing
    parent_columns: tuple[str, ...]  #: resolved to the parent's primary key where the schema leaves them out
    on_update: str = "NO ACTION"
    on_delete: str = "NO ACTION"
    parent_missing: bool = False


class Index(Struct, frozen=True):
    name: str
    unique: bool
    origin: Literal["c", "u", "pk"]  #: CREATE INDEX, UNIQUE constraint, PRIMARY KEY
    columns: tuple[str | None, ...]  #: None is an expression
    collations: tuple[str, ...] = ()
    partial: bool = False
    sql: str | None = None


class Table(Struct, frozen=True):
    """A table or view. `kind`: table, view, virtual, shadow (FTS and R-Tree keep their data in shadows)."""

    name: str
    kind: Literal["table", "view", "virtual", "shadow"]
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()  #: in key order, which may differ from column order
    without_rowid: bool = False
    strict: bool = False
    #: the column that is the rowid itself (INTEGER PRIMARY KEY, not INT, not DESC), or None
    integer_primary_key: str | None = None
    #: a name under which the rowid can be read, or None (WITHOUT ROWID, views, or rowid, oid and _rowid_ all taken)
    rowid: str | None = None
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[Index, ...] = ()
    sql: str | None = None
    error: str | None = None  #: why it cannot be read: unknown module, a view of a missing table

    def column(self, name: str) -> Column | None:
        """The column of that name; SQLite folds ASCII case."""
        folded = name.lower()
        return next((c for c in self.columns if c.name == name), None) or next(
            (c for c in self.columns if c.name.lower() == folded), None
        )


class Schema(Struct, frozen=True):
    path: str
    tables: tuple[Table, ...]  #: views and virtual tables too, in the file's order
    page_size: int = 4096
    encoding: str = "UTF-8"

    def table(self, name: str) -> Table | None:
        """The table or view of that name; an exact match goes before one that differs in case."""
        folded = name.lower()
        return next((t for t in self.tables if t.name == name), None) or next(
            (t for t in self.tables if t.name.lower() == folded), None
        )
