"""The commands on what past runs left: runs, retry."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from migrator.cli.follow import follow as follow_run
from migrator.cli.logs import log_options
from migrator.cli.options import local_option, opened_plan, plan_argument, report_file, report_option, show_progress
from migrator.cli.outcome import complain, show, show_result

_log = logging.getLogger("migrator.cli")


@click.command()
@plan_argument
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--follow", is_flag=True, help="Show how far the run is that is under way, until it has ended.")
@log_options
def runs(plan_path: Path, output_format: str, follow: bool) -> int:
    """List the past runs of a plan, newest first: their results and their reports.

    Dry runs and retries are among them. A run that was cut off is `unfinished`, and `migrator run` goes on with it. One
    that was taken back is `rolled back`; where that was cut off, it is `rollback unfinished`, and `migrator rollback`
    goes on with it. --follow only looks on: Ctrl-C ends the looking, and the exit code is 0 however the run ends.
    """
    from migrator.run.jsonfile import json_text
    from migrator.run.runs import past_runs

    with opened_plan(plan_path) as plan:
        if follow:
            follow_run(plan, as_json=output_format == "json")
            return 0
        past = past_runs(plan)
    for damage in past.damaged:
        _log.warning("%s", damage)
    show(json_text(past.to_json()) if output_format == "json" else past.to_text())
    return 0


@click.command()
@plan_argument
@click.option("--dry-run", is_flag=True, help="Do everything but send, and close nothing.")
@report_option
@local_option
@log_options
def retry(plan_path: Path, dry_run: bool, report: Path | None, local: bool) -> int:
    """Do the rejected rows and failed items of the last run again, and close those that now pass.

    Mend the rows, the mapping or the table first: rows are read and rendered anew. What fails again stays in the last
    run's files, with its new reason, for another retry (exit code 1).
    """
    from migrator.run.replay import retry_plan

    with opened_plan(plan_path, local=local) as plan:
        result = retry_plan(plan, dry_run=dry_run, progress=show_progress(), report_file=report_file(report))
    show_result(result, report)
    if result.error:
        complain(result.error.message, result.error.code, result.exit_code)
    return result.exit_code
