"""What a run did, for a program (JSON) and for a person (text): one set of numbers behind both.

Status and exit code are computed from the numbers, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from migrator import __version__
from migrator.errors import MigratorError
from migrator.run.jsonfile import timestamp, write_json
from migrator.run.report_files import FileResult, files_json
from migrator.run.report_text import number, text_lines
from migrator.run.results import EntityResult, Requests, Retried, RunError, ViaFiles
from migrator.target.forecast import Forecast
from migrator.target.timeline import Timeline

if TYPE_CHECKING:
    from migrator.run.verify_report import VerifyReport

#: The first that applies is the exit code of a command.
EXIT_CODES_BY_PRECEDENCE = (130, 143, 5, 2, 3, 4, 1, 0)

_TOTALS = ("read", "items", "written", "skipped", "unchanged", "deleted", "rejected", "failed", "unsent", "write_units")
_STATUS_BY_EXIT_CODE = {0: "succeeded", 1: "completed_with_rejects", 130: "interrupted", 143: "interrupted"}


def first_exit_code(codes: Iterable[int]) -> int:
    """
    >>> first_exit_code([1, 3, 0]), first_exit_code([]), first_exit_code([3, 143])
    (3, 0, 143)
    """
    given = set(codes)
    return next((code for code in EXIT_CODES_BY_PRECEDENCE if code in given), 0)


class RunReport(Struct, frozen=True):
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
    items = entity.written + entity.skipped + entity.failed + entity.unchanged
    if items != entity.items:
        yield f"{entity.entity}: {entity.items} items, {items} written, skipped, failed or unchanged"
    if entity.unsent and not stopped:
        yield f"{entity.entity}: {entity.unsent} items were not sent"
