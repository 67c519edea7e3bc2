"""`migrator table`: the target tables, from the mappings' `table:` blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrator.cli.logs import log_options
from migrator.cli.options import local_option, opened_plan, plan_argument
from migrator.cli.outcome import show

if TYPE_CHECKING:
    from migrator.mapping.model import TableDefinition

_log = logging.getLogger("migrator.cli")

MISSING, DIFFERENT = 3, 4


@contextmanager
def _tables(plan_path: Path, *, local: bool) -> Iterator[tuple[Any, list[TableDefinition]]]:
    """A client for the plan's target, and each of its tables once."""
    from migrator.target.session import create_client

    with opened_plan(plan_path, local=local) as plan:
        tables = {mapping.table.name: mapping.table for mapping in plan.mappings}
        yield create_client(plan.target), list(tables.values())


@click.group()
@log_options
def table() -> None:
    """Create, show and check the target tables of a plan."""


@table.command()
@plan_argument
@local_option
@log_options
def create(plan_path: Path, local: bool) -> None:
    """Create the tables that are missing, and wait until they can be used."""
    from migrator.target.table import create_table, describe

    with _tables(plan_path, local=local) as (client, definitions):
        for definition in definitions:
            if describe(client, definition.name) is not None:
                show(f"{definition.name}: exists already")
                continue
            for warning in create_table(client, definition):
                _log.warning("%s", warning)
            show(f"{definition.name}: created")


@table.command("show")
@plan_argument
@local_option
@log_options
def show_tables(plan_path: Path, local: bool) -> int:
    """Show the tables as they are."""
    from migrator.target.table import describe, show_text

    missing = False
    with _tables(plan_path, local=local) as (client, definitions):
        for definition in definitions:
            missing = missing or describe(client, definition.name) is None
            show(show_text(client, definition))
    return MISSING if missing else 0


@table.command("check")
@plan_argument
@local_option
@log_options
def check_tables(plan_path: Path, local: bool) -> int:
    """Compare the tables with their definitions. Exit code 4 means that they differ, 3 that one is missing."""
    from migrator.run.report import first_exit_code
    from migrator.target.table import compare, describe

    codes = []
    with _tables(plan_path, local=local) as (client, definitions):
        for definition in definitions:
            if describe(client, definition.name) is None:
                codes.append(MISSING)
                show(f"{definition.name}: does not exist; `migrator table create` makes it")
                continue
            differences = compare(client, definition)
            codes.append(DIFFERENT if differences else 0)
            show(f"{definition.name}: {'differs' if differences else 'as defined'}")
            for difference in differences:
                show(f"  {difference}")
    return first_exit_code(codes)
