"""What a migration would lose, change or stumble over, found in the data before anything is moved.

The codes and their ways out are a table (`hazard_codes`); each finder looks at one kind of them. What the profile
already excludes is not looked for again, so that a clean file costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from sqlalchemy.engine import Connection

from migrator.advise.hazard_codes import HAZARDS, hazard
from migrator.advise.hazards_keys import find_in_keys
from migrator.advise.hazards_sizes import find_in_sizes
from migrator.advise.hazards_tables import find_dangling, find_in_integrity, find_in_names, find_in_table
from migrator.advise.hazards_values import find_in_values
from migrator.advise.model import Analysis, Hazard, Severity, TableAnalysis
from migrator.advise.rows_of import RowsOf

__all__ = ["HAZARDS", "Hazard", "find_hazards", "hazard"]

_GRAVITY: Sequence[str] = get_args(Severity)


def find_hazards(connection: Connection, analysis: Analysis) -> tuple[Hazard, ...]:
    """The gravest first. Shadow tables are another table's storage and carry none."""
    return tuple(sorted(_iter_hazards(connection, analysis), key=lambda found: _GRAVITY.index(found.severity)))


def _iter_hazards(connection: Connection, analysis: Analysis) -> Iterator[Hazard]:
    for found in analysis.of_kind("table", "virtual", "view"):
        yield from find_in_names(found)
        yield from find_in_table(found)
        # A view's values are those of its tables, where they have been looked at.
        if found.rows and found.table.kind != "view":
            yield from _find_in_rows(RowsOf(connection, found.table), found)
    for relationship in analysis.relationships:
        table = analysis.schema.table(relationship.child)
        if table:
            yield from find_dangling(RowsOf(connection, table), relationship)
    for finding in analysis.integrity or ():
        yield find_in_integrity(finding)


def _find_in_rows(rows: RowsOf, found: TableAnalysis) -> Iterator[Hazard]:
    yield from find_in_values(rows, found)
    yield from find_in_keys(rows, found)
    yield from find_in_sizes(rows, found)
