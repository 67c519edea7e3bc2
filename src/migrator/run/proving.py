"""Rows rendered for their records or for their sum alone: collisions are found by them, and verifications compare them.

Items are encoded by the run's own generated function and read back from the wire: the plain renderer would take several
times as long, and this way what is compared is what was sent. A rejected row leaves no record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import compress, repeat
from typing import Any

import orjson
from msgspec import Struct

from migrator.mapping.canonical import digest, key_text, key_texts, wire_digest
from migrator.mapping.compile import EntityEncoder, compile_entity
from migrator.mapping.encoded import EncodedItems, EncodedRow, encode_item
from migrator.mapping.model import Attributes, Entity
from migrator.run.records import UNIQUE_RULES, ItemRecord, Records, literal_in_full, shortened
from migrator.run.segment import Segment, SegmentResult, Unit, expires_at
from migrator.run.sums import Buckets, Point, SegmentSum, add_to, is_in
from migrator.run.worker import WORKER
from migrator.source.connection import connect
from migrator.source.read import Read
from migrator.source.rows import RawRow, iter_batches, layout_of
from migrator.source.snapshot import check_unchanged
from migrator.source.text import SqliteValue


def prove_segment(segment: Segment, buckets: Buckets | None = None) -> SegmentResult:
    """Render a whole segment, and bring back a record of each item and of each value that a `unique` rule watches.

    Of some `buckets` alone where the keys are proved and nothing is watched.
    """
    result = SegmentResult(segment.unit.number, segment.number)
    unit = segment.unit
    if unit.entity is None or unit.read is None:
        for position, attributes in enumerate(_fixed(unit)):
            record = _item_record(segment, position, (), 0, attributes)
            if buckets is None or is_in(record.digest, buckets):
                result.records.append(record)
        result.read = len(unit.fixed)
        result.complete = True
        return result
    prover = _Prover(segment, unit.entity, unit.read, buckets)
    for rows in _iter_batches(segment, unit.read):
        prover.add(result.records, result.read, rows)
        result.read += len(rows)
    result.complete = not WORKER.is_stopped()
    return result


def sum_segment(segment: Segment, point: Point) -> SegmentSum:
    """Render a whole segment, and bring back the sum of its items alone."""
    unit = segment.unit
    result = SegmentSum(segment.number, unit.number, unit.table_number)
    if unit.entity is None or unit.read is None:
        _add(result, map(digest, _fixed(unit)), point)
        result.read = len(unit.fixed)
        result.complete = True
        return result
    prover = _Prover(segment, unit.entity, unit.read)
    for rows in _iter_batches(segment, unit.read):
        _add(result, prover.digests(rows), point)
        result.read += len(rows)
    result.complete = not WORKER.is_stopped()
    return result


def _add(result: SegmentSum, digests: Iterable[bytes], point: Point) -> None:
    found = list(digests)
    result.items += len(found)
    add_to(result.sums, found, point)


def _fixed(unit: Unit) -> Iterator[Attributes]:
    return (orjson.loads(encode_item(item, unit.table).wire) for item in unit.fixed)


def _iter_batches(segment: Segment, read: Read) -> Iterator[list[RawRow]]:
    """The segment's rows, or those before a stop."""
    assert segment.unit.snapshot is not None
    with connect(segment.unit.snapshot) as connection:
        for rows in iter_batches(connection, read, segment.part):
            if WORKER.is_stopped():
                return
            yield rows
    check_unchanged(segment.unit.snapshot)


