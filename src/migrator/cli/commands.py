"""The commands on files and plans: analyze, check, run, verify, local."""

from __future__ import annotations

import json
from pathlib import Path

import click

from migrator.cli.logs import log_options
from migrator.cli.options import (
    entity_option,
    file_option,
    local_option,
    opened_plan,
    plan_argument,
    require_entities,
    show_progress,
)
from migrator.cli.outcome import complain, show, show_or_save


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@file_option("-o", "--output", "output", help="Write the result to FILE instead of standard output.")
@log_options
def analyze(source: Path, output_format: str, output: Path | None) -> int:
    """Report what a SQLite file really holds.

    Schema, keys, relationships, row counts, and from the values of each column: storage classes, NULLs, distinct
    values, smallest, largest and longest. Never writes to SOURCE.
    """
    from migrator.advise import analysis

    found = analysis.analyze(source)
    if output_format == "json":
        show_or_save(json.dumps(analysis.to_json(found), ensure_ascii=False, indent=2), output)
    else:
        show_or_save(analysis.to_text(found), output)
    return 0


@click.command()
@plan_argument
@local_option
@log_options
def check(plan_path: Path, local: bool) -> int:
    """Check a plan and its mappings against the source's schema and the target table.

    No row is read and nothing is written. Exit code 4 means that a table differs from its definition.
    """
    from migrator.run.checks import check_plan

    with opened_plan(plan_path, local=local) as plan:
        report = check_plan(plan)
    show(report.to_text())
    return report.exit_code


@click.command()
@plan_argument
@click.option(
    "--dry-run", is_flag=True, help="Do everything but send: render and validate every row, find collisions, forecast."
)
@entity_option
@file_option("--report", help="Also write the report, as JSON, to FILE.")
@click.option("--restart", is_flag=True, help="Give a run that was cut off up, and begin afresh.")
@local_option
@log_options
def run(
    plan_path: Path, dry_run: bool, entities: tuple[str, ...], report: Path | None, restart: bool, local: bool
) -> int:
    """Run a migration. One that was cut off goes on where it was.

    Rows that cannot become items are rejected, one by one, into a file that the report names; the others are written.
    A run does not go on with another source, mapping or table than it began with: put them back, or use --restart.
    """
    from migrator.run.engine import run_plan

    with opened_plan(plan_path, local=local) as plan:
        require_entities(plan, entities)
        result = run_plan(
            plan,
            dry_run=dry_run,
            entities=entities,
            restart=restart,
            progress=show_progress(),
            report_file=report,
        )
    show(result.to_text())
    if result.error:
        complain(result.error.message, result.error.code, result.exit_code)
    return result.exit_code


@click.command()
@plan_argument
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Compare only N items of each entity.")
@entity_option
@file_option("--report", help="Also write the differences, as JSON, to FILE.")
@local_option
@log_options
def verify(plan_path: Path, sample: int | None, entities: tuple[str, ...], report: Path | None, local: bool) -> int:
    """Render every source row again and compare it with the table, both ways.

    Reports items that are missing, extra or different. Then asks the mapping's access patterns of table and source,
    and tells which of them agree. Exit code 4 means that there are differences, or that a pattern does not agree.
    """
    from migrator.run.verify import verify_plan

    with opened_plan(plan_path, local=local) as plan:
        require_entities(plan, entities)
        result = verify_plan(plan, entities=entities, sample=sample, progress=show_progress(), report_file=report)
    show(result.to_text())
    return result.exit_code


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    metavar="N",
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".migrator"),
    show_default=True,
    metavar="DIR",
    help="Where the tables are kept from one start to the next.",
)
@log_options
def local(port: int, state_dir: Path) -> int:
    """Serve an embedded DynamoDB to try things on, until interrupted.

    Prints its address. While it runs, --local of the other commands uses it.
    """
    from migrator.target.embedded import serve

    serve(port, state_dir, on_ready=show)
    return 0
