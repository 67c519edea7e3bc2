"""A segment written: its rows encoded, batch by batch, and handed to a sink.

This is the hot path of a run. Rows go from SQLite to the wire in two passes, one that encodes and one that sends.
"""

from __future__ import annotations

import gc
import math
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from itertools import accumulate

from migrator.errors import SourceError
from migrator.mapping.compile import EntityEncoder, compile_entity
from migrator.mapping.encoded import EncodedItem, EncodedRow, encode_item
from migrator.run.collisions import Loser
from migrator.run.comparing import Comparison
from migrator.run.failed import name_failed
from migrator.run.ledger import NAMELESS, row_name
from migrator.run.part_accounts import PartAccounts
from migrator.run.rows_left import iter_left
from migrator.run.segment import Segment, SegmentResult
from migrator.run.sinks import Sink, WriteOptions, open_sink
from migrator.run.worker import WORKER
from migrator.source.rows import RawRow, Row, rest_after
from migrator.source.snapshot import check_unchanged

#: Seconds of writing after which a worker hands back what it did, so that it can be recorded.
PART_S = 2.0
#: What was cut off may be cut off again soon: a resumed run records more often.
RESUMED_PART_S = 1.0
_MOST_PASSED_OVER = 15
#: Objects that are new, net of those that are gone: far more than two windows of items.
_COLLECT_EVERY = 200_000


def write_segment(
    segment: Segment, losers: Mapping[int, Loser], options: WriteOptions, reject_limit: int | None
) -> SegmentResult:
    """Encode and write (or, in a dry run, count) the segment.

    `losers` are the rows whose keys an earlier row has, by their place. Stops on the way after PART_S, when the run is
    stopped, or after more than `reject_limit` rejects.
    """
    started = time.monotonic()
    sink = open_sink(segment, options)
    with _few_collections(), ExitStack() as held:
        comparison = held.enter_context(closing(Comparison(segment, options.ledger))) if options.ledger else None
        result = _Part(segment, losers, sink, comparison, reject_limit).write(_part_s(options))
    if result.write.failed:
        name_failed(segment, losers, result)
    result.duration_s = time.monotonic() - started
    return result


def _part_s(options: WriteOptions) -> float:
    if not options.in_parts:
        return math.inf
    return min(PART_S, RESUMED_PART_S) if options.resumed else PART_S


@contextmanager
def _few_collections() -> Iterator[None]:
    """Rows and items are many and in no cycles: looking for some among them would take a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Part:
    """What is left of a segment, on its way to the sink until it is time to hand back what was done."""

    def __init__(
        self,
        segment: Segment,
        losers: Mapping[int, Loser],
        sink: Sink,
        comparison: Comparison | None,
        reject_limit: int | None,
    ) -> None:
        self._segment = segment
        self._unit = segment.unit
        self._losers = losers
        self._sink = sink
        self._comparison = comparison
        self._result = SegmentResult(segment.unit.number, segment.number, segment.done)
        self._accounts = PartAccounts(self._result, segment.unit, losers, comparison, self._row, reject_limit)
        self._passed_over = self._to_pass_over = 0  # batches that are not tried by columns

    def write(self, part_s: float) -> SegmentResult:
        try:
            if self._unit.entity is None:
                self._put_fixed_items()
            else:
                self._put_rows(part_s)
        except SourceError as error:
            # What was read before counts; the coordinator decides what it means for the run.
            self._result.error = error
        finally:
            self._close()
        return self._result

    def _close(self) -> None:
        if self._comparison:
            self._sink.put(self._comparison.rest())
        self._result.write = self._sink.close()
        if self._comparison:
            self._comparison.settle(self._result)

    def _put_fixed_items(self) -> None:
        """Fixed items come of no row; they are few, and written in one go."""
        for position, item in enumerate(self._unit.fixed):
            encoded = EncodedRow(((0, encode_item(item, self._unit.table)),))
            self._put(self._accounts.fixed(position, encoded), (), (1,))
        self._result.complete = True

    def _put_rows(self, part_s: float) -> None:
        started = time.monotonic()
        until: float | None = None
        last: RawRow | None = None
        for rows in iter_left(self._segment):
            now = time.monotonic()
            if until is None:
                # To find the place in numbered rows all before it are read: as long again goes into writing.
                until = now + max(part_s, now - started)
            if now > until or self._sink.is_full or WORKER.is_stopped():
                self._leave_rest(last)
                return
            taken = self._put_batch(rows)
            last = rows[taken - 1]
            if taken < len(rows) or self._accounts.has_too_many_rejects:
                self._leave_rest(last)
                return
        self._result.complete = True

    @cached_property
    def _encoder(self) -> EntityEncoder:
        unit = self._unit
        assert unit.entity is not None
        assert unit.read is not None
        return compile_entity(
            unit.entity, unit.read, unit.table, unit.context, validate=unit.validate, identities=not unit.proved
        )

    def _row(self, raw: RawRow) -> Row:
        return self._encoder.layout.row(raw)

    def _put_batch(self, rows: list[RawRow]) -> int:
        """How many of the rows were taken: all, unless one reject was too much."""
        if self._comparison:
            self._comparison.at(self._result.done)
        if not self._losers and (items := self._by_columns(rows)) is not None:
            self._accounts.by_columns(rows, items)
            self._put(items, rows)
            return len(rows)
        before = self._result.read
        outcomes = self._encoder.encode_rows(rows)
        encoded = [outcome for outcome in outcomes if isinstance(outcome, EncodedRow)]
        if self._losers or len(encoded) < len(outcomes):
            self._put(*self._accounts.judged(rows, outcomes))
        else:
            self._put(self._accounts.all_of(encoded), rows, [len(row.items) for row in encoded])
        return self._result.read - before

    def _put(self, items: Sequence[EncodedItem], rows: Sequence[RawRow], counts: Sequence[int] | None = None) -> None:
        """`counts`: how many of the items each of the rows gave; one, where nothing is said."""
        if self._comparison is None:
            self._sink.put(items)
            return
        ends = None if counts is None else list(accumulate(counts))
        self._sink.put(
            self._comparison.changed(items, lambda n: self._name(rows, n if ends is None else bisect_right(ends, n)))
        )

    def _name(self, rows: Sequence[RawRow], place: int) -> bytes:
        return row_name(self._encoder.layout.key_of(rows[place])) if rows else NAMELESS

    def _by_columns(self, rows: list[RawRow]) -> Sequence[EncodedItem] | None:
        """None where a row is odd. It is seldom alone: after each refusal twice as many batches are not tried."""
        if self._passed_over < self._to_pass_over:
            self._passed_over += 1
            return None
        items = self._encoder.encode_items(rows)
        self._passed_over = 0
        self._to_pass_over = min(2 * self._to_pass_over + 1, _MOST_PASSED_OVER) if items is None else 0
        return items

    def _leave_rest(self, last: RawRow | None) -> None:
        """Say where to go on. Raises SourceError where what was read is not the source as it was any more."""
        assert self._unit.read is not None
        assert self._unit.snapshot is not None
        check_unchanged(self._unit.snapshot)
        part = self._segment.part
        self._result.rest = part if last is None else rest_after(self._unit.read.relation, part, self._row(last))
