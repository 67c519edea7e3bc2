"""How large rows would be as items: every column an attribute under its own name.

SQLite adds it up for all rows, so that no item over the limit hides outside of a sample. Numbers are measured
by their digits, which is at most a few bytes off what `mapping.canonical` counts; keys made from templates come on top.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy.engine import Connection

from migrator.advise.model import ItemSizes
from migrator.advise.rows_of import RowsOf
from migrator.source.profile import TableProfile
from migrator.source.profile_scan import add_text_functions, utf8_length
from migrator.source.relation import balanced, quote
from migrator.source.schema import Table

_LARGER_THAN_P99 = 0.01


def measure_items(connection: Connection, table: Table, profile: TableProfile) -> ItemSizes | None:
    """None where there are no rows."""
    if not profile.rows:
        return None
    size = size_sql(connection, profile)
    histogram: Counter[int] = Counter()
    total, largest, p99, larger = 0, 0, None, 0
    sizes = f"SELECT {size} AS size, count(*) FROM {quote(table.name)} AS src GROUP BY 1 ORDER BY 1 DESC"
    for size_bytes, items in connection.exec_driver_sql(sizes):
        largest = max(largest, size_bytes)
        total += size_bytes * items
        larger += items
        if p99 is None and larger > profile.rows * _LARGER_THAN_P99:
            p99 = size_bytes
        histogram[1 << max(size_bytes - 1, 0).bit_length()] += items
    row = RowsOf(connection, table).examples(f"{size} = {largest}", limit=1)
    return ItemSizes(total / profile.rows, p99 or largest, largest, row[0], tuple(sorted(histogram.items())))


def size_sql(connection: Connection, profile: TableProfile) -> str:
    """The bytes of `src`'s row as an item; columns that cannot be read are left out."""
    add_text_functions(connection)
    columns = [_column_sql(connection, column.name) for column in profile.columns if not column.error]
    return balanced(columns or ["0"], "+")


def _column_sql(connection: Connection, column: str) -> str:
    name = f"src.{quote(column)}"
    name_bytes = len(column.encode("utf-8", "surrogatepass"))
    return (
        f"CASE typeof({name}) WHEN 'null' THEN 0 WHEN 'blob' THEN {name_bytes} + length({name})"
        f" WHEN 'text' THEN {name_bytes} + {utf8_length(connection, name)}"
        # a byte for two digits, and one for the exponent
        f" ELSE {name_bytes} + 1 + (length({name}) + 1) / 2 END"
    )
