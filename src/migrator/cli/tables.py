"""`migrator table`: the target tables, from the mappings' `table:` blocks."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrator.cli.logs import log_options
from migrator.cli.options import local_option, opened_plan, output_option, plan_argument, show_progress
from migrator.cli.outcome import show, show_or_save
from migrator.errors import UsageError

if TYPE_CHECKING:
    from migrator.mapping.model import TableDefinition
    from migrator.run.plan import Plan
    from migrator.target.tablecheck import Inspection

_log = logging.getLogger("migrator.cli")

MISSING, DIFFERENT = 3, 4


@contextmanager
def _inspecting(
    plan_path: Path, *, local: bool
) -> Iterator[tuple[Any, list[TableDefinition], Callable[..., Inspection]]]:
    """A client for the plan's target, each of its tables once, and the way to look at one."""
    from migrator.target.kms import key_finder
    from migrator.target.session import create_client
    from migrator.target.table import inspect_table

    with opened_plan(plan_path, local=local) as plan:
        client = create_client(plan.target)
        find_key = key_finder(plan.target, client)
        yield client, _definitions(plan), partial(inspect_table, client, find_key=find_key)


def _definitions(plan: Plan) -> list[TableDefinition]:
    from migrator.run.tables import tables_of

    return list(tables_of(plan).values())


def _warn(inspection: Inspection) -> None:
    for warning in inspection.warnings():
        _log.warning("%s", warning)


@click.group()
@log_options
def table() -> None:
    """Create, show, check, export and clear the target tables of a plan."""


@table.command()
@plan_argument
@local_option
@log_options
def create(plan_path: Path, local: bool) -> int:
    """Create the tables that are missing, wait until they can be used, and show what came out.

    A table that is there is given what it misses: global indexes, time to live, point-in-time recovery, contributor
    insights, tags, deletion protection, a stream. Nothing is taken away or changed: what differs then is named, and the
    exit code is 4. A table with other keys is refused (3).
    """
    from migrator.run.report import first_exit_code
    from migrator.target.table import create_table
    from migrator.target.tableshow import made_text, table_text

    codes = []
    with _inspecting(plan_path, local=local) as (client, definitions, inspect):
        for definition in definitions:
            made = create_table(client, definition)
            inspection = inspect(definition, everything=True)
            _warn(inspection)
            show(made_text(definition.name, made))
            show(table_text(inspection))
            codes.append(DIFFERENT if inspection.differences else 0)
    return first_exit_code(codes)


@table.command("show")
@plan_argument
@local_option
@log_options
def show_tables(plan_path: Path, local: bool) -> int:
    """Show the tables as they are."""
    from migrator.target.tableshow import table_text

    missing = False
    with _inspecting(plan_path, local=local) as (_, definitions, inspect):
        for definition in definitions:
            inspection = inspect(definition, everything=True)
            missing = missing or inspection.description is None
            _warn(inspection)
            show(table_text(inspection))
    return MISSING if missing else 0


@table.command("check")
@plan_argument
@local_option
@log_options
def check_tables(plan_path: Path, local: bool) -> int:
    """Compare the tables with their definitions. Exit code 4 means that they differ, 3 that one is missing."""
    from migrator.run.report import first_exit_code

    codes = []
    with _inspecting(plan_path, local=local) as (_, definitions, inspect):
        for definition in definitions:
            inspection = inspect(definition)
            if inspection.description is None:
                codes.append(MISSING)
                show(f"{definition.name}: does not exist; `migrator table create` makes it")
                continue
            _warn(inspection)
            codes.append(DIFFERENT if inspection.differences else 0)
            show(f"{definition.name}: {'differs' if inspection.differences else 'as defined'}")
            for difference in inspection.differences:
                show(f"  {difference}")
    return first_exit_code(codes)


@table.command("export")
@plan_argument
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["cloudformation", "terraform", "json"]),
    required=True,
    help="A CloudFormation template, a Terraform module, or the requests that `table create` sends.",
)
@click.option("--alarms", is_flag=True, help="Add alarms on throttled reads and writes of each table and global index.")
@output_option
@log_options
def export_definitions(plan_path: Path, output_format: str, alarms: bool, output: Path | None) -> None:
    """Write the tables as code, for those who keep them there. No target is asked.

    What differs between environments is a parameter: variables in the tables' names, billing and capacity,
    point-in-time recovery, deletion protection, table class, tags. The defaults are what the mappings say.
    """
    from migrator.target.export import export_tables

    alarmed = ["--alarms"] if alarms else []
    command = shlex.join(["migrator", "table", "export", str(plan_path), "--format", output_format, *alarmed])
    with opened_plan(plan_path) as plan:
        text = export_tables(_definitions(plan), output_format, command=command, alarms=alarms)
    show_or_save(text, output)


@table.command("clear")
@plan_argument
@click.argument("name", metavar="TABLE", required=False)
@click.option("--yes", is_flag=True, help="Really delete the items of TABLE.")
@local_option
@log_options
def clear_items(plan_path: Path, name: str | None, yes: bool, local: bool) -> int:
    """Delete all items of one of the plan's tables: migrator table clear PLAN --yes TABLE.

    The table itself stays. Refused where its deletion protection is on, and where its keys are not the mapping's.
    """
    from migrator.run.clear import clear_table

    with opened_plan(plan_path, local=local) as plan:
        if not yes or name is None:
            typed = ["migrator", "table", "clear", str(plan_path), *(["--local"] if local else []), "--yes"]
            tables = ", ".join(definition.name for definition in _definitions(plan))
            raise UsageError(
                "this would delete every item of a table\n"
                f"  type: {shlex.join(typed)} {shlex.quote(name) if name else 'TABLE'}\n"
                f"  tables: {tables}"
            )
        cleared = clear_table(plan, name, progress=show_progress())
    show(cleared.to_text())
    return cleared.exit_code
