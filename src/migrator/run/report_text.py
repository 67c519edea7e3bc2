"""A run's report for a person: a line an entity, a total, and where to look further."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from migrator.run.aligned import aligned
from migrator.run.report_files import file_lines
from migrator.target.forecast import size_words

if TYPE_CHECKING:
    from migrator.run.report import RunReport
    from migrator.run.results import EntityResult, Retried

_COLUMNS = ("read", "items", "written", "skipped", "rejected", "failed", "warnings", "bytes", "write_units")
_INCREMENTAL_COLUMNS = ("read", "items", "written", "unchanged", "deleted", *_COLUMNS[3:])
_HEADINGS = {"write_units": "write units", "duration_s": "seconds"}
_DRY_HEADINGS = {**_HEADINGS, "written": "would write", "deleted": "would delete"}


def text_lines(report: RunReport) -> Iterable[str]:
    if report.retry and not report.retry.sought and not report.error:
        yield _nothing_to_retry(report.plan, report.retry)
        return
    resumed = ", resumed" if report.resumed else ""
    kind = "retry" if report.retry else "run"
    yield f"{kind} {report.run_id} of plan {report.plan}: {report.status.replace('_', ' ')}{resumed}"
    if report.dry_run:
        yield "dry run: nothing was written; the counts are what a run would do"
    yield ""
    yield from _table(report)
    yield ""
    yield from file_lines(report.sources, report.schemas)
    if report.forecast:
        yield from report.forecast.lines()
        yield ""
    yield from _notes(report)


def _notes(report: RunReport) -> Iterable[str]:
    """What else there is to know, and where to look."""
    if report.incremental and report.incremental != "hash":
        yield f"by {report.incremental}: rows that are gone are not seen, and their items stay"
    if report.via and report.via.files:
        yield f"files for an import: {report.via.files:,} of {size_words(report.via.bytes)} in {report.via.place}"
    if report.rejects and any(entity.rejected for entity in report.entities):
        yield f"rejected rows: {report.rejects}"
    if report.failed and any(entity.failed for entity in report.entities):
        yield f"failed items: {report.failed}"
    if unsent := report.totals()["unsent"]:
        yield f"not sent when the run stopped: {unsent:,} more items, which were rendered"
    if report.verification:
        yield report.verification.to_text()
    if report.retry and report.retry.run_id:
        yield _retry_text(report.retry)
    if report.error:
        yield f"stopped: {report.error.code}{' (running it again may help)' if report.error.retryable else ''}"


def _nothing_to_retry(plan: str, retry: Retried) -> str:
    if retry.run_id is None:
        return f"nothing to retry: no run of plan {plan} against this target has ended"
    return f"nothing to retry: run {retry.run_id} of plan {plan} left no rejected rows and no failed items"


def _retry_text(retry: Retried) -> str:
    """
    >>> from migrator.run.results import Retried
    >>> _retry_text(Retried("20261121T100000Z-1a2b3c", sought=5, closed=3, gone=1, left=2))
    'of run 20261121T100000Z-1a2b3c: 5 tried again, 3 closed (1 gone from the source), 2 left'
    """
    gone = f" ({retry.gone} gone from the source)" if retry.gone else ""
    return f"of run {retry.run_id}: {retry.sought} tried again, {retry.closed} closed{gone}, {retry.left} left"


def _table(report: RunReport) -> list[str]:
    headings = _DRY_HEADINGS if report.dry_run else _HEADINGS
    columns = _INCREMENTAL_COLUMNS if report.incremental else _COLUMNS
    heading = ["entity", *(headings.get(c, c) for c in columns), headings["duration_s"]]
    rows = [_row(entity.entity, [entity], entity.duration_s, columns) for entity in report.entities]
    return aligned([heading, *rows, _row("total", report.entities, report.duration_s, columns)])


def _row(name: str, entities: Sequence[EntityResult], duration_s: float, columns: Sequence[str]) -> list[str]:
    sums = (sum(getattr(entity, column) for entity in entities) for column in columns)
    return [name, *map(_cell, sums), f"{duration_s:.1f}"]


def _cell(value: float) -> str:
    return str(number(value))


def number(value: float) -> int | float:
    """Whole numbers without a fraction, others to the thousandth.

    >>> number(7.0), number(0.12345)
    (7, 0.123)
    """
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
