"""The plan's tables before a run: there, of the right key schema, and backed up where the plan says so."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator.errors import TargetError
from migrator.mapping.model import TableDefinition
from migrator.run.checkpoint import TableState
from migrator.run.fingerprint import table_identity
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.target.backoff import ask
from migrator.target.backup import backup_table
from migrator.target.table import compare, create_table, describe
from migrator.target.tablefound import UNKNOWN_OPERATION_CODES

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


def table_states(opened: OpenRun) -> dict[str, TableState]:
    """The tables as they are before the first write."""
    return {table.name: _state(opened.client(), table) for table in opened.tables.values()}


def _state(client: Any, table: TableDefinition) -> TableState:
    description = describe(client, table.name)
    if description is None:
        raise TargetError(f"table {table.name} has just been deleted\n  Run again.", code="table_missing")
    # By reading: ItemCount is hours old, or never anything but 0. Who may only write may not look,
    # and a sink may have nothing to look at.
    found = ask(
        lambda: client.scan(TableName=table.name, ConsistentRead=True, Limit=1),
        f'look into table "{table.name}"',
        accept={"AccessDeniedException", *UNKNOWN_OPERATION_CODES},
    )
    return TableState(table_identity(description), None if found is None else not found["Items"])


def back_up(opened: OpenRun, plan: Plan, started: datetime) -> None:
    """Back up every table that the run writes to. Raises TargetError where one fails: then nothing is written."""
    backup = plan.settings.backup
    name = backup if isinstance(backup, str) else None
    for table in opened.tables.values():
        done = backup_table(opened.client(), table, name, Path(plan.settings.state_dir), started)
        log.info("table %s: %s", table.name, done)
