"""The plan's tables before a run: there, of the right key schema, and backed up where the plan says so."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from migrator.errors import TargetError
from migrator.mapping.model import TableDefinition
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.target.backup import backup_table
from migrator.target.table import compare, create_table, describe

log = logging.getLogger(__name__)


def prepare_tables(opened: OpenRun, plan: Plan, *, dry_run: bool) -> None:
    """Create what is missing, refuse what is another table. A dry run creates nothing.

    Raises TargetError: table_missing, table_mismatch, or what the target answers.
    """
    for table in opened.tables.values():
        description = describe(opened.client(), table.name)
        if description is None:
            _create(opened, table, plan.settings.create_table, dry_run=dry_run)
        else:
            refuse_mismatch(opened, table)


def refuse_mismatch(opened: OpenRun, table: TableDefinition) -> None:
    """Stop at a table whose keys are others than the mapping's; warn of every other difference."""
    differences = compare(opened.client(), table)
    fatal = [difference for difference in differences if difference.fatal]
    for difference in differences:
        if not difference.fatal:
            log.warning("table %s: %s", table.name, difference)
    if fatal:
        lines = "".join(f"\n  {difference}" for difference in fatal)
        raise TargetError(
            f"table {table.name} is not the one that the mapping describes:{lines}\n"
            "  Name another table in the mapping, or mend its table: block.",
            code="table_mismatch",
        )


def _create(opened: OpenRun, table: TableDefinition, create: str, *, dry_run: bool) -> None:
    if create == "never":
        raise TargetError(
            f"table {table.name} does not exist\n"
            "  Create it with `migrator table create PLAN`, or set settings.create_table: if_missing.",
            code="table_missing",
        )
    if dry_run:
        log.info("table %s does not exist; a run would create it", table.name)
        return
    log.info("creating table %s", table.name)
    for warning in create_table(opened.client(), table):
        log.warning("table %s: %s", table.name, warning)


def back_up(opened: OpenRun, plan: Plan, started: datetime) -> None:
    """Back up every table that the run writes to. Raises TargetError where one fails: then nothing is written."""
    backup = plan.settings.backup
    name = backup if isinstance(backup, str) else None
    for table in opened.tables.values():
        done = backup_table(opened.client(), table, name, Path(plan.settings.state_dir), started)
        log.info("table %s: %s", table.name, done)
