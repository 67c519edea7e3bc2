"""What a worker is given, does and hands back.

A Segment says all that a worker needs and pickles; a SegmentResult brings back counts, rejects and records.
Workers write no state: that is the coordinator's. This is the one place where a row's rejection is caught.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, Protocol

from migrator.errors import RowRejected, SourceError
from migrator.mapping.canonical import digest, key_text
from migrator.mapping.model import Attributes, Entity, Item, TableDefinition
from migrator.mapping.render import EntityRenderer, RenderContext, Rendered
from migrator.run.collisions import Loser
from migrator.run.records import UNIQUE_RULES, ItemRecord, literal_in_full, shortened
from migrator.run.rejects import RejectLine, reject_line
from migrator.run.workers import WORKER
from migrator.source.rows import WHOLE, Range, Read, Row, is_numbered, iter_rows, rest_after
from migrator.source.snapshot import Snapshot, check_unchanged, connect, to_source_error
from migrator.target.outcome import WriteResult
from migrator.target.session import TargetSettings, create_client
from migrator.target.wire import write_units
from migrator.target.writer import Writer

#: Seconds of writing after which a worker hands back what it did, so that it can be recorded.
PART_S = 2.0


@dataclass(frozen=True, slots=True)
class Unit:
    """One entity over one source file, or (without `entity`) the fixed items of a mapping."""

    number: int  #: the entity's place in the order of duplicates
    name: str
    table_number: int
    table: TableDefinition
    context: RenderContext
    source_name: str | None = None  #: as the report names it
    snapshot: Snapshot | None = None
    entity: Entity | None = None
    read: Read | None = None
    fixed: tuple[Item, ...] = ()
    validate: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of one unit's rows; `number` counts over the whole run."""

    number: int
    unit: Unit
    part: Range = WHOLE
    done: int = 0  #: its first rows, which are done; `part` begins after them, unless its rows are only numbered

    def after(self, done: int, part: Range) -> Segment:
        """What is left of it when so many rows are done."""
        return replace(self, done=done, part=part)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a worker writes. `dry` renders, checks and counts, and sends nothing."""

    target: TargetSettings
    dry: bool
    on_existing: Literal["replace", "skip", "error"]
    batch_size: int
    max_attempts: int
    give_up_after_s: float
    write_rate: float | None  #: this worker's share
    resumed: bool = False  #: an earlier part of the run, cut off, may have written any of the items


@dataclass(slots=True)
class SegmentResult:
    """What became of a segment, or of the part of it that was reached before a stop."""

    unit_number: int
    number: int  #: the segment's
    done_before: int = 0
    complete: bool = False  #: it was reached to its end
    rest: Range | None = None  #: where it was not: what is left
    read: int = 0
    rendered_rows: int = 0
    items: int = 0
    skipped: int = 0  #: items equal to one that an earlier row gave
    warnings: int = 0
    rejects: list[RejectLine] = field(default_factory=list)
    records: list[ItemRecord] = field(default_factory=list)
    write: WriteResult = field(default_factory=WriteResult)
    duration_s: float = 0.0
    error: SourceError | None = None  #: what ended it early

    @property
    def done(self) -> int:
        """Rows of the segment that are done, this part's included."""
        return self.done_before + self.read

    @property
    def is_settled(self) -> bool:
        """Whether every row read is rejected, or its items written, skipped or failed for good."""
        return self.error is None and self.write.stopped is None and not self.write.unsent


class Sink(Protocol):
    """Where a segment's items go."""

    def put(self, item: Item, tag: Any) -> None: ...

    def close(self) -> WriteResult: ...


class CountingSink:
    """The dry run's sink: every item counts as one that would be written."""

    def __init__(self, table: TableDefinition) -> None:
        self._table = table
        self._result = WriteResult()

    def put(self, item: Item, tag: Any) -> None:
        self._result.written[tag] += 1
        self._result.bytes += item.size_bytes
        self._result.write_units += write_units(item, self._table)

    def close(self) -> WriteResult:
        return self._result


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """A row's place and what it became."""

    position: int
    row: Row
    result: Rendered | RejectLine


