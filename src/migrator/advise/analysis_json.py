"""An analysis as JSON: what a script reads, so names and shapes here are kept."""

from __future__ import annotations

from typing import Any

from migrator.advise.model import Analysis, Relationship, TableAnalysis
from migrator.advise.shown import to_json_value
from migrator.source.integrity import Finding
from migrator.source.profile import ColumnProfile
from migrator.source.schema import Column, ForeignKey, Index, Table


def to_json(analysis: Analysis) -> dict[str, Any]:
    """`integrity` is null where it was not checked; counts are null where a table cannot be read."""
    return {
        "source": {
            "path": analysis.path,
            "size_bytes": analysis.size_bytes,
            "page_size": analysis.schema.page_size,
            "encoding": analysis.schema.encoding,
            "journal_mode": analysis.journal_mode,
        },
        "integrity": None if analysis.integrity is None else [_finding(finding) for finding in analysis.integrity],
        "tables": [_table(table) for table in analysis.tables],
        "relationships": [_relationship(relationship) for relationship in analysis.relationships],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "subject": finding.subject,
        "message": finding.message,
        "count": finding.count,
    }


def _table(found: TableAnalysis) -> dict[str, Any]:
    table, profile = found.table, found.profile
    return {
        "name": table.name,
        "kind": table.kind,
        "rows": found.rows,
        "without_rowid": table.without_rowid,
        "strict": table.strict,
        "columns": [_column(table, c, profile.column(c.name) if profile else None) for c in table.columns],
        "primary_key": list(table.primary_key),
        "integer_primary_key": table.integer_primary_key,
        "foreign_keys": [_foreign_key(table, key) for key in table.foreign_keys],
        "indexes": [_index(index) for index in table.indexes],
        "error": found.error,
    }


def _column(table: Table, column: Column, profile: ColumnProfile | None) -> dict[str, Any]:
    key = table.primary_key
    shape = {
        "name": column.name,
        "declared_type": column.declared_type,
        "affinity": column.affinity,
        "not_null": column.not_null,
        "default": column.default,
        "generated": column.generated,
        "hidden": column.hidden,
        "primary_key_position": key.index(column.name) + 1 if column.name in key else None,
    }
    return shape | (_unknown() if profile is None or profile.error else _counts(profile)) | _error(profile)


def _counts(profile: ColumnProfile) -> dict[str, Any]:
    return {
        "storage_classes": profile.storage_classes,
        "nulls": profile.nulls,
        "distinct": profile.distinct,
        "min": to_json_value(profile.minimum),
        "max": to_json_value(profile.maximum),
        "longest_bytes": profile.longest_bytes,
        "invalid_utf8": profile.invalid_utf8,
    }


def _unknown() -> dict[str, Any]:
    return {"storage_classes": {}} | dict.fromkeys(("nulls", "distinct", "min", "max", "longest_bytes", "invalid_utf8"))


def _error(profile: ColumnProfile | None) -> dict[str, Any]:
    return {"error": profile.error if profile else None}


def _foreign_key(table: Table, key: ForeignKey) -> dict[str, Any]:
    return {
        "columns": list(key.columns),
        "table": key.table,
        "parent_columns": list(key.parent_columns),
        "on_update": key.on_update,
        "on_delete": key.on_delete,
        "parent_missing": key.parent_missing,
        "self": key.table.lower() == table.name.lower(),
    }


def _index(index: Index) -> dict[str, Any]:
    return {
        "name": index.name,
        "unique": index.unique,
        "origin": index.origin,
        "columns": list(index.columns),
        "partial": index.partial,
        "expression": None in index.columns,
    }


def _relationship(relationship: Relationship) -> dict[str, Any]:
    return {
        "from": relationship.child,
        "columns": list(relationship.columns),
        "to": relationship.parent,
        "parent_columns": list(relationship.parent_columns),
        "kind": relationship.kind,
        "orphans": relationship.orphans,
        "parent_missing": relationship.parent_missing,
        "error": relationship.error,
    }
