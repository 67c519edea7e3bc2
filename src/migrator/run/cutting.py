"""A source cut as it was cut before, so that rows that come or go change the pages of their own range only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy.engine import Connection

from migrator.run.ledgerfile import PartRow
from migrator.source.ranges import count_rows, iter_ranges
from migrator.source.read import Range
from migrator.source.relation import Relation
from migrator.source.text import SqliteValue

#: A range that has grown to so many times its size is cut.
_GROWN = 2


def cut_again(
    connection: Connection, relation: Relation, parts: Sequence[PartRow], rows: int
) -> Iterator[tuple[Range, tuple[int, ...]]]:
    """Ranges of some `rows` rows, each with the parts of the ledger that have what was in it.

    Small neighbours are put together, and what has grown is cut.
    """
    low: tuple[SqliteValue, ...] | None = None
    together: list[PartRow] = []
    counted = 0
    for part in parts:
        begin = together[-1].high if together else low
        count = count_rows(connection, relation, Range(begin, part.high))
        if together and counted + count > rows:
            yield Range(low, begin), tuple(each.number for each in together)
            low, together, counted = begin, [], 0
        if count > _GROWN * rows:
            for piece in iter_ranges(connection, relation, rows, Range(low, part.high)):
                yield piece, (part.number,)
            low = part.high
        else:
            together.append(part)
            counted += count
    if together:
        yield Range(low, together[-1].high), tuple(each.number for each in together)
