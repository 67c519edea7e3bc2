"""How a run ended, as metrics and hooks are told of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from migrator.errors import MigratorError
from migrator.run.report import RunReport


class Ended(Struct, frozen=True):
    exit_code: int
    status: str  #: as in a report
    error: str | None  #: the code of what stopped it
    finished_at: datetime  #: aware
    report: RunReport | None = None
    path: Path | None = None  #: of the report, where there was room for it

    @classmethod
    def with_report(cls, report: RunReport, path: Path) -> Ended:
        error = report.error.code if report.error else None
        kept = path if path.exists() else None
        return cls(report.exit_code, report.status, error, report.finished_at, report, kept)

    @classmethod
    def without_report(cls, error: MigratorError) -> Ended:
        return cls(error.exit_code, "failed", error.code, datetime.now(UTC))
