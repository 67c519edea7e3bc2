"""What a run did, for a program (JSON) and for a person (text): one set of numbers behind both.

Status and exit code are computed from the numbers, here and nowhere else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator import __version__
from migrator.errors import MigratorError, StoppedError
from migrator.run.report_files import FileResult, files_json
from migrator.run.report_text import number, text_lines
from migrator.target.forecast import Forecast
from migrator.target.timeline import Timeline
from migrator.wholefile import whole_file

if TYPE_CHECKING:
    from migrator.run.verify_report import VerifyReport

#: The first that applies is the exit code of a command.
EXIT_CODES_BY_PRECEDENCE = (130, 143, 5, 2, 3, 4, 1, 0)

_TOTALS = ("read", "items", "written", "skipped", "unchanged", "deleted", "rejected", "failed", "write_units")
_STATUS_BY_EXIT_CODE = {0: "succeeded", 1: "completed_with_rejects", 130: "interrupted", 143: "interrupted"}


def first_exit_code(codes: Iterable[int]) -> int:
    """
    >>> first_exit_code([1, 3, 0]), first_exit_code([]), first_exit_code([3, 143])
    (3, 0, 143)
    """
    given = set(codes)
    return next((code for code in EXIT_CODES_BY_PRECEDENCE if code in given), 0)


@dataclass(frozen=True, slots=True)
class EntityResult:
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
    unsent: int = 0  #: rendered, but the run stopped before; for the accounts only
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
            "warnings": self.warnings,
            "bytes": self.bytes,
            "write_units": number(self.write_units),
            "duration_s": number(self.duration_s),
        }


@dataclass(frozen=True, slots=True)
class Requests:
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


@dataclass(frozen=True, slots=True)
class RunError:
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


@dataclass(frozen=True, slots=True)
class Retried:
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


@dataclass(frozen=True, slots=True)
class ViaFiles:
    """Of a run by way of files for an import."""

    place: str
    files: int = 0
    bytes: int = 0  #: as they are, compressed
    imports: Sequence[str] = ()  #: their ARNs

    def to_json(self) -> dict[str, Any]:
        return {"place": self.place, "files": self.files, "bytes": self.bytes, "imports": list(self.imports)}


@dataclass(frozen=True, slots=True)
class RunReport:
    """A whole run, its earlier parts included; or a retry of what one left."""

    run_id: str
    plan: str
    started_at: datetime  #: aware
    finished_at: datetime
    duration_s: float
    entities: Sequence[EntityResult]
    requests: Requests = field(default_factory=Requests)
    dry_run: bool = False
    resumed: bool = False
    sources: Sequence[FileResult] = ()
    schemas: Sequence[str] = ()  #: how those of the files differ, in words
    region: str | None = None
    endpoint_url: str | None = None
    tables: Sequence[str] = ()
    rejects: str | None = None  #: absolute path
    failed: str | None = None  #: absolute path
    error: RunError | None = None
    verification: VerifyReport | None = None  #: of the verification after the run, where the plan asks for one
    timeline: Timeline = field(default_factory=Timeline)
    forecast: Forecast | None = None  #: of a dry run: what the run would take and cost
    retry: Retried | None = None  #: of a retry
    incremental: str | None = None  #: how the run told what changed
    via: ViaFiles | None = None
    version: str = __version__

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing to go on with."""
        return self.error is None or self.error.ends_run

    @property
    def exit_code(self) -> int:
        incomplete = any(entity.rejected or entity.failed for entity in self.entities)
        incomplete = incomplete or any(file.error for file in self.sources)
        stopped = self.error.exit_code if self.error else 0
        verified = self.verification.exit_code if self.verification else 0
        return first_exit_code((int(incomplete), stopped, verified))

    @property
    def status(self) -> str:
        return _STATUS_BY_EXIT_CODE.get(self.exit_code, "failed")

    def totals(self) -> dict[str, int | float]:
        return {name: number(sum(getattr(entity, name) for entity in self.entities)) for name in _TOTALS}

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "version": self.version,
            "plan": self.plan,
            "status": self.status,
            "exit_code": self.exit_code,
            "dry_run": self.dry_run,
            "resumed": self.resumed,
            **({"incremental": self.incremental} if self.incremental else {}),
            "started_at": timestamp(self.started_at),
            "finished_at": timestamp(self.finished_at),
            "duration_s": number(self.duration_s),
            "source": files_json(self.sources),
            **({"schemas": list(self.schemas)} if self.schemas else {}),
            "target": {"region": self.region, "endpoint_url": self.endpoint_url, "tables": list(self.tables)},
            "entities": [entity.to_json() for entity in self.entities],
            "totals": self.totals(),
            "requests": self.requests.to_json(),
            "rejects": self.rejects,
            "failed": self.failed,
            "error": self.error.to_json() if self.error else None,
            **({"via": self.via.to_json()} if self.via else {}),
            **({"timeline": self.timeline.to_json()} if self.timeline.steps else {}),
            **({"forecast": self.forecast.to_json()} if self.forecast else {}),
            **({"verification": self.verification.to_json()} if self.verification else {}),
            **({"retry": self.retry.to_json()} if self.retry else {}),
        }

    def to_text(self) -> str:
        return "\n".join(text_lines(self))

    def write(self, path: str | Path) -> None:
        write_json(path, self.to_json())


def check_accounts(report: RunReport) -> None:
    """Every row read was rendered or rejected; every item was written, skipped, failed, or there as it is.

    Only a run that was stopped may have items that were never sent. Raises MigratorError, code `accounts`.
    """
    wrong = [line for entity in report.entities for line in _wrong_accounts(entity, stopped=report.error is not None)]
    if wrong:
        raise MigratorError(
            "the counts of this run do not add up, which is a bug in migrator:\n  " + "\n  ".join(wrong),
            code="accounts",
        )


def _wrong_accounts(entity: EntityResult, *, stopped: bool) -> Iterable[str]:
    rows = entity.rendered_rows + entity.rejected
    if rows != entity.read:
        yield f"{entity.entity}: {entity.read} rows read, {rows} rendered or rejected"
    settled = entity.written + entity.skipped + entity.failed + entity.unchanged
    items = settled + (entity.unsent if stopped else 0)
    if items != entity.items:
        yield f"{entity.entity}: {entity.items} items, {items} written, skipped, failed or unchanged"


def write_json(path: str | Path, document: dict[str, Any]) -> None:
    """Atomically: a reader meets the whole document or the one before. A StoppedError says what is in the way."""
    target = Path(path).absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as file:
            file.write(_encoded(document))
    except OSError as error:
        raise StoppedError(f"{target}: cannot be written: {error.strerror}", code="report_unwritable") from error


def _encoded(document: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
    except UnicodeEncodeError:  # a lone surrogate, from JSON in the source
        return (json.dumps(document, indent=2) + "\n").encode("ascii")


def timestamp(moment: datetime) -> str:
    """
    >>> timestamp(datetime(2026, 11, 21, 10, tzinfo=UTC))
    '2026-11-21T10:00:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
