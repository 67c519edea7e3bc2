"""The rows of a table that a condition holds for: how many, and a few of them as a person finds them again."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.advise.model import RowKey
from migrator.source.failure import is_about_the_file
from migrator.source.relation import quote, table_relation
from migrator.source.schema import Table

EXAMPLES = 5
# SQLite allows 2000 columns in a result.
_COUNTS_AT_ONCE = 500


class RowsOf(Struct, frozen=True):
    """Conditions are SQL on the table under the name `src`."""

    connection: Connection
    table: Table

    def count_each(self, conditions: Sequence[str]) -> list[int]:
        """In one scan, however many the conditions are."""
        counts: list[int] = []
        for start in range(0, len(conditions), _COUNTS_AT_ONCE):
            sums = ", ".join(f"total({each})" for each in conditions[start : start + _COUNTS_AT_ONCE])
            counts += map(int, self.connection.exec_driver_sql(f"SELECT {sums} {self._from}").one())
        return counts

    def examples(self, condition: str, *, by_rowid: bool = False, limit: int = EXAMPLES) -> tuple[RowKey, ...]:
        """By their source key. Where the key itself is in question the rowid goes before it."""
        names = self._key(by_rowid)
        columns = ", ".join(f"src.{quote(name)}" for name in names) or "NULL"
        rows = self.connection.exec_driver_sql(f"SELECT {columns} {self._from} WHERE {condition} LIMIT {limit}")
        return tuple(tuple(zip(names, row[: len(names)], strict=True)) for row in rows)

    def sharing(self, by: str, *, where: str = "1", differing: str = "") -> tuple[int, tuple[RowKey, ...]]:
        """The rows that share all expressions of `by` with another row; NULL is equal to NULL.

        With `differing` only those groups in which that expression has more than one value.
        """
        low, high = (f"min({differing})", f"max({differing})") if differing else ("min(1)", "count(*)")
        groups = f"SELECT count(*) AS n {self._from} WHERE {where} GROUP BY {by} HAVING {high} > {low}"
        count = int(self.connection.exec_driver_sql(f"SELECT total(n) FROM ({groups})").scalar_one())
        return count, self._sharing_rows(f"{high} OVER w > {low} OVER w", by, where) if count else ()

    def _sharing_rows(self, is_shared: str, by: str, where: str) -> tuple[RowKey, ...]:
        names = self._key(by_rowid=True)
        columns = "".join(f", src.{quote(name)}" for name in names)
        marked = f"SELECT {is_shared} AS is_shared{columns} {self._from} WHERE {where} WINDOW w AS (PARTITION BY {by})"
        try:
            rows = self.connection.exec_driver_sql(f"SELECT * FROM ({marked}) WHERE is_shared LIMIT {EXAMPLES}")
            return tuple(tuple(zip(names, row[1:], strict=True)) for row in rows)
        except DBAPIError as error:
            if is_about_the_file(error):
                raise
            return ()  # a window asks for the collation of each column, which may be one of the application's own

    def _key(self, by_rowid: bool) -> tuple[str, ...]:
        table = self.table
        if by_rowid and table.rowid and table.rowid not in table.primary_key:
            return (table.rowid, *table.primary_key)
        return table_relation(table).key

    @property
    def _from(self) -> str:
        return f"FROM {quote(self.table.name)} AS src"
