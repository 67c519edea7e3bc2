"""What every value of a column has to be asked: by aggregates in SQL, in one scan of the table.

SQLite does it in C and in bounded memory, so counts, ranges and lengths are exact however big the table is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.source.failure import is_about_the_file, message_of
from migrator.source.profile_model import STORAGE_CLASSES, ColumnProfile
from migrator.source.profile_sketch import ERROR, DistinctSketch
from migrator.source.relation import quote
from migrator.source.schema import Column, Table

# SQLite allows 2000 columns in a result, and each distinct count keeps a temporary index or a sketch of its column.
_COLUMNS_PER_SCAN = 40
_LENGTH, _SKETCH = "migrator_utf8_length", "migrator_distinct"
#: of the bytes of a text: 1 where they are none
INVALID_UTF8 = "migrator_is_invalid"


class Scan(Struct, frozen=True):
    connection: Connection
    table: Table
    columns: Sequence[Column]
    exact: bool  #: distinct values are counted on disk, not estimated


def count_rows(connection: Connection, table: Table) -> int:
    return int(connection.exec_driver_sql(f"SELECT count(*) {from_rows(table)}").scalar_one())


def scan_columns(scan: Scan) -> tuple[ColumnProfile, ...]:
    """What fails on its own data, as a generated column may, carries an `error` and leaves the others alone."""
    add_text_functions(scan.connection)
    profiles: list[ColumnProfile] = []
    for start in range(0, len(scan.columns), _COLUMNS_PER_SCAN):
        columns = scan.columns[start : start + _COLUMNS_PER_SCAN]
        try:
            profiles += _scan(scan, columns)
        except DBAPIError as error:
            if is_about_the_file(error) or message_of(error) == "interrupted":
                raise
            profiles += [_scan_alone(scan, column) for column in columns]
    return tuple(profiles)


def _scan_alone(scan: Scan, column: Column) -> ColumnProfile:
    try:
        return _scan(scan, [column])[0]
    except DBAPIError as error:
        if is_about_the_file(error) or message_of(error) == "interrupted":
            raise
        return ColumnProfile(column.name, error=message_of(error))


def _scan(scan: Scan, columns: Sequence[Column]) -> list[ColumnProfile]:
    measures = [measure for column in columns for measure in _measures(scan, column)]
    values = scan.connection.exec_driver_sql(f"SELECT {', '.join(measures)} {from_rows(scan.table)}").one()
    width = len(values) // len(columns)
    parts = (values[start : start + width] for start in range(0, len(values), width))
    return [_column_profile(c, part) for c, part in zip(columns, parts, strict=True)]


def from_rows(table: Table) -> str:
    # The rows themselves are counted, not the entries of an index. A key of unknown collation has only its own order.
    by_table = "" if table.without_rowid or table.kind in ("view", "virtual") else " NOT INDEXED"
    return f"FROM {quote(table.name)} AS src{by_table}"


def _measures(scan: Scan, column: Column) -> list[str]:
    name = f"src.{quote(column.name)}"
    # An explicit BINARY keeps the application's own collations, and indexes in their order, out of it.
    plain = f"{name} COLLATE BINARY"
    kind = f"typeof({name})"
    as_bytes = f"CAST({name} AS BLOB)"
    return [
        *(f"sum({kind} = '{storage_class.lower()}')" for storage_class in STORAGE_CLASSES),
        _distinct(scan, column),
        f"min({plain})",
        f"max({plain})",
        f"max(CASE {kind} WHEN 'blob' THEN length({name}) WHEN 'text' THEN {utf8_length(scan.connection, name)} END)",
        f"sum(CASE {kind} WHEN 'text' THEN {INVALID_UTF8}({as_bytes}) END)",
        f"sum({kind} = 'text' AND instr({name}, char(0)) > 0)",
        f"sum({kind} IN ('text', 'blob') AND length({as_bytes}) = 0)",
    ]


def utf8_length(connection: Connection, name: str) -> str:
    """SQL for the bytes of a text, which `add_text_functions` may have to supply."""
    function = "length" if connection.info[INVALID_UTF8] == "UTF-8" else _LENGTH
    return f"{function}(CAST({name} AS BLOB))"


def _distinct(scan: Scan, column: Column) -> str:
    """NULL where the schema already says that no two are equal."""
    name = f"src.{quote(column.name)}"
    if _is_unique(scan.table, column.name):
        return "NULL"
    if scan.exact:
        return f"count(DISTINCT {name} COLLATE BINARY)"
    parts = f"WHEN 'text' THEN CAST({name} AS BLOB) WHEN 'blob' THEN hex({name}) ELSE {name}"
    return f"{_SKETCH}(CASE typeof({name}) {parts} END)"


def _is_unique(table: Table, name: str) -> bool:
    if table.integer_primary_key == name:
        return True
    return any(index.unique and not index.partial and index.columns == (name,) for index in table.indexes)


def _column_profile(column: Column, values: Sequence[Any]) -> ColumnProfile:
    *counts, distinct, minimum, maximum, longest, invalid, with_nul, empty = values
    profile = ColumnProfile(
        column.name,
        tuple(count or 0 for count in counts),
        minimum=minimum,
        maximum=maximum,
        longest_bytes=longest or 0,
        invalid_utf8=invalid or 0,
        with_nul=with_nul or 0,
        empty=empty or 0,
    )
    present = sum(profile.counts) - profile.nulls
    if distinct is None:
        return replace(profile, distinct=present)
    estimated = isinstance(distinct, float)
    return replace(profile, distinct=min(round(distinct), present), distinct_error=ERROR if estimated else 0.0)


# ---- what SQLite lacks


def add_text_functions(connection: Connection) -> None:
    """Functions on the bytes of a text: its length as UTF-8, and whether it is none; and the sketch."""
    # Once only: SQLite refuses to replace a function that an open statement uses.
    if connection.info.get(INVALID_UTF8):
        return
    encoding = str(connection.exec_driver_sql("PRAGMA encoding").scalar_one())
    raw: Any = connection.connection.driver_connection
    raw.create_function(_LENGTH, 1, partial(_utf8_length, encoding), deterministic=True)
    raw.create_function(INVALID_UTF8, 1, partial(_is_invalid, encoding), deterministic=True)
    raw.create_aggregate(_SKETCH, 1, DistinctSketch)
    connection.info[INVALID_UTF8] = encoding


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
