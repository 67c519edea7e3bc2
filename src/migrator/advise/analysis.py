"""Look at a SQLite file before anything is decided: `migrator analyze`.

The file is only read, and by the same snapshot that a run takes, so what is reported is what would be moved.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import Connection

from migrator.advise.analysis_json import to_json
from migrator.advise.analysis_text import to_text
from migrator.advise.model import Analysis, Relationship, TableAnalysis
from migrator.advise.relationships import find_relationships
from migrator.source.integrity import check_integrity
from migrator.source.profile import profile_table
from migrator.source.schema import Table, reflect_schema
from migrator.source.snapshot import Snapshot, connect, release, take_snapshot
from migrator.source.storage import read_header

__all__ = ["Analysis", "Relationship", "TableAnalysis", "analyze", "to_json", "to_text"]

#: A view may join without end; a table's one scan is worth waiting for.
VIEW_LIMIT_S = 10.0


def analyze(path: str | Path, *, integrity: bool = True) -> Analysis:
    """Read the whole file once. Raises SourceError where it is missing, damaged or locked."""
    snapshot = take_snapshot(path)
    try:
        with connect(snapshot) as connection:
            return _analyze(connection, snapshot, integrity)
    finally:
        release(snapshot)


def _analyze(connection: Connection, snapshot: Snapshot, integrity: bool) -> Analysis:
    findings = check_integrity(connection, snapshot.path) if integrity else None
    schema = reflect_schema(connection, snapshot.path)
    return Analysis(
        path=snapshot.path,
        size_bytes=os.path.getsize(snapshot.read_path),
        journal_mode="wal" if read_header(os.path.realpath(snapshot.path)).is_wal else "rollback",
        schema=schema,
        tables=tuple(_analyze_table(connection, table) for table in schema.tables),
        relationships=find_relationships(connection, schema),
        integrity=findings,
    )


def _analyze_table(connection: Connection, table: Table) -> TableAnalysis:
    if table.kind == "shadow":
        return TableAnalysis(table)
    limit_s = VIEW_LIMIT_S if table.kind == "view" else None
    return TableAnalysis(table, profile_table(connection, table, limit_s=limit_s))
