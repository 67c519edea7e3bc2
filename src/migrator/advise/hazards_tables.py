"""Hazards of tables and their names, which no value carries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from migrator.advise.hazard_codes import hazard
from migrator.advise.model import Hazard, Relationship, TableAnalysis
from migrator.advise.relationships import orphans_condition
from migrator.advise.rows_of import RowsOf
from migrator.advise.shown import count_of
from migrator.source.integrity import Finding

#: what single-table designs call their key attributes, and the time to live
_TAKEN = re.compile(r"PK|SK|(?:GSI|LSI)\d+(?:PK|SK)|ttl")
_TAKEN_BUT_FOR_CASE = re.compile(_TAKEN.pattern, re.IGNORECASE)
_BROKEN_RULES = frozenset({"null", "check", "type"})


def find_in_names(found: TableAnalysis) -> Iterator[Hazard]:
    names = [column.name for column in found.table.columns if not column.hidden]
    for name in names:
        if not name:
            yield hazard("empty_name", found.table.name, (name,), "a column is called ''")
        elif _TAKEN.fullmatch(name):
            yield hazard("key_name_clash", found.table.name, (name,), f"a column is called {name}")
        elif taken := _TAKEN_BUT_FOR_CASE.fullmatch(name):
            usual = "ttl" if name.lower() == "ttl" else taken[0].upper()
            yield hazard(
                "similar_names", found.table.name, (name,), f"differs from the key attribute {usual} only in case"
            )
    for _, group in groupby(sorted(names, key=str.casefold), key=str.casefold):
        alike = tuple(group)
        if len(alike) > 1:
            yield hazard("similar_names", found.table.name, alike, f"{len(alike)} columns differ only in case")


def find_in_table(found: TableAnalysis) -> Iterator[Hazard]:
    table, profile = found.table, found.profile
    if found.error:
        yield hazard("unreadable", table.name, (), found.error)
        return
    if table.kind == "table" and not table.primary_key and found.rows:
        yield hazard("no_key", table.name, (), f"{count_of(found.rows, 'row')} without a key", found.rows)
    if table.kind == "view" and found.rows and not _has_unique_column(found):
        yield hazard("view_without_key", table.name, (), f"none of {len(table.columns)} columns is unique")
    for column in profile.columns if profile else ():
        if column.error:
            yield hazard("unreadable_column", table.name, (column.name,), column.error)
    if table.kind == "virtual" and _is_contentless(found):
        yield hazard("contentless", table.name, (), "every value is NULL", found.rows or 0)


def find_dangling(rows: RowsOf, relationship: Relationship) -> Iterator[Hazard]:
    if not relationship.orphans:
        return
    condition = orphans_condition(
        relationship.columns,
        relationship.parent,
        relationship.parent_columns,
        parent_missing=relationship.parent_missing,
    )
    missing = "a table that is missing" if relationship.parent_missing else "rows that are missing"
    words = f"{count_of(relationship.orphans, 'row')} for {missing} ({relationship.parent})"
    examples = rows.examples(condition)
    yield hazard("dangling_foreign_key", rows.table.name, relationship.columns, words, relationship.orphans, examples)


def find_in_integrity(finding: Finding) -> Hazard:
    code = "broken_rule" if finding.code in _BROKEN_RULES else "unchecked"
    # integrity_check names "table.column", and either may hold a dot.
    return hazard(code, finding.subject if code == "broken_rule" else "", (), finding.message, finding.count)


def _has_unique_column(found: TableAnalysis) -> bool:
    columns = found.profile.columns if found.profile else ()
    return any(column.distinct == found.rows and not column.nulls for column in columns)


def _is_contentless(found: TableAnalysis) -> bool:
    columns = found.profile.columns if found.profile else ()
    return bool(found.rows and columns) and all(column.nulls == found.rows for column in columns)