def iter_outcomes(segment: Segment) -> Iterator[RowOutcome]:
    """Render the segment's rows in order; what cannot become an item is a RejectLine.

    Raises SourceError where the file cannot be read, or changed meanwhile.
    """
    unit = segment.unit
    if unit.entity is None or unit.read is None or unit.snapshot is None:
        for position, item in enumerate(unit.fixed):
            yield RowOutcome(position, Row(()), Rendered([(0, item)]))
        return
    renderer = EntityRenderer(unit.entity, unit.read, unit.table, unit.context, validate=unit.validate)
    try:
        with connect(unit.snapshot) as connection:
            rows = iter_rows(connection, unit.read, segment.part)
            skipped = segment.done if is_numbered(unit.read.relation) else 0
            for position, row in enumerate(islice(rows, skipped, None), segment.done):
                yield RowOutcome(position, row, _render(renderer, unit, row))
    except sqlite3.Error as error:
        raise to_source_error(error, unit.snapshot.path) from error
    check_unchanged(unit.snapshot)


def _render(renderer: EntityRenderer, unit: Unit, row: Row) -> Rendered | RejectLine:
    try:
        return renderer.render(row)
    except RowRejected as reject:
        return reject_row(unit, row, reject)


def reject_row(unit: Unit, row: Row, reject: RowRejected) -> RejectLine:
    """The dead-letter line of a row."""
    assert unit.read is not None
    assert unit.snapshot is not None
    named = dict(zip(unit.read.relation.key, row.key, strict=True)) or dict(
        zip(unit.read.columns, row.values, strict=True)
    )
    values = dict(zip(unit.read.columns, row.values, strict=True)) | named
    return reject_line(
        entity=unit.name,
        source=unit.source_name or unit.name,
        file=unit.snapshot.path,
        key=named,
        reject=reject,
        value=values.get(reject.column or ""),
        has_value=reject.column in values,
    )


def prove_segment(segment: Segment) -> SegmentResult:
    """Render only, and bring back a record of each item: for collisions and for verification."""
    result = SegmentResult(segment.unit.number, segment.number)
    for outcome in iter_outcomes(segment):
        if WORKER.is_stopped():
            return result
        result.read += 1
        if isinstance(outcome.result, Rendered):
            result.records.extend(_item_records(segment, outcome, outcome.result))
            result.records.extend(_unique_records(segment, outcome))
    result.complete = True
    return result


def _item_records(segment: Segment, outcome: RowOutcome, rendered: Rendered) -> Iterator[ItemRecord]:
    table, number = segment.unit.table, segment.unit.table_number
    for position, item in rendered.items:
        key = key_text(item.attributes, table)
        expires = _expires(item.attributes, table)
        yield _record(segment, outcome, position, number, key, digest(item.attributes), expires)


def _record(
    segment: Segment,
    outcome: RowOutcome,
    item: int,
    table_number: int,
    key: str,
    digest: bytes,
    expires: int | None = None,
) -> ItemRecord:
    return ItemRecord(
        entity=segment.unit.number,
        segment=segment.number,
        row=outcome.position,
        item=item,
        table=table_number,
        key=key,
        digest=digest,
        expires=expires,
        source_key=outcome.row.key,
    )


def _unique_records(segment: Segment, outcome: RowOutcome) -> Iterator[ItemRecord]:
    """A value that a `unique` rule watches is a key that no two rows may give: each record differs from all others."""
    unit = segment.unit
    for place, rule in enumerate(unit.entity.rules if unit.entity and unit.read else ()):
        if rule.unique and rule.severity == "error":
            assert unit.read is not None
            value = outcome.row.values[unit.read.columns.index(rule.column)]
            if value is not None:
                # 1 and 1.0 are equal to SQLite, and so is what they are written as here.
                shown = literal_in_full(int(value) if isinstance(value, float) and value.is_integer() else value)
                exact = hashlib.sha256(shown.encode(errors="surrogatepass")).hexdigest()
                key = json.dumps([rule.column, shortened(shown), unit.number, exact])
                this_row = f"{segment.number} {outcome.position}".encode()
                yield _record(segment, outcome, -1 - place, UNIQUE_RULES, key, this_row)


