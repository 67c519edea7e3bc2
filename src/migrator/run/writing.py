"""A segment written: its rows encoded, batch by batch, and handed to a writer; in a dry run, counted.

This is the hot path of a run. Rows go from SQLite to the wire in two passes, one that encodes and one that sends.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, Protocol

from migrator.errors import RowRejected, SourceError
from migrator.mapping.compile import EntityEncoder, Outcome, compile_entity
from migrator.mapping.encoded import EncodedItem, EncodedRow, encode_item, index_entry_sizes
from migrator.mapping.model import TableDefinition
from migrator.run.collisions import Loser
from migrator.run.failed import name_failed
from migrator.run.keeping import KeepingSink
from migrator.run.scan import get_items
from migrator.run.segment import Segment, SegmentResult, Unit, reject_row
from migrator.run.undo import part_file
from migrator.run.workers import WORKER
from migrator.source.rows import RawRow, is_numbered, iter_batches, rest_after
from migrator.source.snapshot import check_unchanged, connect
from migrator.target.backoff import RetryPolicy, ask
from migrator.target.endpoint import Endpoint
from migrator.target.outcome import WriteResult
from migrator.target.session import TargetSettings, create_client, open_session
from migrator.target.tablefound import describe
from migrator.target.transport import Transport
from migrator.target.writer import Writer

#: Seconds of writing after which a worker hands back what it did, so that it can be recorded.
PART_S = 2.0
#: What was cut off may be cut off again soon: a resumed run records more often, and has less under way when it does.
RESUMED_PART_S, RESUMED_WINDOW_S = 1.0, 0.25
#: Objects that are new, net of those that are gone: far more than two windows of items.
_COLLECT_EVERY = 200_000


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a worker writes. Without an endpoint it is a dry run, which sends nothing."""

    target: TargetSettings
    endpoint: Endpoint | None
    on_existing: Literal["replace", "skip", "error"]
    batch_size: int
    policy: RetryPolicy
    resumed: bool = False  #: an earlier part of the run, cut off, may have written any of the items
    in_parts: bool = True  #: hand back what was done every PART_S, so that it can be recorded
    undo: Path | None = None  #: the folder where what is replaced is kept first


class Sink(Protocol):
    """Where a segment's items go."""

    def put(self, items: Sequence[EncodedItem]) -> None: ...

    def close(self) -> WriteResult: ...


class CountingSink:
    """The dry run's sink: every item counts as one that would be written."""

    def __init__(self, table: TableDefinition) -> None:
        self._table = table
        self._result = WriteResult()

    def put(self, items: Sequence[EncodedItem]) -> None:
        self._result.written += len(items)
        self._result.bytes += sum([item.size_bytes for item in items])
        self._result.write_units += sum([item.write_units for item in items])
        entries = (
            [size for item in items for size in index_entry_sizes(item, self._table)] if self._table.indexes else []
        )
        self._result.index_entries += len(entries)
        self._result.index_bytes += sum(entries)

    def close(self) -> WriteResult:
        return self._result


def write_segment(
    segment: Segment, losers: Mapping[int, Loser], options: WriteOptions, reject_limit: int | None
) -> SegmentResult:
    """Encode and write (or, in a dry run, count) the segment.

    `losers` are the rows whose keys an earlier row has, by their place. Stops on the way after PART_S, when the run is
    stopped, or after more than `reject_limit` rejects.
    """
    result = SegmentResult(segment.unit.number, segment.number, segment.done)
    started = time.monotonic()
    with _few_collections():
        part_s = _part_s(options)
        _write(segment, losers, _sink(segment, options), reject_limit, result, part_s)
    if result.write.failed:
        name_failed(segment, losers, result)
    result.duration_s = time.monotonic() - started
    return result


def _part_s(options: WriteOptions) -> float:
    if not options.in_parts:
        return math.inf
    return min(PART_S, RESUMED_PART_S) if options.resumed else PART_S


def _write(
    segment: Segment,
    losers: Mapping[int, Loser],
    sink: Sink,
    reject_limit: int | None,
    result: SegmentResult,
    part_s: float,
) -> None:
    try:
        if segment.unit.entity is None:
            _put_fixed_items(segment.unit, losers, sink, result)
        else:
            _put_rows(segment, losers, sink, reject_limit, result, part_s)
    except SourceError as error:
        # What was read before counts; the coordinator decides what it means for the run.
        result.error = error
    finally:
        result.write = sink.close()


