"""What the columns really hold: storage classes, ranges, lengths, distinct values.

SQLite's columns do not constrain their values, so every value is looked at, by aggregates in SQL in one scan
of the table. Text that is not UTF-8 is found too: it is what a later reader would have to reject.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.source.failure import is_about_the_file, message_of, source_path, to_source_error
from migrator.source.relation import quote
from migrator.source.schema import Column, Table
from migrator.source.text import SqliteValue

STORAGE_CLASSES = ("INTEGER", "REAL", "TEXT", "BLOB", "NULL")
# SQLite allows 2000 columns in a result, and each distinct count keeps a temporary index of its column.
_COLUMNS_PER_SCAN = 40
_INVALID, _LENGTH = "migrator_is_invalid", "migrator_utf8_length"
_PROGRESS_STEPS = 100_000
_TOO_SLOW = "not profiled: reading it takes longer than {:g} s"


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    name: str
    #: how many values of each class, in the order of STORAGE_CLASSES
    counts: tuple[int, ...] = (0, 0, 0, 0, 0)
    distinct: int = 0  #: without NULL; 1 and 1.0 are one, '1' is another, 'a' and 'A' are two
    minimum: SqliteValue = None  #: in SQLite's order: numbers, text, BLOBs
    maximum: SqliteValue = None
    longest_bytes: int = 0  #: of TEXT (as UTF-8) and BLOB
    invalid_utf8: int = 0
    error: str | None = None  #: why it cannot be read

    @property
    def storage_classes(self) -> dict[str, int]:
        """Only the classes that occur."""
        return {name: count for name, count in zip(STORAGE_CLASSES, self.counts, strict=True) if count}

    @property
    def nulls(self) -> int:
        return self.counts[-1]


@dataclass(frozen=True, slots=True)
class TableProfile:
    table: str
    rows: int | None  #: None where it cannot be read
    columns: tuple[ColumnProfile, ...] = ()
    error: str | None = None

    def column(self, name: str) -> ColumnProfile | None:
        return next((column for column in self.columns if column.name == name), None)


def profile_table(connection: Connection, table: Table, *, limit_s: float | None = None) -> TableProfile:
    """Look at every value of a table or view.

    What fails on its own data, as a generated column may, carries an `error`; a file that cannot be read raises
    SourceError. `limit_s` gives up on a view that takes too long.
    """
    if table.error:
        return TableProfile(table.name, None, error=table.error)
    columns = [column for column in table.columns if not column.hidden]
    _add_text_functions(connection)
    with _time_limit(connection, limit_s) as too_slow:
        try:
            rows, profiles = _profile(connection, table, columns)
            return TableProfile(table.name, rows, profiles)
        except DBAPIError as error:
            if is_about_the_file(error):
                raise to_source_error(error, source_path(connection)) from error
            return TableProfile(table.name, None, error=too_slow() or message_of(error))


def _profile(connection: Connection, table: Table, columns: Sequence[Column]) -> tuple[int, tuple[ColumnProfile, ...]]:
    profiles: list[ColumnProfile] = []
    rows = 0
    for start in range(0, len(columns) or 1, _COLUMNS_PER_SCAN):
        names = [column.name for column in columns[start : start + _COLUMNS_PER_SCAN]]
        try:
            rows, scanned = _scan(connection, table, names)
        except DBAPIError as error:
            if is_about_the_file(error) or message_of(error) == "interrupted":
                raise
            rows, scanned = _scan_one_by_one(connection, table, names)
        profiles += scanned
    return rows, tuple(profiles)


def _scan_one_by_one(connection: Connection, table: Table, names: list[str]) -> tuple[int, list[ColumnProfile]]:
    rows, _ = _scan(connection, table, [])
    profiles = []
    for name in names:
        try:
            profiles += _scan(connection, table, [name])[1]
        except DBAPIError as error:
            if is_about_the_file(error) or message_of(error) == "interrupted":
                raise
            profiles.append(ColumnProfile(name, error=message_of(error)))
    return rows, profiles


def _scan(connection: Connection, table: Table, names: list[str]) -> tuple[int, list[ColumnProfile]]:
    measures = ["count(*)", *(measure for name in names for measure in _measures(name))]
    # The rows themselves are counted, not the entries of an index. A key of unknown collation has only its own order.
    by_table = "" if table.without_rowid or table.kind in ("view", "virtual") else " NOT INDEXED"
    statement = f"SELECT {', '.join(measures)} FROM {quote(table.name)} AS src{by_table}"
    rows, *values = connection.exec_driver_sql(statement).one()
    width = len(values) // len(names) if names else 1
    parts = (values[start : start + width] for start in range(0, len(values), width))
    return rows, [_column_profile(name, part) for name, part in zip(names, parts, strict=True)]


def _measures(name: str) -> list[str]:
    # An explicit BINARY keeps the application's own collations, and indexes in their order, out of it.
    column = f"src.{quote(name)}"
    plain = f"{column} COLLATE BINARY"
    return [
        *(f"sum(typeof({column}) = '{storage_class.lower()}')" for storage_class in STORAGE_CLASSES),
        f"count(DISTINCT {plain})",
        f"min({plain})",
        f"max({plain})",
        f"max(CASE typeof({column}) WHEN 'blob' THEN length({column})"
        f" WHEN 'text' THEN {_LENGTH}(CAST({column} AS BLOB)) END)",
        f"sum(CASE typeof({column}) WHEN 'text' THEN {_INVALID}(CAST({column} AS BLOB)) END)",
    ]


def _column_profile(name: str, values: Sequence[Any]) -> ColumnProfile:
    *counts, distinct, minimum, maximum, longest, invalid = values
    return ColumnProfile(
        name, tuple(count or 0 for count in counts), distinct, minimum, maximum, longest or 0, invalid or 0
    )


# ---- what SQLite lacks


def _add_text_functions(connection: Connection) -> None:
    """Functions on the bytes of a text: its length as UTF-8, and whether it is none."""
    # Once only: SQLite refuses to replace a function that an open statement uses.
    if connection.info.setdefault(_INVALID, False):
        return
    encoding = str(connection.exec_driver_sql("PRAGMA encoding").scalar_one())
    raw: Any = connection.connection.driver_connection
    length = len if encoding == "UTF-8" else partial(_utf8_length, encoding)
    raw.create_function(_LENGTH, 1, length, deterministic=True)
    raw.create_function(_INVALID, 1, partial(_is_invalid, encoding), deterministic=True)
    connection.info[_INVALID] = True


def _is_invalid(encoding: str, raw: bytes) -> int:
    r"""1 for bytes that are not text in the file's encoding.

    >>> _is_invalid("UTF-8", b"caf\xc3\xa9"), _is_invalid("UTF-8", b"\xff")
    (0, 1)
    """
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return 1
    return 0


def _utf8_length(encoding: str, raw: bytes) -> int:
    """
    >>> _utf8_length("UTF-16le", "né".encode("utf-16-le"))
    3
    """
    return len(raw.decode(encoding, "replace").encode())


@contextmanager
def _time_limit(connection: Connection, limit_s: float | None) -> Iterator[Callable[[], str | None]]:
    """Interrupt the statement when time is up; gives what to say about it then."""
    deadline = None if limit_s is None else time.monotonic() + limit_s
    raw: Any = connection.connection.driver_connection

    def is_over() -> bool:
        return deadline is not None and time.monotonic() > deadline

    def words() -> str | None:
        return _TOO_SLOW.format(limit_s) if is_over() else None

    if deadline is not None:
        raw.set_progress_handler(is_over, _PROGRESS_STEPS)
    try:
        yield words
    finally:
        raw.set_progress_handler(None, 0)
