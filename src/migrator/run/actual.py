"""What the tables hold, as digests on disk beside those of the rendered items (`run.digests`).

A page is kept as it came, in one piece. Rows are made of it only where items are looked up one by one.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from migrator.mapping.canonical import key_text, split_joined
from migrator.mapping.model import Attributes, TableDefinition
from migrator.mapping.wirejson import from_wire, to_base64, to_wire
from migrator.run.digests import DigestStore, disk_errors, transaction
from migrator.run.scan import ScanPage
from migrator.run.sums import Buckets, Point, Sums, is_in, sums_of

_TABLES = (
    "CREATE TABLE IF NOT EXISTS pages (tbl INTEGER, keys BLOB, digests BLOB)",
    "CREATE TABLE actual (tbl INTEGER, key TEXT, digest BLOB)",
    # `last` is the wire form of the key after which the scan of a segment goes on, NULL at its end.
    """CREATE TABLE IF NOT EXISTS scanned (tbl INTEGER, segment INTEGER, last TEXT, PRIMARY KEY (tbl, segment))
       WITHOUT ROWID""",
)


class ActualStore:
    """The items that were found in the tables, in the expected items' file: as pages, until they are spread out."""

    def __init__(self, expected: DigestStore) -> None:
        self._path = expected.path
        self._connection = expected.connection
        with disk_errors(self._path):
            for statement in _TABLES:
                self._connection.execute(statement)

    def add_page(self, table: int, page: ScanPage) -> None:
        """What was read, and how far, are one: no item is ever here twice, and none is passed over."""
        with disk_errors(self._path), transaction(self._connection):
            row = (table, orjson.dumps(page.keys, default=to_base64), b"".join(page.digests))
            self._connection.execute("INSERT INTO pages VALUES (?, ?, ?)", row)
            last = None if page.last is None else to_wire(page.last).decode()
            self._connection.execute("REPLACE INTO scanned VALUES (?, ?, ?)", (table, page.segment, last))

    def scanned(self, table: int) -> dict[int, Attributes | None]:
        """How far each segment of a table's scan was read, as `scan.scan_in_parallel` takes it."""
        query = "SELECT segment, last FROM scanned WHERE tbl = ?"
        with disk_errors(self._path):
            found = self._connection.execute(query, (table,)).fetchall()
        return {segment: None if last is None else from_wire(orjson.loads(last)) for segment, last in found}

    def sums_of(self, table: int, point: Point) -> Sums:
        """Of all that was read of a table."""
        with disk_errors(self._path):
            pages = self._connection.execute("SELECT digests FROM pages WHERE tbl = ?", (table,))
            return sums_of((digest for (digests,) in pages for digest in split_joined(digests)), point)

    def spread(self, number: int, table: TableDefinition, buckets: Buckets) -> None:
        """Make a row of each item in these buckets of the pages of a table."""
        with disk_errors(self._path), transaction(self._connection):
            for keys, digests in self._connection.execute("SELECT keys, digests FROM pages WHERE tbl = ?", (number,)):
                items = zip(orjson.loads(keys), split_joined(digests), strict=True)
                rows = ((key_text(key, table), digest) for key, digest in items if is_in(digest, buckets))
                self._connection.executemany(_found(number), rows)

    def add(self, table: int, found: Iterable[tuple[str, bytes]]) -> None:
        """`found`: key text and digest."""
        with disk_errors(self._path), transaction(self._connection):
            self._connection.executemany(_found(table), found)

    def index_keys(self) -> None:
        with disk_errors(self._path):
            self._connection.execute("CREATE INDEX IF NOT EXISTS actual_key ON actual (tbl, key)")


def _found(table: int) -> str:
    return f"INSERT INTO actual VALUES ({table:d}, ?, ?)"
