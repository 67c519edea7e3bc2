"""The figures of a run that are worth watching, and where they go: a file for Prometheus, lines for CloudWatch.

Each figure is a line in a table, with its name in both worlds. Labels are the plan and its entities, which are few; run
ids, reject codes and keys would make a new series a night, and stand in the report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from migrator.run.ended import Ended
from migrator.run.plan import Plan
from migrator.run.report import RunReport

log = logging.getLogger(__name__)


class RunFigure(Struct, frozen=True):
    """A number of the whole run."""

    prometheus: str
    cloudwatch: str
    unit: Literal["Count", "Seconds"]  #: CloudWatch's word
    help: str
    value: Callable[[RunReport], float]


class EntityFigure(Struct, frozen=True):
    """A number of each entity; `count` is its name in an EntityResult and, where it is a result, in Prometheus."""

    prometheus: str
    cloudwatch: str
    unit: Literal["Count", "Bytes"]
    count: str
    is_result: bool = True


RUN_FIGURES = (
    RunFigure("migrator_run_duration_seconds", "Duration", "Seconds", "How long it took.", lambda r: r.duration_s),
    RunFigure("migrator_run_requests", "Requests", "Count", "Requests sent.", lambda r: r.requests.sent),
    RunFigure("migrator_run_retried_requests", "Retries", "Count", "Sent again.", lambda r: r.requests.retried),
    RunFigure("migrator_run_throttled_requests", "Throttles", "Count", "Throttled.", lambda r: r.requests.throttled),
)
ENTITY_FIGURES = (
    EntityFigure("migrator_run_rows", "RowsRead", "Count", "read"),
    EntityFigure("migrator_run_rows", "RowsRejected", "Count", "rejected"),
    EntityFigure("migrator_run_items", "ItemsWritten", "Count", "written"),
    EntityFigure("migrator_run_items", "ItemsUnchanged", "Count", "unchanged"),
    EntityFigure("migrator_run_items", "ItemsDeleted", "Count", "deleted"),
    EntityFigure("migrator_run_items", "ItemsSkipped", "Count", "skipped"),
    EntityFigure("migrator_run_items", "ItemsFailed", "Count", "failed"),
    EntityFigure("migrator_run_write_units", "WriteUnits", "Count", "write_units", is_result=False),
    EntityFigure("migrator_run_written_bytes", "WrittenBytes", "Bytes", "bytes", is_result=False),
)


def publish(plan: Plan, ended: Ended) -> None:
    """The libraries are imported only here: they take longer than a small run."""
    metrics = plan.settings.metrics
    try:
        if metrics.prometheus:
            from migrator.run.metrics_prometheus import write_textfile

            write_textfile(metrics.prometheus, plan.name, ended)
        if metrics.cloudwatch:
            from migrator.run.metrics_cloudwatch import write_events

            write_events(metrics.cloudwatch, plan.name, ended)
    except OSError as error:
        # Data and exit code are true without them.
        log.warning("settings.metrics: %s cannot be written: %s", error.filename or "standard error", error.strerror)
