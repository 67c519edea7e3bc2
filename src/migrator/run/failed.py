"""The lines of the failed file: which row gave each item that the target would not take.

An item does not know its row, and on the way of the many that are taken nothing is kept for the few. So where items
failed, their segment is rendered once more.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from migrator.errors import SourceError
from migrator.mapping.encoded import identity
from migrator.mapping.render import Rendered
from migrator.run.collisions import Loser
from migrator.run.rejects import FailedLine, source_key_json
from migrator.run.segment import Segment, SegmentResult, Unit, iter_outcomes, name_of_row
from migrator.source.rows import Row
from migrator.target.outcome import FailedItem


def name_failed(segment: Segment, losers: Mapping[int, Loser], result: SegmentResult) -> None:
    """Put down the failed items of a result as lines. A source that cannot be read again ends the segment."""
    rows: dict[Hashable, Row] = {}
    wanted = {identity(item.key, segment.unit.table) for item in result.write.failed}
    try:
        for key, row in _iter_written(segment, losers) if segment.unit.entity else ():
            if key in wanted:
                rows[key] = row
            if len(rows) == len(wanted):
                break
    except SourceError as error:
        result.error = result.error or error
    result.failed = [_line(segment.unit, item, rows) for item in result.write.failed]


def _iter_written(segment: Segment, losers: Mapping[int, Loser]) -> Iterator[tuple[Hashable, Row]]:
    """The key of each item that was handed to the writer, and its row; `losers` go by the row's place among those."""
    for place, outcome in enumerate(iter_outcomes(segment), segment.done):
        loser = losers.get(place, Loser())
        if loser.reject is None and isinstance(outcome.result, Rendered):
            for position, item in outcome.result.items:
                if position not in loser.skipped:
                    yield identity(item.key, segment.unit.table), outcome.row


def _line(unit: Unit, item: FailedItem, rows: Mapping[Hashable, Row]) -> FailedLine:
    row = rows.get(identity(item.key, unit.table))
    return FailedLine(
        entity=unit.name,
        source=None if unit.entity is None else unit.source_name or unit.name,
        file=unit.snapshot.path if unit.snapshot else None,
        row=source_key_json(name_of_row(unit.read, row)) if row and unit.read else None,
        table=unit.table.name,
        key=item.key,
        item=item.attributes,
        code=item.code,
        message=item.message,
    )
