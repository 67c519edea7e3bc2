"""Counts added up, of segments to those of their entities: plain sums, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from migrator.run.results import EntityResult, Requests
from migrator.run.segment import SegmentResult
from migrator.target.outcome import LATENCIES_KEPT, WriteResult

#: What is counted of an entity, and so of a part of a segment.
COUNTS = tuple(name for name, kind in EntityResult.__annotations__.items() if kind in ("int", "float"))


def counts_of(result: SegmentResult) -> dict[str, float]:
    """A part's counts by name."""
    counted = book(EntityResult("", "", None), result)
    return {name: getattr(counted, name) for name in COUNTS}


def add_counts(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """
    >>> add_counts({}, {name: 1 for name in COUNTS})["read"]
    1
    """
    return {name: one.get(name, 0) + other[name] for name in COUNTS}


def book_counts(entity: EntityResult, counts: Mapping[str, float]) -> EntityResult:
    """The entity's counts with those of a segment that an earlier part of the run recorded."""
    own: dict[str, float] = {name: getattr(entity, name) for name in COUNTS}
    return replace(entity, **add_counts(own, counts))


def book(entity: EntityResult, result: SegmentResult) -> EntityResult:
    """The entity's counts with the segment's."""
    write = result.write
    return replace(
        entity,
        read=entity.read + result.read,
        rendered_rows=entity.rendered_rows + result.rendered_rows,
        items=entity.items + result.items - write.unsent,
        written=entity.written + write.written,
        skipped=entity.skipped + result.skipped + write.skipped,
        unchanged=entity.unchanged + result.unchanged,
        rejected=entity.rejected + len(result.rejects),
        failed=entity.failed + len(write.failed),
        unsent=entity.unsent + write.unsent,
        warnings=entity.warnings + result.warnings,
        bytes=entity.bytes + write.bytes,
        index_entries=entity.index_entries + write.index_entries,
        index_bytes=entity.index_bytes + write.index_bytes,
        write_units=entity.write_units + write.write_units,
        duration_s=entity.duration_s + result.duration_s,
    )


def book_requests(requests: Requests, write: WriteResult) -> Requests:
    """The run's requests with a segment's. Of the latencies a bounded sample is kept."""
    return Requests(
        sent=requests.sent + write.requests_sent,
        retried=requests.retried + write.retried,
        throttled=requests.throttled + write.throttled,
        unprocessed_items=requests.unprocessed_items + write.unprocessed_items,
        latencies_ms=thinned([*requests.latencies_ms, *write.latencies_ms], LATENCIES_KEPT),
    )


def thinned(latencies_ms: Sequence[float], most: int) -> Sequence[float]:
    """Every other of them in their order of size, until there are so few: their quantiles stay."""
    while len(latencies_ms) > most:
        latencies_ms = sorted(latencies_ms)[::2]
    return latencies_ms