@contextmanager
def _few_collections() -> Iterator[None]:
    """Rows and items are many and in no cycles: looking for some among them would take a tenth of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _put_fixed_items(unit: Unit, losers: Mapping[int, Loser], sink: Sink, result: SegmentResult) -> None:
    """Fixed items come of no row; they are few, and written in one go."""
    for position, item in enumerate(unit.fixed):
        encoded = EncodedRow(((0, encode_item(item, unit.table)),))
        sink.put(_taken(result, encoded, losers.get(position)))
    result.complete = True


def _put_rows(
    segment: Segment,
    losers: Mapping[int, Loser],
    sink: Sink,
    reject_limit: int | None,
    result: SegmentResult,
    part_s: float,
) -> None:
    encoder = _encoder(segment.unit)
    started = time.monotonic()
    until: float | None = None
    last: RawRow | None = None
    for rows in _iter_batches(segment):
        now = time.monotonic()
        if until is None:
            # To find the place in numbered rows all before it are read: as long again goes into writing.
            until = now + max(part_s, now - started)
        if now > until or WORKER.is_stopped():
            _leave_rest(result, segment, encoder, last)
            return
        taken = _put_batch(segment.unit, encoder, rows, losers, sink, reject_limit, result)
        last = rows[taken - 1]
        if taken < len(rows) or _too_many(result, reject_limit):
            _leave_rest(result, segment, encoder, last)
            return
    result.complete = True


def _put_batch(
    unit: Unit,
    encoder: EntityEncoder,
    rows: list[RawRow],
    losers: Mapping[int, Loser],
    sink: Sink,
    reject_limit: int | None,
    result: SegmentResult,
) -> int:
    """How many of the rows were taken: all, unless one reject was too much."""
    if not losers and (items := encoder.encode_items(rows)) is not None:
        result.read += len(rows)
        result.rendered_rows += len(rows)
        result.items += len(items)
        sink.put(items)
        return len(rows)
    before = result.read
    outcomes = encoder.encode_rows(rows)
    encoded = [outcome for outcome in outcomes if isinstance(outcome, EncodedRow)]
    if losers or len(encoded) < len(outcomes):
        sink.put(_judged(result, unit, encoder, zip(rows, outcomes, strict=True), losers, reject_limit))
    else:
        sink.put(_all_of(result, encoded))
    return result.read - before


def _too_many(result: SegmentResult, reject_limit: int | None) -> bool:
    return reject_limit is not None and len(result.rejects) > reject_limit


def _leave_rest(result: SegmentResult, segment: Segment, encoder: EntityEncoder, last: RawRow | None) -> None:
    """Say where to go on. Raises SourceError where what was read is not the source as it was any more."""
    unit = segment.unit
    assert unit.read is not None
    assert unit.snapshot is not None
    check_unchanged(unit.snapshot)
    part = segment.part
    result.rest = part if last is None else rest_after(unit.read.relation, part, encoder.row(last))


def _all_of(result: SegmentResult, encoded_rows: list[EncodedRow]) -> list[EncodedItem]:
    """The items of rows that nothing is to be said of, which is nearly all of them."""
    items = [item for encoded in encoded_rows for _, item in encoded.items]
    result.read += len(encoded_rows)
    result.rendered_rows += len(encoded_rows)
    result.warnings += sum([encoded.warnings for encoded in encoded_rows])
    result.items += len(items)
    return items


def _judged(
    result: SegmentResult,
    unit: Unit,
    encoder: EntityEncoder,
    outcomes: Iterable[tuple[RawRow, Outcome]],
    losers: Mapping[int, Loser],
    reject_limit: int | None,
) -> list[EncodedItem]:
    """The items of rows some of which are rejected or lose a key; up to the reject that is too much."""
    items: list[EncodedItem] = []
    for row, outcome in outcomes:
        loser = losers.get(result.done)
        result.read += 1
        settled = outcome if loser is None else _without_lost_key(outcome, loser)
        if isinstance(settled, EncodedRow):
            result.rendered_rows += 1
            items.extend(_taken(result, settled, loser))
            continue
        result.rejects.append(reject_row(unit, encoder.row(row), settled))
        if _too_many(result, reject_limit):
            break
    return items


def _without_lost_key(outcome: Outcome, loser: Loser) -> Outcome:
    if loser.reject is None or isinstance(outcome, RowRejected):
        return outcome
    return RowRejected(*loser.reject)


def _taken(result: SegmentResult, encoded: EncodedRow, loser: Loser | None) -> list[EncodedItem]:
    """The row's items but those whose key an equal item has."""
    skipped = loser.skipped if loser else ()
    items = [item for position, item in encoded.items if position not in skipped]
    result.warnings += encoded.warnings
    result.items += len(encoded.items)
    result.skipped += len(encoded.items) - len(items)
    return items


def _iter_batches(segment: Segment) -> Iterator[list[RawRow]]:
    """The rows that are left of it. Raises SourceError where the file cannot be read, or changed meanwhile."""
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


def _encoder(unit: Unit) -> EntityEncoder:
    assert unit.entity is not None
    assert unit.read is not None
    return compile_entity(
        unit.entity, unit.read, unit.table, unit.context, validate=unit.validate, identities=not unit.proved
    )


def _sink(segment: Segment, options: WriteOptions) -> Sink:
    table = segment.unit.table
    if options.endpoint is None:
        return CountingSink(table)
    writer = _writer(segment.unit, options, options.endpoint)
    if options.undo is None:
        return writer
    asking = partial(ask, policy=options.policy, stop=WORKER.is_stopped)
    return KeepingSink(
        writer,
        table,
        part_file(options.undo, segment.number, segment.done),
        lambda keys: get_items(_client(options.target), table, keys, asking),
        replaces=options.on_existing == "replace",
    )


def _writer(unit: Unit, options: WriteOptions, endpoint: Endpoint) -> Writer:
    table = unit.table
    return Writer(
        _transport(endpoint, options.target),
        table,
        describe=lambda: describe(_client(options.target), table.name),
        governor=WORKER.governors.get(table.name),
        on_existing=options.on_existing,
        batch_size=options.batch_size,
        policy=options.policy,
        maybe_applied=options.resumed,
        distinct=unit.proved,
        window_s=RESUMED_WINDOW_S if options.resumed else None,
        stop=WORKER.is_stopped,
    )


@lru_cache(maxsize=1)
def _client(target: TargetSettings) -> Any:
    """Made only where something is to be asked that is not written."""
    return create_client(target)


@lru_cache(maxsize=1)
def _transport(endpoint: Endpoint, target: TargetSettings) -> Transport:
    """One for all segments of a worker, so that connections are kept."""
    return Transport(endpoint, open_session(target).get_credentials())
