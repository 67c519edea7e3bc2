"""The rows of a segment that are still to be written, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from migrator.run.segment import Segment
from migrator.source.connection import connect
from migrator.source.rows import RawRow, is_numbered, iter_batches
from migrator.source.snapshot import check_unchanged


def iter_left(segment: Segment) -> Iterator[list[RawRow]]:
    """Raises SourceError where the file cannot be read, or changed meanwhile."""
    unit = segment.unit
    assert unit.read is not None
    assert unit.snapshot is not None
    skipped = segment.done if is_numbered(unit.read.relation) else 0
    with connect(unit.snapshot) as connection:
        batches = iter_batches(connection, unit.read, segment.part)
        for rows in batches if segment.only is None else _iter_picked(batches, segment.only):
            if left := rows[skipped:]:
                yield left
            skipped = max(0, skipped - len(rows))
    check_unchanged(unit.snapshot)


def _iter_picked(batches: Iterable[list[RawRow]], places: frozenset[int]) -> Iterator[list[RawRow]]:
    """Of all rows those at these places."""
    place = 0
    for rows in batches:
        if picked := [row for n, row in enumerate(rows, place) if n in places]:
            yield picked
        place += len(rows)
