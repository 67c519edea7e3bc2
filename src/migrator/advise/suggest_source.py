"""All that a design is decided on: the facts of each table, how tables hang together, what expires."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.advise.suggest_facts import TableFacts, iter_values, read_facts
from migrator.errors import RowRejected
from migrator.mapping.dates import to_instant, to_seconds
from migrator.source.failure import is_about_the_file, source_path, to_source_error
from migrator.source.relation import quote, table_relation
from migrator.source.schema import ForeignKey, Schema, Table
from migrator.source.text import InvalidText, SqliteValue


class FanOut(Struct, frozen=True):
    """How many rows of a child each parent has."""

    rows: int  #: with a value in every column of the foreign key
    parents: int  #: that have at least one
    most: int
    strangers: int  #: rows whose value no parent has exactly, storage class included

    @property
    def mean(self) -> float:
        return self.rows / self.parents if self.parents else 0.0


def read_fan_out(connection: Connection, child: Table, key: ForeignKey) -> FanOut | None:
    """None where the parent is not there, or its columns are not."""
    if key.parent_missing or len(key.columns) != len(key.parent_columns):
        return None
    columns = [f"{quote(name)} COLLATE BINARY" for name in key.columns]
    named = " AND ".join(f"{quote(name)} IS NOT NULL" for name in key.columns)
    grouped = f"SELECT count(*) AS n FROM {quote(child.name)} WHERE {named} GROUP BY {', '.join(columns)}"
    own, parents = _exact(key.columns), _exact(key.parent_columns)
    # NOT IN with a list that is built once; a NULL in it would make every answer unknown.
    known = " AND ".join(f"{quote(name)} IS NOT NULL" for name in key.parent_columns)
    strangers = (
        f"SELECT count(*) FROM {quote(child.name)} WHERE {named}"
        f" AND ({own}) NOT IN (SELECT {parents} FROM {quote(key.table)} WHERE {known})"
    )
    try:
        sql = f"SELECT total(n), count(*), coalesce(max(n), 0), ({strangers}) FROM ({grouped})"
        rows, used, most, unknown = connection.exec_driver_sql(sql).one()
    except DBAPIError as error:
        if is_about_the_file(error):
            raise to_source_error(error, source_path(connection)) from error
        return None
    return FanOut(int(rows), used, most, unknown)


def _exact(columns: Sequence[str]) -> str:
    """Columns so that only equal bytes of one storage class are equal."""
    return ", ".join(f"typeof({quote(name)}), {quote(name)} COLLATE BINARY" for name in columns)


# ---- expiry


#: 2000-01-01 and 2100-01-01: other times in a column called "expires" are something else.
_TIMES_S = range(946_684_800, 4_102_444_800)
_EXPIRY = re.compile(r"expir|^ttl$|valid_?until", re.IGNORECASE)


class Expiry(Struct, frozen=True):
    """A column whose every value is a moment that items may expire at."""

    column: str
    values: int
    past: int


def read_expiry(connection: Connection, facts: TableFacts, now_s: int) -> Expiry | None:
    """The first column that is called after expiring and holds nothing but times."""
    for column in facts.columns:
        if _EXPIRY.search(column.name) and column.values and not column.error:
            name = quote(column.name)
            sql = f"SELECT {name} FROM {table_relation(facts.table).from_sql} WHERE {name} IS NOT NULL"
            expiry = _expiry(column.name, (_seconds(value) for (value,) in iter_values(connection, sql)), now_s)
            if expiry:
                return expiry
    return None


def _expiry(column: str, moments: Iterator[int], now_s: int) -> Expiry | None:
    values = past = 0
    for moment in moments:
        if moment not in _TIMES_S:
            return None
        values += 1
        past += moment < now_s
    return Expiry(column, values, past)


def _seconds(value: SqliteValue) -> int:
    try:
        return to_seconds(to_instant(value))
    except RowRejected:
        return 0


# ---- a whole file


class Source(Struct, frozen=True):
    """All that is known of a file before anything is decided."""

    schema: Schema
    facts: Mapping[str, TableFacts]  #: of each table whose rows can be read, by name
    unread: Mapping[str, str]  #: the other tables, and why
    fans: Mapping[tuple[str, tuple[str, ...]], FanOut]  #: by child and columns of the foreign key
    together: Mapping[tuple[str, tuple[str, ...]], int]  #: rows that can be asked for by these columns
    expiries: Mapping[str, Expiry]


def read_source(connection: Connection, schema: Schema, now_s: int) -> Source:
    """One pass over every table. Raises SourceError where the file is damaged."""
    tables = [table for table in schema.tables if table.kind in ("table", "virtual")]
    read = {table.name: read_facts(connection, table) for table in tables}
    facts = {name: found for name, found in read.items() if not found.error}
    unread = {name: found.error for name, found in read.items() if found.error}
    fans = {
        (name, key.columns): fan
        for name, found in facts.items()
        for key in foreign_keys(found.table)
        if (fan := read_fan_out(connection, found.table, key))
    }
    together = {
        (name, columns): _together(connection, found, columns)
        for name, found in facts.items()
        for columns in lookup_columns(found)
    }
    expiries = {n: expiry for n, found in facts.items() if (expiry := read_expiry(connection, found, now_s))}
    return Source(schema, facts, unread, fans, together, expiries)


def foreign_keys(table: Table) -> Iterator[ForeignKey]:
    """Each set of columns once: a key may be declared twice."""
    seen: set[frozenset[str]] = set()
    for key in table.foreign_keys:
        columns = frozenset(key.columns)
        if columns not in seen and all(table.column(name) for name in key.columns):
            seen.add(columns)
            yield key


def unique_sets(table: Table) -> Iterator[tuple[str, ...]]:
    """The columns of the primary key, and of unique indexes over whole tables and plain columns."""
    if table.primary_key:
        yield table.primary_key
    for index in table.indexes:
        columns = tuple(name for name in index.columns if name and table.column(name))
        if index.unique and not index.partial and len(columns) == len(index.columns) and index.origin != "pk":
            yield columns


def lookup_columns(facts: TableFacts) -> list[tuple[str, ...]]:
    """What rows may be looked up by: unique columns, then foreign keys; each set of columns once."""
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for columns in (*unique_sets(facts.table), *(key.columns for key in foreign_keys(facts.table))):
        if not any(facts.column(name).error for name in columns):
            found.setdefault(frozenset(columns), columns)
    return list(found.values())


def _together(connection: Connection, facts: TableFacts, columns: tuple[str, ...]) -> int:
    """Rows that a question can be asked with: NULL is no value, and text that is not UTF-8 cannot be put in one."""
    if len(columns) == 1:
        column = facts.column(columns[0])
        return column.values - column.invalid
    where = " AND ".join(f"{quote(name)} IS NOT NULL" for name in columns)
    from_sql = table_relation(facts.table).from_sql
    rows = iter_values(connection, f"SELECT {', '.join(map(quote, columns))} FROM {from_sql} WHERE {where}")
    return sum(not any(isinstance(value, InvalidText) for value in row) for row in rows)
