"""Hazards of keys as a whole: those that meet, those that a collation takes for equal, those that everybody shares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlalchemy.exc import DBAPIError

from migrator.advise.hazard_codes import hazard
from migrator.advise.hazards_values import Place, iter_places
from migrator.advise.model import Hazard, RowKey, TableAnalysis
from migrator.advise.rows_of import RowsOf
from migrator.advise.shown import count_of
from migrator.source.failure import is_about_the_file
from migrator.source.schema import Table

#: what stands between the columns of a key in the usual template
_SEPARATOR = "#"
#: On fewer rows a partition is not hot: it takes a thousand writes a second.
_HOT_ROWS, _HOT_SHARE = 10_000, 0.1
_COLLATIONS = re.compile(r"COLLATE\W+(?:NOCASE|RTRIM)\b", re.IGNORECASE)


def find_in_keys(rows: RowsOf, found: TableAnalysis) -> Iterator[Hazard]:
    key = [place for place in iter_places(found) if place.in_key]
    if key and len(key) == len(found.table.primary_key):
        yield from _duplicates(rows, key)
        yield from _meeting(rows, key)
    yield from _equal_by_collation(rows, found)
    yield from _hot(found)


def _duplicates(rows: RowsOf, key: Sequence[Place]) -> Iterator[Hazard]:
    if any(place.profile.nulls for place in key):
        parts = ", ".join(f"{place.sql} COLLATE BINARY" for place in key)
        found = rows.sharing(parts)
        yield from _told("duplicate_key", rows, key, found, "{n} whose key another row has, too")


def _meeting(rows: RowsOf, key: Sequence[Place]) -> Iterator[Hazard]:
    """The primary key itself keeps such rows apart, so only what text confuses has to be looked for."""
    if any(len(place.kinds) > 1 for place in key) or _can_join_alike(rows, key):
        joined = f" || '{_SEPARATOR}' || ".join(map(_as_text, key))
        without_null = " AND ".join(f"{place.sql} IS NOT NULL" for place in key)
        found = rows.sharing(f"({joined}) COLLATE BINARY", where=without_null)
        yield from _told("keys_meet_as_text", rows, key, found, "{n} whose key is another row's as text")


def _told(
    code: str, rows: RowsOf, places: Sequence[Place], found: tuple[int, tuple[RowKey, ...]], message: str
) -> Iterator[Hazard]:
    count, examples = found
    if count:
        columns = tuple(place.column.name for place in places)
        yield hazard(code, rows.table.name, columns, message.format(n=count_of(count, "row")), count, examples)


def _can_join_alike(rows: RowsOf, key: Sequence[Place]) -> bool:
    """Two columns must hold the separator: a#b|c and a|b#c."""
    if len(key) == 1:
        return False
    holding = rows.count_each([f"instr({place.sql}, '{_SEPARATOR}') > 0" for place in key])
    return sum(count > 0 for count in holding) > 1


def _as_text(place: Place) -> str:
    """As a template renders it: a REAL in a form that reads back as the same."""
    c = place.sql
    text = f"CAST({c} AS TEXT)"
    cuts = f"typeof({c}) = 'real' AND CAST({text} AS REAL) <> {c} COLLATE BINARY"
    return f"CASE WHEN {cuts} THEN printf('%!.17g', {c}) ELSE {text} END"


def _equal_by_collation(rows: RowsOf, found: TableAnalysis) -> Iterator[Hazard]:
    if found.table.kind != "table" or not _COLLATIONS.search(found.table.sql or ""):
        return
    for place in iter_places(found):
        if place.holds("TEXT"):
            yield from _told("equal_but_for_collation", rows, [place], _merged(rows, place), "{n} equal to another one")


def _merged(rows: RowsOf, place: Place) -> tuple[int, tuple[RowKey, ...]]:
    """GROUP BY takes the column's own collation; what it brings together and is not equal differs by its bytes."""
    try:
        return rows.sharing(place.sql, where=f"typeof({place.sql}) = 'text'", differing=f"{place.sql} COLLATE BINARY")
    except DBAPIError as error:
        if is_about_the_file(error):
            raise
        return 0, ()  # a collation of the application's own, which integrity_check has announced


def _hot(found: TableAnalysis) -> Iterator[Hazard]:
    profile = found.profile
    if profile is None or (profile.rows or 0) < _HOT_ROWS:
        return
    by_sample = "" if profile.sampled_rows is None else f", by a sample of {profile.sampled_rows:,}"
    for place in iter_places(found):
        skew = place.profile.skew
        if skew and skew.biggest_share >= _HOT_SHARE and _may_partition(place, found.table):
            count = round(skew.biggest_share * (sum(place.profile.counts) - place.profile.nulls))
            words = f"one value has {skew.biggest_share:.0%} of the rows{by_sample}"
            # A long value is counted and not kept: then the first of the common ones is another.
            examples = tuple(
                ((place.column.name, value),)
                for value, share in place.profile.common[:1]
                if share == skew.biggest_share
            )
            yield hazard("hot_partition", found.table.name, (place.column.name,), words, count, examples)


def _may_partition(place: Place, table: Table) -> bool:
    """Items are asked by it: it leads the key, refers to a parent or leads an index."""
    leading = {index.columns[0] for index in table.indexes if index.columns}
    return place.leads_key or place.in_index or place.column.name in leading