class _Prover:
    """The encoder of a segment's entity, and what of its rows goes into their records."""

    def __init__(self, segment: Segment, entity: Entity, read: Read, buckets: Buckets | None = None) -> None:
        unit = segment.unit
        self._segment = segment
        self._encoder: EntityEncoder = compile_entity(
            entity, read, unit.table, unit.context, validate=unit.validate, canonical=True
        )
        self._key = layout_of(read).key
        self._buckets = buckets
        self._watched = tuple(_iter_watched(entity, read))

    def add(self, records: Records, before: int, rows: list[RawRow]) -> None:
        """The records of rows that come after so many others of the segment."""
        items = self._encoder.encode_items(rows)  # never of an entity with rules
        if items is not None:
            records.extend(self._columns(before, rows, items))
            return
        for record in self._row_by_row(before, rows):
            if self._buckets is None or is_in(record.digest, self._buckets):
                records.append(record)

    def digests(self, rows: list[RawRow]) -> Iterable[bytes]:
        """Those of the items that these rows give, and nothing of what `unique` rules watch."""
        items = self._encoder.encode_items(rows)
        if items is None:
            encoded = (row for row in self._encoder.encode_rows(rows) if isinstance(row, EncodedRow))
            return [digest(orjson.loads(item.wire)) for row in encoded for _, item in row.items]
        return self._digests(items)

    def _columns(self, before: int, rows: list[RawRow], items: EncodedItems) -> tuple[Iterable[Any], ...]:
        unit = self._segment.unit
        digests = list(self._digests(items))
        picked = partial(_picked, [is_in(one, self._buckets) for one in digests]) if self._buckets is not None else list
        positions = picked(range(before, before + len(rows)))
        count = len(positions)
        expires: Iterable[int | None] = repeat(None, count)
        if unit.table.time_to_live:
            expires = (expires_at(attributes, unit.table) for attributes in _parsed(picked(items.wires)))
        return (
            repeat(unit.number, count),
            repeat(self._segment.number, count),
            positions,
            repeat(0, count),
            repeat(unit.table_number, count),
            key_texts(picked(items.identities), unit.table),
            picked(digests),
            expires,
            [tuple([raw[place] for place in self._key]) for raw in picked(rows)],
        )

    def _digests(self, items: EncodedItems) -> Iterable[bytes]:
        return map(wire_digest, items.wires) if self._encoder.is_canonical else map(digest, _parsed(items.wires))

    def _row_by_row(self, before: int, rows: list[RawRow]) -> Iterator[ItemRecord]:
        for position, (raw, outcome) in enumerate(zip(rows, self._encoder.encode_rows(rows), strict=True), before):
            if not isinstance(outcome, EncodedRow):
                continue
            source_key = tuple([raw[place] for place in self._key])
            for place, item in outcome.items:
                yield _item_record(self._segment, position, source_key, place, orjson.loads(item.wire))
            if self._watched:
                values = self._encoder.layout.row(raw).values
                yield from _unique_records(self._segment, position, source_key, self._watched, values)


def _picked(wanted: Sequence[bool], column: Iterable[Any]) -> list[Any]:
    return list(compress(column, wanted))


def _parsed(wires: Iterable[bytes]) -> list[Attributes]:
    parsed: list[Attributes] = orjson.loads(b"[%b]" % b",".join(wires))
    return parsed


def _item_record(
    segment: Segment, position: int, source_key: tuple[SqliteValue, ...], place: int, attributes: Attributes
) -> ItemRecord:
    unit = segment.unit
    return ItemRecord(
        unit.number,
        segment.number,
        position,
        place,
        unit.table_number,
        key_text(attributes, unit.table),
        digest(attributes),
        expires_at(attributes, unit.table) if unit.table.time_to_live else None,
        source_key,
    )


class _Watched(Struct, frozen=True):
    """A column that a `unique` rule of severity error watches."""

    rule: int  #: its place among the entity's
    column: str
    place: int  #: among the values that are read


def _iter_watched(entity: Entity, read: Read) -> Iterator[_Watched]:
    for number, rule in enumerate(entity.rules):
        if rule.unique and rule.severity == "error":
            yield _Watched(number, rule.column, read.columns.index(rule.column))


def _unique_records(
    segment: Segment,
    position: int,
    source_key: tuple[SqliteValue, ...],
    watched: Sequence[_Watched],
    values: Sequence[SqliteValue],
) -> Iterator[ItemRecord]:
    """A watched value is a key that no two rows may give: each record differs from all others."""
    number = segment.unit.number
    this_row = f"{segment.number} {position}".encode()
    for each in watched:
        value = values[each.place]
        if value is not None:
            # 1 and 1.0 are equal to SQLite, and so is what they are written as here.
            shown = literal_in_full(int(value) if isinstance(value, float) and value.is_integer() else value)
            exact = hashlib.sha256(shown.encode(errors="surrogatepass")).hexdigest()
            key = json.dumps([each.column, shortened(shown), number, exact])
            place = -1 - each.rule
            yield ItemRecord(number, segment.number, position, place, UNIQUE_RULES, key, this_row, None, source_key)
