"""What rows come from: a table, a view or a query, told apart only here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from sqlalchemy.engine import Connection

from migrator.source.schema import Column, Table


def quote(name: str) -> str:
    """A name as an SQL identifier.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def balanced(terms: Sequence[str], operator: str) -> str:
    """Terms joined by an operator, in brackets: SQLite refuses an expression that is nested deeper than 1000.

    >>> balanced(["a", "b", "c"], "OR")
    '(a OR (b OR c))'
    """
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({balanced(terms[:half], operator)} {operator} {balanced(terms[half:], operator)})"


class Relation(Struct, frozen=True):
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
        from_sql=_from_sql(table),
        columns=tuple(c for c in table.columns if not c.hidden),
        key=key,
        rowid=table.rowid,
        key_walks=table.without_rowid,
    )


def _from_sql(table: Table) -> str:
    """Columns that SQLite cannot compare as declared are compared byte by byte; it takes the brackets apart again."""
    name = quote(table.name)
    if not any(column.unordered for column in table.columns):
        return name
    rowid = [f"{table.rowid} AS {quote(table.rowid)}"] if table.rowid and not table.column(table.rowid) else []
    return f"(SELECT {', '.join([*rowid, *map(as_bytes, table.columns)])} FROM {name}) AS {name}"


def as_bytes(column: Column) -> str:
    """A column of a result, compared byte by byte where its own order is not known.

    >>> as_bytes(Column("a")), as_bytes(Column("a", unordered=True))
    ('"a"', '"a" COLLATE BINARY AS "a"')
    """
    name = quote(column.name)
    return f"{name} COLLATE BINARY AS {name}" if column.unordered else name


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
