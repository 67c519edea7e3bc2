"""The commands on files and plans: analyze, check, run, verify, local."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.cli.logs import log_options
from migrator.cli.options import (
    STANDARD_OUTPUT,
    cluster_option,
    entity_option,
    file_option,
    local_option,
    opened_plan,
    output_option,
    plan_argument,
    prices_option,
    report_file,
    report_option,
    require_entities,
    show_progress,
)
from migrator.cli.outcome import complain, show, show_or_save, show_result
from migrator.errors import UsageError

if TYPE_CHECKING:
    from migrator.advise.model import Analysis


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json", "html"]), default="text", show_default=True
)
@output_option
@click.option(
    "--exact", is_flag=True, help="Look at every row: tables of more than 200,000 rows are sampled otherwise."
)
@click.option("--no-values", is_flag=True, help="Leave out what rows hold: names, counts, shares and sizes stay.")
@prices_option
@log_options
def analyze(
    source: Path, output_format: str, output: Path | None, exact: bool, no_values: bool, prices_file: Path | None
) -> int:
    """Report what a SQLite file really holds, and what a migration would stumble over.

    Schema, keys, relationships, row counts; from the values of each column: storage classes, NULLs, distinct and
    common values, formats, smallest, largest and longest; the sizes of items; and hazards, with the rows and the way
    out. Then a design that takes every row, and a forecast of what it would cost. Never writes to SOURCE.

    As html it is one page, with pictures, that needs neither network nor scripts.
    """
    from migrator.advise import analysis
    from migrator.advise.discreet import without_values
    from migrator.advise.outlook import region_of
    from migrator.target.prices import load_prices

    as_format = _analysis_format(output_format)
    found = analysis.analyze(
        source,
        exact=exact,
        progress=show_progress(),
        prices=load_prices(prices_file),
        region=region_of(os.environ),
    )
    show_or_save(as_format(without_values(found) if no_values else found), output)
    return 0


def _analysis_format(output_format: str) -> Callable[[Analysis], str]:
    """How to write the analysis. What an extra has to bring is missed before the work, not after."""
    from migrator.advise import analysis

    if output_format == "html":
        from migrator.advise.page import require_page

        require_page()
        from migrator.advise.page_analysis import to_html

        return to_html
    if output_format == "json":
        from migrator.run.jsonfile import json_text

        return lambda found: json_text(analysis.to_json(found))
    return analysis.to_text


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
@report_option
@file_option("--html", "page", help="Also write the report as a page, with pictures, to FILE.")
@click.option("--no-values", is_flag=True, help="Leave keys and values of rejected rows out of the page.")
@prices_option
@click.option("--summary", is_flag=True, help="Print one line, for a scheduler's mail, instead of a line an entity.")
@click.option("--restart", is_flag=True, help="Give a run that was cut off up, and begin afresh.")
@click.option(
    "--via",
    metavar="DIR|s3://BUCKET/PREFIX",
    help="Write files for an import instead of sending items; in a bucket, also import them into a new table.",
)
@cluster_option
@local_option
@log_options
def run(
    plan_path: Path,
    dry_run: bool,
    entities: tuple[str, ...],
    report: Path | None,
    page: Path | None,
    no_values: bool,
    prices_file: Path | None,
    summary: bool,
    restart: bool,
    via: str | None,
    cluster: str | None,
    local: bool,
) -> int:
    """Run a migration. One that was cut off goes on where it was.

    Rows that cannot become items are rejected, one by one, into a file that the report names; the others are written.
    A run does not go on with another source, mapping or table than it began with: put them back, or use --restart.
    """
    from migrator.run.engine import run_plan
    from migrator.run.summary import summary_line
    from migrator.target.prices import load_prices

    if no_values and not page:
        raise UsageError("--no-values is about the page, so it needs --html FILE")
    if STANDARD_OUTPUT in (page, report if summary else None):
        asked = "--html -" if page == STANDARD_OUTPUT else "--report - beside --summary"
        raise UsageError(f"{asked}: standard output has the result already; name a file")
    if via and local:
        raise UsageError("--via and --local exclude each other: --via DIR writes files without any target")
    if page:
        from migrator.advise.page import require_page

        require_page()
    prices = load_prices(prices_file)
    with opened_plan(plan_path, local=local, cluster=cluster) as plan:
        require_entities(plan, entities)
        result = run_plan(
            plan.by_way_of(via),
            dry_run=dry_run,
            entities=entities,
            restart=restart,
            progress=show_progress(),
            report_file=report_file(report),
            prices=prices,
        )
    if summary:
        show(summary_line(result.to_json()))
    else:
        show_result(result, report)
    if page:
        from migrator.advise.page_run import to_html

        show_or_save(to_html(result, values=not no_values), page)
    if result.error:
        complain(result.error.message, result.error.code, result.exit_code)
    return result.exit_code


@click.command()
@plan_argument
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Compare only N items of each entity.")
@entity_option
@report_option
@click.option("--restart", is_flag=True, help="Give a verification that was cut off up, and begin afresh.")
@cluster_option
@local_option
@log_options
def verify(
    plan_path: Path,
    sample: int | None,
    entities: tuple[str, ...],
    report: Path | None,
    restart: bool,
    cluster: str | None,
    local: bool,
) -> int:
    """Render every source row again and compare it with the table, both ways. One that was cut off goes on.

    Reports items that are missing, extra or different. Then asks the mapping's access patterns of table and source,
    and tells which of them agree. Exit code 4 means that there are differences, or that a pattern does not agree.
    """
    from migrator.run.verify import verify_plan

    with opened_plan(plan_path, local=local, cluster=cluster) as plan:
        require_entities(plan, entities)
        result = verify_plan(
            plan,
            entities=entities,
            sample=sample,
            restart=restart,
            progress=show_progress(),
            report_file=report_file(report),
        )
    show_result(result, report)
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
