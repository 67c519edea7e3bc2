"""The plan's tables before a run: there, of the right key schema, and backed up where the plan says so."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from migrator.errors import TargetError, UsageError, known_names
from migrator.mapping.model import TableDefinition
from migrator.run.checkpoint import TableState
from migrator.run.fingerprint import table_identity
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.target.backoff import ask
from migrator.target.backup import backup_table
from migrator.target.kms import key_finder
from migrator.target.table import create_table, describe, inspect_table, mismatch_error
from migrator.target.tablefound import UNKNOWN_OPERATION_CODES

log = logging.getLogger(__name__)


def tables_of(plan: Plan) -> dict[str, TableDefinition]:
    """The plan's tables by name; several mappings may fill one."""
    return {mapping.table.name: mapping.table for mapping in plan.mappings}


def require_table(plan: Plan, name: str) -> TableDefinition:
    """The plan's table of exactly that name. Raises UsageError, naming the plan's tables."""
    tables = tables_of(plan)
    if name not in tables:
        raise UsageError(f'the plan has no table "{name}"\n  {known_names("tables", tables, name)}')
    return tables[name]


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
    client = opened.client()
    inspection = inspect_table(client, table, find_key=key_finder(opened.plan.target, client))
    fatal = [difference for difference in inspection.differences if difference.fatal]
    if fatal:
        raise mismatch_error(table, fatal)
    for warning in inspection.warnings():
        log.warning("%s", warning)
    for difference in inspection.differences:
        log.warning('table "%s": %s', table.name, difference)


def require_as_defined(opened: OpenRun, table: TableDefinition) -> None:
    """For what follows upon a run. Raises TargetError: table_missing, table_mismatch."""
    if describe(opened.client(), table.name) is None:
        raise TargetError(
            f"table {table.name} does not exist\n  Run the plan first, or check target: region and profile.",
            code="table_missing",
        )
    refuse_mismatch(opened, table)


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
    for warning in create_table(opened.client(), table).warnings:
        log.warning("%s", warning)


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
