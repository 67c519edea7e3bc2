"""Who is told how a run ended: files of metrics, then the plan's command.

What has no report is told, too: a plan that does not fit its source any more (exit code 2) is what a nightly job meets
first. A run that another one kept out (5) is not: it never began, and would hide what the other one tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrator.errors import LockHeldError, MigratorError
from migrator.run import hooks, metrics
from migrator.run.ended import Ended
from migrator.run.plan import Plan
from migrator.run.report import RunReport


class Ending:
    """Of a run under way: nothing yet."""

    def __init__(self) -> None:
        self.ended: Ended | None = None

    def report(self, report: RunReport, path: Path) -> None:
        self.ended = Ended.with_report(report, path)


@contextmanager
def told(plan: Plan, *, silent: bool) -> Iterator[Ending]:
    """Tell how what is done in here ended, unless `silent`. Raises UsageError where a library for that is missing."""
    ending = Ending()
    if silent:
        yield ending
        return
    plan.settings.metrics.require_extra()
    try:
        yield ending
    except MigratorError as error:
        ending.ended = Ended.without_report(error)
        raise
    finally:
        if ending.ended and ending.ended.exit_code != LockHeldError.exit_code:
            metrics.publish(plan, ending.ended)
            hooks.end(plan, ending.ended)
