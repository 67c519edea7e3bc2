"""`migrator check`: does everything fit, before a row is read?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from migrator.mapping.model import TableDefinition
from migrator.run.fitting import schema_lines
from migrator.run.hooks import iter_missing
from migrator.run.opened import OpenRun, open_run
from migrator.run.plan import Plan
from migrator.run.report import first_exit_code
from migrator.run.setaside import SetAside, bounded
from migrator.target.health import health
from migrator.target.kms import key_finder
from migrator.target.table import inspect_table
from migrator.target.tablecheck import Difference

INCOMPLETE, STOPPED, DIFFERENT = 1, 3, 4

#: What of the target's health is shown, and how it is called.
_HEALTH = {
    "identity": "identity",
    "identity_note": "identity",
    "region": "region",
    "endpoint": "endpoint",
    "reachable": "reachable",
    "latency_ms": "latency in ms",
}


class TableCheck(Struct, frozen=True):
    """A table against its definition; `differences` is None where there is no such table."""

    name: str
    differences: tuple[Difference, ...] | None
    warnings: tuple[str, ...] = ()  #: what the engine lacks, and what could not be compared


class CheckReport(Struct, frozen=True):
    """What fits, the target's health, and how its tables differ."""

    plan: str
    sources: tuple[str, ...]
    entities: tuple[tuple[str, str | None, str], ...]  #: name, source, table
    needs_proof: bool
    health: dict[str, Any]
    tables: tuple[TableCheck, ...]
    create_table: str
    missing_commands: tuple[str, ...] = ()  #: the plan's own, in words
    set_aside: tuple[SetAside, ...] = ()  #: files that a run would leave out
    schemas: tuple[str, ...] = ()  #: how those of the files differ, in words

    @property
    def exit_code(self) -> int:
        missing = any(table.differences is None for table in self.tables)
        different = any(table.differences for table in self.tables)
        stopped = missing and self.create_table == "never"
        return first_exit_code((STOPPED * stopped, DIFFERENT * different, INCOMPLETE * bool(self.set_aside)))

    def to_text(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"plan {self.plan}: the mappings fit the source"
        yield from bounded([f"source {path}" for path in self.sources])
        if self.set_aside:
            yield f"source files that a run would set aside: {len(self.set_aside)}"
            yield from (f"  {line}" for line in bounded([each.line for each in self.set_aside]))
        yield from (f"  {line}" for line in self.schemas)
        for name, source, target in self.entities:
            yield f"  {name}: {source or 'fixed items'} -> {target}"
        found = "a run will look for keys that two rows share" if self.needs_proof else "proved unique by the schema"
        yield f"keys: {found}"
        yield from self.missing_commands
        yield "target"
        yield from (f"  {name}: {self.health[key]}" for key, name in _HEALTH.items() if self.health[key] is not None)
        for table in self.tables:
            yield from self._table_lines(table)

    def _table_lines(self, table: TableCheck) -> Iterator[str]:
        if table.differences is None:
            made = "a run creates it" if self.create_table == "if_missing" else "settings.create_table is never"
            yield f"table {table.name}: does not exist; {made}"
            return
        yield f"table {table.name}: {'differs from its definition' if table.differences else 'as defined'}"
        yield from (f"  {difference}" for difference in table.differences)
        yield from (f"  {warning}" for warning in table.warnings)


def check_plan(plan: Plan) -> CheckReport:
    """Fit the plan to its sources and look at the target. Reads no row and writes nothing."""
    with open_run(plan, reads_rows=False) as opened:
        return CheckReport(
            plan=plan.name,
            sources=tuple(snapshot.path for snapshot in opened.snapshots),
            entities=tuple((entity.name, entity.source_name, entity.table.name) for entity in opened.entities),
            needs_proof=opened.needs_proof(),
            health=health(opened.client(), plan.target, [table.name for table in opened.tables.values()]),
            tables=tuple(_check_table(opened, table) for table in opened.tables.values()),
            create_table=plan.settings.create_table,
            missing_commands=tuple(iter_missing(plan)),
            set_aside=opened.set_aside,
            schemas=tuple(schema_lines(opened.files)),
        )


def _check_table(opened: OpenRun, table: TableDefinition) -> TableCheck:
    client = opened.client()
    inspection = inspect_table(client, table, find_key=key_finder(opened.plan.target, client))
    missing = inspection.description is None
    return TableCheck(table.name, None if missing else inspection.differences, tuple(inspection.warnings()))
