"""What a design must be sure of: exact, of every row, since a key that one row breaks is no key.

The profile may sample and is for a person to read. This is one pass in Python over each table's raw values, as a run
reads them, because only the mapping's own conversions know what DynamoDB can hold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.errors import RowRejected
from migrator.mapping.hints import hint_of
from migrator.mapping.model import KeyAttribute, TableDefinition
from migrator.mapping.validate import check_item
from migrator.mapping.values import to_attribute_value
from migrator.source.failure import is_about_the_file, message_of, source_path, to_source_error
from migrator.source.fetch import FETCH_ROWS
from migrator.source.relation import quote, table_relation
from migrator.source.schema import Column, Table
from migrator.source.text import InvalidText, SqliteValue

#: Rows from this size on are counted: rendering them tells which are beyond DynamoDB's 400 KB.
HEAVY_BYTES = 200_000
#: Well inside of what DynamoDB's numbers can be: most need no closer look.
_MODERATE = (1e-100, 1e100)
_ANY_TABLE = TableDefinition("any", KeyAttribute("key"))
_KEY = {"key": {"S": "x"}}


class ColumnFacts(Struct):
    """Counts of one column's values. Filled row by row, and read only afterwards."""

    name: str
    declared_type: str = ""
    integers: int = 0
    reals: int = 0
    texts: int = 0  #: UTF-8
    invalid: int = 0  #: TEXT that is not UTF-8
    blobs: int = 0
    nulls: int = 0
    low: int | None = None  #: of the integers
    high: int | None = None
    longest_bytes: int = 0  #: of text and BLOBs
    marked: int = 0  #: texts with # or %
    empty: int = 0
    non_ascii: int = 0
    unstorable: int = 0  #: values whose plain copy rejects the row
    error: str | None = None  #: why it cannot be read

    @property
    def values(self) -> int:
        return self.integers + self.reals + self.texts + self.invalid + self.blobs

    @property
    def kind(self) -> str:
        """integer or text where all values are; mixed; none where all are NULL."""
        if not self.values:
            return "none"
        return next(
            (kind for kind, n in (("integer", self.integers), ("text", self.texts)) if n == self.values), "mixed"
        )

    def collector(self) -> Callable[[SqliteValue], int]:
        """What takes a value in and gives its size in bytes, about."""
        hint = hint_of(self.declared_type)
        takers = {
            type(None): self._null,
            int: self._integer,
            float: self._real,
            str: self._hinted(hint) if hint in ("json", "number") else self._text,
            bytes: self._blob,
            InvalidText: self._invalid,
        }
        return lambda value: takers[type(value)](value)  # type: ignore[operator]  # each taker is of its key's type

    def _null(self, _: None) -> int:
        self.nulls += 1
        return 0

    def _integer(self, value: int) -> int:
        self.integers += 1
        if self.low is None or value < self.low:
            self.low = value
        if self.high is None or value > self.high:
            self.high = value
        return 8

    def _real(self, value: float) -> int:
        self.reals += 1
        if not _MODERATE[0] < abs(value) < _MODERATE[1]:
            self.unstorable += not _is_storable(value)
        return 8

    def _text(self, value: str) -> int:
        self.texts += 1
        self.empty += not value
        self.marked += "#" in value or "%" in value
        if value.isascii():
            return self._sized(len(value))
        self.non_ascii += 1
        return self._sized(len(value.encode()))

    def _hinted(self, hint: str) -> Callable[[str], int]:
        def take(value: str) -> int:
            self.unstorable += not _is_storable(value, hint)
            return self._text(value)

        return take

    def _blob(self, value: bytes) -> int:
        self.blobs += 1
        return self._sized(len(value))

    def _invalid(self, value: InvalidText) -> int:
        self.invalid += 1
        self.unstorable += 1
        return self._sized(len(value))

    def _sized(self, size_bytes: int) -> int:
        if size_bytes > self.longest_bytes:
            self.longest_bytes = size_bytes
        return size_bytes


def _is_storable(value: SqliteValue, hint: str = "") -> bool:
    """Whether the plain copy of a column would be taken, whatever its size."""
    try:
        converted = to_attribute_value(value, hint)
        if converted is not None:
            check_item({**_KEY, "value": converted}, _ANY_TABLE)
    except RowRejected as error:
        return error.code == "item_too_large"
    return True


class TableFacts(Struct, frozen=True):
    table: Table
    rows: int = 0
    columns: tuple[ColumnFacts, ...] = ()
    size_bytes: int = 0  #: of all values, about
    heavy: int = 0  #: rows of HEAVY_BYTES or more
    low_rowid: int = 0
    high_rowid: int = 0
    error: str | None = None  #: why no row of it can be read

    def column(self, name: str) -> ColumnFacts:
        return next(column for column in self.columns if column.name == name)

    @property
    def row_bytes(self) -> float:
        return self.size_bytes / self.rows if self.rows else 0.0


def read_facts(connection: Connection, table: Table) -> TableFacts:
    """Every value of a table. Raises SourceError where the file is damaged."""
    if table.error:
        return TableFacts(table, error=table.error)
    columns = [column for column in table.columns if not column.hidden]
    try:
        broken = _broken_columns(connection, table, columns)
        return _read(connection, table, columns, broken)
    except (DBAPIError, sqlite3.Error) as error:
        if is_about_the_file(error):
            raise to_source_error(error, source_path(connection)) from error
        return TableFacts(table, error=message_of(error))


def _broken_columns(connection: Connection, table: Table, columns: Sequence[Column]) -> dict[str, str]:
    """Generated columns whose expression fails on the table's own rows."""
    broken = {}
    for column in columns:
        if column.generated:
            try:
                connection.exec_driver_sql(f"SELECT count({quote(column.name)}) FROM {quote(table.name)}").close()
            except DBAPIError as error:
                if is_about_the_file(error):
                    raise
                broken[column.name] = message_of(error)
    return broken


def _read(connection: Connection, table: Table, columns: Sequence[Column], broken: dict[str, str]) -> TableFacts:
    found = [ColumnFacts(c.name, c.declared_type, error=broken.get(c.name)) for c in columns]
    collectors = [facts.collector() for facts in found if not facts.error]
    names = [quote(facts.name) for facts in found if not facts.error]
    relation = table_relation(table)
    # Once, where it is a column: SQLite allows as many columns in a result as in a table.
    selected = list(dict.fromkeys([*names, quote(relation.rowid)] if relation.rowid else names or ["NULL"]))
    place = selected.index(quote(relation.rowid)) if relation.rowid else 0
    rows = size = heavy = low_rowid = high_rowid = 0
    for values in iter_values(connection, f"SELECT {', '.join(selected)} FROM {relation.from_sql}"):
        rows += 1
        row_bytes = sum([collect(value) for collect, value in zip(collectors, values, strict=False)])
        size += row_bytes
        heavy += row_bytes >= HEAVY_BYTES
        if relation.rowid and isinstance(rowid := values[place], int):
            low_rowid, high_rowid = min(low_rowid, rowid), max(high_rowid, rowid)
    return TableFacts(table, rows, tuple(found), size, heavy, low_rowid, high_rowid)


def iter_values(connection: Connection, sql: str) -> Iterator[tuple[SqliteValue, ...]]:
    cursor = connection.connection.cursor()
    cursor.execute(sql)
    while rows := cursor.fetchmany(FETCH_ROWS):
        yield from rows
