"""An analysis as JSON: what a script reads, so names and shapes here are kept."""

from __future__ import annotations

from typing import Any

from migrator.advise.model import Analysis, Hazard, ItemSizes, Relationship, RowKey, TableAnalysis
from migrator.advise.outlook_words import outlook_json
from migrator.advise.shown import to_json_value
from migrator.source.integrity import Finding
from migrator.source.profile import ColumnProfile, Skew
from migrator.source.schema import Column, ForeignKey, Index, Table

#: what is null where a column cannot be read
_COUNTED = (
    *("nulls", "distinct", "distinct_error", "min", "max", "longest_bytes"),
    *("invalid_utf8", "with_nul", "empty", "skew"),
)


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
        **outlook_json(analysis),
        "hazards": [_hazard(found) for found in analysis.hazards],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "subject": finding.subject,
        "message": finding.message,
        "count": finding.count,
    }


def _hazard(found: Hazard) -> dict[str, Any]:
    return {
        "code": found.code,
        "severity": found.severity,
        "table": found.table or None,
        "columns": list(found.columns),
        "message": found.message,
        "count": found.count,
        "examples": [_row_key(row) for row in found.examples],
        "way_out": found.way_out,
    }


def _row_key(row: RowKey) -> dict[str, Any]:
    return {name: to_json_value(value) for name, value in row}


def _table(found: TableAnalysis) -> dict[str, Any]:
    table, profile = found.table, found.profile
    return {
        "name": table.name,
        "kind": table.kind,
        "rows": found.rows,
        "sampled_rows": profile.sampled_rows if profile else None,
        "without_rowid": table.without_rowid,
        "strict": table.strict,
        "columns": [_column(table, c, profile.column(c.name) if profile else None) for c in table.columns],
        "primary_key": list(table.primary_key),
        "integer_primary_key": table.integer_primary_key,
        "foreign_keys": [_foreign_key(table, key) for key in table.foreign_keys],
        "indexes": [_index(index) for index in table.indexes],
        "item_sizes": _sizes(found.sizes) if found.sizes else None,
        "error": found.error,
    }


def _sizes(sizes: ItemSizes) -> dict[str, Any]:
    return {
        "mean_bytes": round(sizes.mean_bytes, 1),
        "p99_bytes": sizes.p99_bytes,
        "largest_bytes": sizes.largest_bytes,
        "largest_row": _row_key(sizes.largest_row),
        "histogram": [{"up_to_bytes": up_to, "items": items} for up_to, items in sizes.histogram],
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
        "distinct_error": round(profile.distinct_error, 4),
        "min": to_json_value(profile.minimum),
        "max": to_json_value(profile.maximum),
        "longest_bytes": profile.longest_bytes,
        "invalid_utf8": profile.invalid_utf8,
        "with_nul": profile.with_nul,
        "empty": profile.empty,
        "common": [{"value": to_json_value(value), "share": round(share, 6)} for value, share in profile.common],
        "formats": {name: round(share, 6) for name, share in profile.formats},
        "skew": _skew(profile.skew) if profile.skew else None,
    }


def _skew(skew: Skew) -> dict[str, Any]:
    return {"biggest_share": round(skew.biggest_share, 6), "effective_values": round(skew.effective_values, 1)}


def _unknown() -> dict[str, Any]:
    return _counts(ColumnProfile("")) | dict.fromkeys(_COUNTED)


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
