"""How a run or a retry ends: what stopped it, and what its report says of its place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrator.errors import InterruptedRun, MigratorError, StoppedError
from migrator.run.fitting import schema_lines
from migrator.run.history import RunFolder, endpoint_of_environment
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.run.report import RunReport
from migrator.run.results import RunError
from migrator.run.stopping import StopSignal

log = logging.getLogger(__name__)


def stopped_by(work: Callable[[], None], stop: StopSignal) -> MigratorError | None:
    """Do the work; gives what stopped it. Raises UsageError: it is told, and not reported."""
    error: MigratorError | None = None
    try:
        work()
    except MigratorError as raised:
        if raised.exit_code == 2:
            raise
        error = raised
    except BrokenExecutor as broken:
        error = StoppedError(
            f"a worker process died: {broken}\n"
            "  It may have been killed for its memory: lower settings.parallelism, and run again.",
            code="worker_died",
            retryable=True,
        )
    return InterruptedRun(stop.signal_number) if stop.signal_number else error


def report_of(
    plan: Plan, folder: RunFolder, opened: OpenRun | None, error: MigratorError | None, **counted: Any
) -> RunReport:
    """The report: `counted` are its other fields. Without `opened` it came to nothing before the sources were open."""
    if error is not None:
        log.debug("the run has stopped", exc_info=error)
    target = plan.target
    return RunReport(
        run_id=folder.run_id,
        plan=plan.name,
        finished_at=datetime.now(UTC),
        schemas=schema_lines(opened.files) if opened else [],
        region=opened.client().meta.region_name if opened and opened.has_client else target.region,
        endpoint_url=target.endpoint_url or endpoint_of_environment(),
        tables=list(dict.fromkeys(mapping.table.name for mapping in plan.mappings)),
        rejects=str(folder.rejects),
        failed=str(folder.failed),
        error=RunError.of(error) if error else None,
        **counted,
    )


def write_reports(report: RunReport, paths: Iterable[Path]) -> None:
    """Of a run that was stopped already, its own reason is told, also where a disk is too full to keep the report."""
    for path in paths:
        try:
            report.write(path)
        except StoppedError as error:
            if report.error is None:
                raise
            log.warning("%s", error)
