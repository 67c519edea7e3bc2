"""What rows come from: a table, a view or a query, told apart only here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.engine import Connection

from migrator.source.schema import Column, Table


def quote(name: str) -> str:
    """A name as an SQL identifier.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Relation:
    name: str  #: the exact name of the table or view, "" for a query
    kind: Literal["table", "view", "virtual", "shadow", "query"]
    from_sql: str  #: stands after FROM
    columns: tuple[Column, ...]
    #: the source key: what orders rows and names them to a person. () where nothing is known
    key: tuple[str, ...] = ()
    #: a name under which the rowid can be read: rows of a rowid table are walked in its order
    rowid: str | None = None
    #: the key is NOT NULL and unique by itself (WITHOUT ROWID), so rows can be walked by it
    key_walks: bool = False

    @property
    def label(self) -> str:
        """For a message: `table "users"`, `the query`."""
        if self.kind == "query":
            return "the query"
        return f'{"view" if self.kind == "view" else "table"} "{self.name}"'

    def column(self, name: str) -> Column | None:
        folded = name.lower()
        return next((c for c in self.columns if c.name == name), None) or next(
            (c for c in self.columns if c.name.lower() == folded), None
        )


def table_relation(table: Table) -> Relation:
    """A table or view of the schema. Hidden columns of virtual tables are commands, not data."""
    key = table.primary_key or ((table.rowid,) if table.rowid else ())
    return Relation(
        name=table.name,
        kind=table.kind,
        from_sql=quote(table.name),
        columns=tuple(c for c in table.columns if not c.hidden),
        key=key,
        rowid=table.rowid,
        key_walks=table.without_rowid,
    )


def as_subquery(query: str) -> str:
    """A query of the user's in brackets; the line break ends a comment that it may end with.

    >>> as_subquery("SELECT 1;")
    '(SELECT 1\\n)'
    """
    return f"({query.strip().rstrip(';')}\n)"


def query_relation(connection: Connection, query: str, key: tuple[str, ...]) -> Relation:
    """A query of the user's. Raises sqlalchemy.exc.DBAPIError where SQLite refuses it."""
    from_sql = as_subquery(query)
    cursor = connection.exec_driver_sql(f"SELECT * FROM {from_sql} LIMIT 0")
    names = [description[0] for description in cursor.cursor.description]
    return Relation("", "query", from_sql, tuple(Column(n) for n in names), key)
