"""The sums of the source's segments, in the file that a verification keeps, and the point that they are taken at."""

from __future__ import annotations

from migrator.run.digests import DigestStore, disk_errors, transaction
from migrator.run.sums import Point, SegmentSum, Sums, draw_point, joined, sums_from_bytes, sums_to_bytes

_TABLES = (
    # An integer of SQLite ends at 64 bits.
    "CREATE TABLE IF NOT EXISTS point (value TEXT)",
    """CREATE TABLE IF NOT EXISTS sums (
        segment INTEGER PRIMARY KEY, entity INTEGER, tbl INTEGER, items INTEGER, sums BLOB)""",
)


class SourceSums:
    """The sums of rendered segments, in the file that a verification keeps."""

    def __init__(self, store: DigestStore) -> None:
        self._path = store.path
        self._connection = store.connection
        with disk_errors(self._path), transaction(self._connection):
            for statement in _TABLES:
                self._connection.execute(statement)
        self.point = self._point()

    def _point(self) -> Point:
        with disk_errors(self._path):
            if found := self._connection.execute("SELECT value FROM point").fetchone():
                return Point(int(found[0]))
            point = draw_point()
            self._connection.execute("INSERT INTO point VALUES (?)", (str(point),))
        return point

    def done(self) -> set[int]:
        """The numbers of the segments whose sums are here."""
        with disk_errors(self._path):
            return {number for (number,) in self._connection.execute("SELECT segment FROM sums")}

    def add(self, one: SegmentSum) -> None:
        row = (one.number, one.entity, one.table, one.items, sums_to_bytes(one.sums))
        with disk_errors(self._path):
            self._connection.execute("INSERT INTO sums VALUES (?, ?, ?, ?, ?)", row)

    def counts(self) -> dict[int, int]:
        """Items of each entity."""
        with disk_errors(self._path):
            return dict(self._connection.execute("SELECT entity, sum(items) FROM sums GROUP BY entity"))

    def sums_of(self, table: int, point: Point) -> Sums:
        """Of all that the table is to hold. The point is the sums' own."""
        assert point == self.point
        with disk_errors(self._path):
            found = self._connection.execute("SELECT sums FROM sums WHERE tbl = ?", (table,))
            return joined(sums_from_bytes(sums) for (sums,) in found)
