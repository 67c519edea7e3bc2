"""What a worker is given, how it renders that, and what it hands back.

A Segment says all that a worker needs and pickles; a SegmentResult brings back counts, rejects and records.
Workers write no state: that is the coordinator's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from msgspec import Struct, field
from msgspec.structs import replace

from migrator.errors import RowRejected, SourceError
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import Attributes, Entity, Item, TableDefinition
from migrator.mapping.render import EntityRenderer, Rendered
from migrator.run.ledger import LedgerPart
from migrator.run.records import Records
from migrator.run.rejects import FailedLine, RejectLine, reject_line
from migrator.source.connection import connect
from migrator.source.read import WHOLE, Range, Read
from migrator.source.rows import Row, is_numbered, iter_rows
from migrator.source.snapshot import Snapshot, check_unchanged
from migrator.source.text import SqliteValue
from migrator.target.outcome import WriteResult


class Unit(Struct, frozen=True):
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
    proved: bool = False  #: the source's schema proves that no two of its items have one key


class Segment(Struct, frozen=True):
    """A range of one unit's rows; `number` counts over the whole run."""

    number: int
    unit: Unit
    part: Range = WHOLE
    done: int = 0  #: its first rows, which are done; `part` begins after them, unless its rows are only numbered
    only: frozenset[int] | None = None  #: nothing but these rows, by their places in `part`
    origins: tuple[int, ...] = ()  #: parts of the ledger that have what the last run left of these rows
    small: bool = False  #: all of a table in a small file: a worker takes several at a time

    def after(self, done: int, part: Range) -> Segment:
        """What is left of it when so many rows are done."""
        return replace(self, done=done, part=part)


class SegmentResult(Struct):
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
    unchanged: int = 0  #: items that the last run left as they are
    warnings: int = 0
    rejects: list[RejectLine] = field(default_factory=list)
    failed: list[FailedLine] = field(default_factory=list)
    records: Records = field(default_factory=Records)
    write: WriteResult = field(default_factory=WriteResult)
    duration_s: float = 0.0
    ledger: LedgerPart | None = None  #: of a run that keeps one, where the part is settled
    error: SourceError | None = None  #: what ended it early

    @property
    def done(self) -> int:
        """Rows of the segment that are done, this part's included."""
        return self.done_before + self.read

    @property
    def is_settled(self) -> bool:
        """Whether every row read is rejected, or its items written, skipped or failed for good."""
        return self.error is None and self.write.stopped is None and not self.write.unsent


class RowOutcome(Struct, frozen=True):
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
    with connect(unit.snapshot) as connection:
        rows = iter_rows(connection, unit.read, segment.part)
        skipped = segment.done if is_numbered(unit.read.relation) else 0
        for position, row in enumerate(islice(rows, skipped, None), segment.done):
            if segment.only is None or position in segment.only:
                yield RowOutcome(position, row, _render(renderer, unit, row))
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
    named = name_of_row(unit.read, row)
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


def name_of_row(read: Read, row: Row) -> dict[str, SqliteValue]:
    """The source key; of a row that has none, all that is read of it."""
    if read.relation.key:
        return dict(zip(read.relation.key, row.key, strict=True))
    return dict(zip(read.columns, row.values, strict=True))


def expires_at(attributes: Attributes, table: TableDefinition) -> int | None:
    """The item's time to live, epoch seconds."""
    value = attributes.get(table.time_to_live or "", {}).get("N")
    return int(float(value)) if value is not None else None
