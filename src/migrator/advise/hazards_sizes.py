"""Hazards of size: items over DynamoDB's limit, and JSON nested deeper than it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from migrator.advise.hazard_codes import hazard
from migrator.advise.hazards_values import Place, iter_places
from migrator.advise.item_sizes import size_sql
from migrator.advise.model import Hazard, TableAnalysis
from migrator.advise.rows_of import RowsOf
from migrator.advise.shown import count_of
from migrator.errors import RowRejected
from migrator.limits import ITEM_SIZE_BYTES, NESTING_LEVELS
from migrator.mapping.hints import hint_of
from migrator.mapping.values import to_attribute_value
from migrator.source.profile_scan import INVALID_UTF8

_TOO_DEEP = "migrator_is_too_deep"


def find_in_sizes(rows: RowsOf, found: TableAnalysis) -> Iterator[Hazard]:
    yield from _too_large(rows, found)
    for place in iter_places(found):
        # Shorter text cannot open and close that many.
        if hint_of(place.column.declared_type) == "json" and place.profile.longest_bytes > 2 * NESTING_LEVELS:
            yield from _too_deep(rows, place)


def _too_large(rows: RowsOf, found: TableAnalysis) -> Iterator[Hazard]:
    if not found.sizes or not found.profile or found.sizes.largest_bytes <= ITEM_SIZE_BYTES:
        return
    condition = f"{size_sql(rows.connection, found.profile)} > {ITEM_SIZE_BYTES}"
    (count,) = rows.count_each([condition])
    largest = f"the largest of {found.sizes.largest_bytes:,} bytes"
    words = f"{count_of(count, 'row')} over {ITEM_SIZE_BYTES // 1024} KB, {largest}"
    yield hazard("item_too_large", found.table.name, (), words, count, rows.examples(condition))


def _too_deep(rows: RowsOf, place: Place) -> Iterator[Hazard]:
    raw: Any = rows.connection.connection.driver_connection
    raw.create_function(_TOO_DEEP, 1, _is_too_deep, deterministic=True)
    text = place.sql
    brackets = f"length({text}) - length(replace(replace({text}, '[', ''), '{{', ''))"
    condition = (
        f"CASE WHEN typeof({text}) <> 'text' OR {brackets} <= {NESTING_LEVELS} THEN 0"
        f" WHEN {INVALID_UTF8}(CAST({text} AS BLOB)) THEN 0 ELSE {_TOO_DEEP}({text}) END"
    )
    (count,) = rows.count_each([condition])
    if count:
        words = f"{count_of(count, 'row')} nested deeper than {NESTING_LEVELS}"
        yield hazard("json_too_deep", rows.table.name, (place.column.name,), words, count, rows.examples(condition))


def _is_too_deep(text: str) -> bool:
    """What the mapping's JSON hint would reject; what is not JSON stays text."""
    try:
        to_attribute_value(text, "json")
    except RowRejected as error:
        return error.code == "nesting_too_deep"
    return False
