"""What a run did, in numbers: by entity, by request, and what stopped it. `run.report` puts them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from migrator.errors import MigratorError
from migrator.run.report_text import number


class EntityResult(Struct, frozen=True):
    """`read` and `rejected` count source rows; `items`, `written`, `skipped` and `failed` count items."""

    entity: str
    table: str
    source: str | None  #: the exact name of the table or view, the entity's name for a query, None for fixed items
    read: int = 0
    rendered_rows: int = 0  #: for the accounts only
    items: int = 0
    written: int = 0
    skipped: int = 0
    unchanged: int = 0
    deleted: int = 0  #: items that no row gives any more; none of `items`
    rejected: int = 0
    failed: int = 0
    unsent: int = 0  #: items that were rendered, but the run stopped before; none of `items`
    warnings: int = 0
    bytes: int = 0
    index_entries: int = 0  #: with index_bytes, for a dry run's forecast only
    index_bytes: int = 0
    write_units: float = 0
    duration_s: float = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "table": self.table,
            "source": self.source,
            "read": self.read,
            "items": self.items,
            "written": self.written,
            "skipped": self.skipped,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "rejected": self.rejected,
            "failed": self.failed,
            "unsent": self.unsent,
            "warnings": self.warnings,
            "bytes": self.bytes,
            "write_units": number(self.write_units),
            "duration_s": number(self.duration_s),
        }


class Requests(Struct, frozen=True):
    """Requests to the target, and how long they took."""

    sent: int = 0
    retried: int = 0
    throttled: int = 0
    unprocessed_items: int = 0
    latencies_ms: Sequence[float] = ()  #: a sample of them

    def to_json(self) -> dict[str, Any]:
        return {
            "sent": self.sent,
            "retried": self.retried,
            "throttled": self.throttled,
            "unprocessed_items": self.unprocessed_items,
            "latency_ms": latency_summary(self.latencies_ms),
        }


def latency_summary(latencies_ms: Sequence[float]) -> dict[str, float | None]:
    """Mean and nearest-rank percentiles; null where nothing was sent.

    >>> latency_summary([1, 2, 3, 10])
    {'mean': 4, 'p50': 2, 'p99': 10}
    """
    if not latencies_ms:
        return {"mean": None, "p50": None, "p99": None}
    ordered = sorted(latencies_ms)
    rank = {p: ordered[max(0, math.ceil(len(ordered) * p / 100) - 1)] for p in (50, 99)}
    return {"mean": number(sum(ordered) / len(ordered)), "p50": number(rank[50]), "p99": number(rank[99])}


class RunError(Struct, frozen=True):
    """What stopped the run."""

    code: str
    message: str
    retryable: bool
    exit_code: int = 3
    ends_run: bool = False

    @classmethod
    def of(cls, error: MigratorError) -> RunError:
        return cls(error.code, str(error), error.retryable, error.exit_code, error.ends_run)

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


class Retried(Struct, frozen=True):
    """What a retry made of the dead letters of a run: rejected rows, rows of failed items, and failed fixed items."""

    run_id: str | None  #: the run's; None where there is none
    sought: int = 0
    closed: int = 0
    gone: int = 0  #: closed because the source has no such row any more
    left: int = 0  #: lines in the run's files now

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "sought": self.sought,
            "closed": self.closed,
            "gone": self.gone,
            "left": self.left,
        }


class ViaFiles(Struct, frozen=True):
    """Of a run by way of files for an import."""

    place: str
    files: int = 0
    bytes: int = 0  #: as they are, compressed
    imports: Sequence[str] = ()  #: their ARNs

    def to_json(self) -> dict[str, Any]:
        return {"place": self.place, "files": self.files, "bytes": self.bytes, "imports": list(self.imports)}
