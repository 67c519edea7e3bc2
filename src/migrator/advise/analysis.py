"""Look at a SQLite file before anything is decided: `migrator analyze`.

The file is only read, and by the same snapshot that a run takes, so what is reported is what would be moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.advise.analysis_json import to_json
from migrator.advise.analysis_text import to_text
from migrator.advise.formats import format_of
from migrator.advise.hazards import find_hazards
from migrator.advise.item_sizes import measure_items
from migrator.advise.model import Analysis, Relationship, TableAnalysis
from migrator.advise.outlook import look_ahead
from migrator.advise.relationships import find_relationships
from migrator.advise.shown import cut, printable
from migrator.run.progress import progress_bar
from migrator.source.connection import connect
from migrator.source.failure import to_source_error
from migrator.source.integrity import check_integrity
from migrator.source.profile import profile_table
from migrator.source.reflection import reflect_schema
from migrator.source.schema import Schema, Table
from migrator.source.snapshot import Snapshot, release, take_snapshot
from migrator.source.storage import read_header
from migrator.target.prices import Prices

__all__ = ["Analysis", "Relationship", "TableAnalysis", "analyze", "to_json", "to_text"]

#: A view may join without end; a table's one scan is worth waiting for.
VIEW_LIMIT_S = 10.0


def analyze(
    path: str | Path,
    *,
    integrity: bool = True,
    exact: bool = False,
    progress: bool = False,
    prices: Prices | None = None,
    region: str | None = None,
) -> Analysis:
    """Read the whole file. Raises SourceError where it is missing, damaged or locked.

    `exact` looks at every row of big tables, too, which otherwise are sampled; `progress` shows a bar.
    The forecast is at `prices`, or at those that the package brings, of `region`.
    """
    snapshot = take_snapshot(path)
    try:
        with connect(snapshot) as connection:
            found = _analyze(connection, snapshot, integrity, _Look(exact, progress))
            return look_ahead(connection, found, prices, region)
    except DBAPIError as error:
        raise to_source_error(error, path) from error
    finally:
        release(snapshot)


class _Look(Struct, frozen=True):
    exact: bool
    progress: bool


def _analyze(connection: Connection, snapshot: Snapshot, integrity: bool, look: _Look) -> Analysis:
    findings = check_integrity(connection, snapshot.path) if integrity else None
    schema = reflect_schema(connection, snapshot.path)
    analysis = Analysis(
        path=snapshot.path,
        size_bytes=os.path.getsize(snapshot.read_path),
        journal_mode="wal" if read_header(os.path.realpath(snapshot.path)).is_wal else "rollback",
        schema=schema,
        tables=tuple(_iter_tables(connection, schema, look)),
        relationships=find_relationships(connection, schema),
        integrity=findings,
    )
    return replace(analysis, hazards=find_hazards(connection, analysis))


def _iter_tables(connection: Connection, schema: Schema, look: _Look) -> Iterator[TableAnalysis]:
    with progress_bar("analyze", shown=look.progress, unit="tables", total=len(schema.tables)) as bar:
        for table in schema.tables:
            bar.set_postfix_str(cut(printable(table.name), 40))
            yield _analyze_table(connection, table, look.exact)
            bar.update()


def _analyze_table(connection: Connection, table: Table, exact: bool) -> TableAnalysis:
    if table.kind == "shadow":
        return TableAnalysis(table)
    limit_s = VIEW_LIMIT_S if table.kind == "view" else None
    profile = profile_table(connection, table, format_of=format_of, exact=exact, limit_s=limit_s)
    return TableAnalysis(table, profile, None if table.kind == "view" else measure_items(connection, table, profile))
