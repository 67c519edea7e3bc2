"""Add a segment's counts to its entity's: plain sums, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrator.run.rejects import FailedLine
from migrator.run.report import EntityResult, Requests
from migrator.run.segment import SegmentResult
from migrator.target.outcome import LATENCIES_KEPT, WriteResult


def book(entity: EntityResult, result: SegmentResult) -> EntityResult:
    """The entity's counts with the segment's."""
    write = result.write
    return replace(
        entity,
        read=entity.read + result.read,
        rendered_rows=entity.rendered_rows + result.rendered_rows,
        items=entity.items + result.items,
        written=entity.written + write.written,
        skipped=entity.skipped + result.skipped + write.skipped,
        rejected=entity.rejected + len(result.rejects),
        failed=entity.failed + len(write.failed),
        unsent=entity.unsent + write.unsent,
        warnings=entity.warnings + result.warnings,
        bytes=entity.bytes + write.bytes,
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
        latencies_ms=_thinned([*requests.latencies_ms, *write.latencies_ms]),
    )


def _thinned(latencies_ms: list[float]) -> list[float]:
    while len(latencies_ms) > LATENCIES_KEPT:
        latencies_ms = sorted(latencies_ms)[::2]
    return latencies_ms


def iter_failed_lines(entity: EntityResult, write: WriteResult) -> Iterator[FailedLine]:
    """The failed items of a segment as lines of the failed file."""
    for failed in write.failed:
        yield FailedLine(entity.entity, entity.table, failed.key, failed.attributes, failed.code, failed.message)