def _expires(attributes: Attributes, table: TableDefinition) -> int | None:
    value = attributes.get(table.time_to_live or "", {}).get("N")
    return int(float(value)) if value is not None else None


def write_segment(
    segment: Segment, losers: Mapping[int, Loser], options: WriteOptions, reject_limit: int | None
) -> SegmentResult:
    """Render and write (or, in a dry run, count) the segment.

    `losers` are the rows whose keys an earlier row has. Stops on the way after PART_S, when the run is stopped, when
    the target refuses to go on, or after more than `reject_limit` rejects.
    """
    result = SegmentResult(segment.unit.number, segment.number, segment.done)
    started = time.monotonic()
    sink = _sink(segment.unit.table, options, WORKER.is_stopped)
    try:
        # A dry run records nothing, so it needs no parts.
        _put_rows(result, segment, losers, sink, reject_limit, part_s=math.inf if options.dry else PART_S)
    except SourceError as error:
        # What was read before counts; the coordinator decides what it means for the run.
        result.error = error
    finally:
        result.write = sink.close()
    result.duration_s = time.monotonic() - started
    return result


def _put_rows(
    result: SegmentResult,
    segment: Segment,
    losers: Mapping[int, Loser],
    sink: Sink,
    reject_limit: int | None,
    *,
    part_s: float,
) -> None:
    started = time.monotonic()
    until: float | None = None
    last: Row | None = None
    for outcome in iter_outcomes(segment):
        now = time.monotonic()
        if until is None:
            # To find the place in numbered rows all before it are read: as long again goes into writing.
            until = now + max(part_s, now - started)
        too_many = reject_limit is not None and len(result.rejects) > reject_limit
        # Fixed items are few, and have no row to go on from.
        if segment.unit.entity is not None and (now > until or too_many or WORKER.is_stopped()):
            _leave_rest(result, segment, last)
            return
        _account(result, segment, outcome, losers.get(outcome.position), sink)
        last = outcome.row
    result.complete = True


def _leave_rest(result: SegmentResult, segment: Segment, last: Row | None) -> None:
    """Say where to go on. Raises SourceError where what was read is not the source as it was any more."""
    unit = segment.unit
    assert unit.read is not None
    assert unit.snapshot is not None
    check_unchanged(unit.snapshot)
    result.rest = segment.part if last is None else rest_after(unit.read.relation, segment.part, last)


def _account(result: SegmentResult, segment: Segment, outcome: RowOutcome, loser: Loser | None, sink: Sink) -> None:
    # Fixed items come of no row.
    result.read += segment.unit.entity is not None
    rendered = outcome.result
    if isinstance(rendered, Rendered) and loser is not None and loser.reject is not None:
        rendered = reject_row(segment.unit, outcome.row, RowRejected(*loser.reject))
    if isinstance(rendered, RejectLine):
        result.rejects.append(rendered)
        return
    result.rendered_rows += segment.unit.entity is not None
    result.warnings += rendered.warnings
    result.items += len(rendered.items)
    for position, item in rendered.items:
        if loser is not None and position in loser.skipped:
            result.skipped += 1
        else:
            sink.put(item, segment.unit.name)


@lru_cache(maxsize=4)
def _client(settings: TargetSettings) -> Any:
    return create_client(settings)


def _sink(table: TableDefinition, options: WriteOptions, stop: Callable[[], bool]) -> Sink:
    if options.dry:
        return CountingSink(table)
    return Writer(
        _client(options.target),
        table,
        on_existing=options.on_existing,
        batch_size=options.batch_size,
        connections=options.target.connections,
        max_attempts=options.max_attempts,
        give_up_after_s=options.give_up_after_s,
        write_rate=options.write_rate,
        maybe_applied=options.resumed,
        stop=stop,
    )
