"""`migrator rollback`: what a run wrote, taken back."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.cli.logs import log_options
from migrator.cli.options import local_option, opened_plan, plan_argument, report_file, report_option, show_progress
from migrator.cli.outcome import complain, show_result


@click.command()
@plan_argument
@click.option("--run", "run_id", metavar="RUN_ID", required=True, help="The run to take back, by the id of its report.")
@report_option
@local_option
@log_options
def rollback(plan_path: Path, run_id: str, report: Path | None, local: bool) -> int:
    """Take back what a run wrote: delete what it created, restore what it replaced.

    For runs with `settings: rollback: true`, and for any run that found its table empty and whose source and mapping
    are as they were. What somebody changed since is left alone and named (exit code 1). A run that was cut off and is
    taken back does not go on any more. A rollback that was cut off goes on when it is run again.
    """
    from migrator.run.rollback import roll_back

    with opened_plan(plan_path, local=local) as plan:
        result = roll_back(plan, run_id, progress=show_progress(), report_file=report_file(report))
    show_result(result, report)
    if result.error:
        complain(result.error.message, result.error.code, result.exit_code)
    return result.exit_code
