"""What the columns really hold: storage classes, ranges, lengths, distinct and common values, formats.

SQLite's columns do not constrain their values, so every value is looked at, by aggregates in SQL in one scan
of the table. Text that is not UTF-8 is found too: it is what a later reader would have to reject. What takes
Python for each value comes from all rows of a small table and from a sample of a big one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.source.driver import time_limit
from migrator.source.failure import is_about_the_file, message_of, source_path, to_source_error
from migrator.source.profile_model import STORAGE_CLASSES, ColumnProfile, Skew, TableProfile
from migrator.source.profile_scan import Scan, count_rows, scan_columns
from migrator.source.profile_values import FormatOf, Sample, look_at_values
from migrator.source.schema import Table

__all__ = ["SAMPLE_ABOVE_ROWS", "STORAGE_CLASSES", "ColumnProfile", "Skew", "TableProfile", "profile_table"]

#: Tables of more rows are sampled, and their distinct values estimated.
SAMPLE_ABOVE_ROWS = 200_000
SAMPLE_ROWS = 100_000
_TOO_SLOW = "not profiled: reading it takes longer than {:g} s"


def no_format(_value: object) -> None:
    """Look for no formats."""


def profile_table(
    connection: Connection,
    table: Table,
    *,
    format_of: FormatOf = no_format,
    exact: bool = False,
    limit_s: float | None = None,
) -> TableProfile:
    """Look at every value of a table or view; `exact` also where that takes long and much temporary disk.

    What fails on its own data, as a generated column may, carries an `error`; a file that cannot be read raises
    SourceError. `limit_s` gives up on a view that takes too long.
    """
    if table.error:
        return TableProfile(table.name, None, error=table.error)
    raw: Any = connection.connection.driver_connection
    with time_limit(raw, limit_s) as is_over:
        try:
            return _profile(connection, table, format_of, exact)
        except DBAPIError as error:
            if is_about_the_file(error):
                raise to_source_error(error, source_path(connection)) from error
            return TableProfile(table.name, None, error=_TOO_SLOW.format(limit_s) if is_over() else message_of(error))


def _profile(connection: Connection, table: Table, format_of: FormatOf, exact: bool) -> TableProfile:
    rows = count_rows(connection, table)
    exact = exact or rows <= SAMPLE_ABOVE_ROWS
    columns = [column for column in table.columns if not column.hidden]
    scanned = scan_columns(Scan(connection, table, columns, exact))
    sample = Sample(rows, rows if exact else SAMPLE_ROWS)
    profiles, seen = look_at_values(connection, table, scanned, sample, format_of)
    return TableProfile(table.name, rows, profiles, sampled_rows=None if sample.is_all else seen)
