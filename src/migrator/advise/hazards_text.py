"""Hazards for a person at a terminal: a paragraph for each code, with the places where it was met."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from migrator.advise.hazard_codes import HAZARDS
from migrator.advise.model import Hazard, RowKey
from migrator.advise.shown import count_of, named, names_of, printable, to_shown
from migrator.source.text import SqliteValue

_WIDTH = 116
_PLACES = 8
_COMPOSITE_ROWS = 3
_VALUE_WIDTH = 24
_SEVERITIES = {
    "loses": "Would be lost or refused",
    "changes": "Would arrive as something else, or compare differently",
    "watch": "Nothing is lost, but a design has to know",
}


def hazard_lines(hazards: Sequence[Hazard]) -> list[str]:
    """Hazards come gravest first; those of one code stand together, and their way out once."""
    if not hazards:
        return ["Hazards: none found"]
    return [f"Hazards: {count_of(len(hazards), 'place')} to look at", *_iter_lines(hazards)]


def _iter_lines(hazards: Sequence[Hazard]) -> Iterator[str]:
    for severity, of_severity in groupby(hazards, key=lambda found: found.severity):
        yield f"  {_SEVERITIES[severity]}"
        # sorted() is stable: within a code the order of the tables stays
        for code, group in groupby(sorted(of_severity, key=lambda found: list(HAZARDS).index(found.code)), _code):
            yield from _paragraph(code, list(group))


def _code(found: Hazard) -> str:
    return found.code


def _paragraph(code: str, places: Sequence[Hazard]) -> Iterator[str]:
    yield from _wrapped(f"{code}: {HAZARDS[code].words}", 4)
    for found in places[:_PLACES]:
        yield from _wrapped(_place(found), 6)
    if len(places) > _PLACES:
        yield f"      and in {count_of(len(places) - _PLACES, 'place')} more, which --format json names"
    yield from _wrapped(f"→ {HAZARDS[code].way_out}", 6)


def _place(found: Hazard) -> str:
    columns = f" ({names_of(found.columns)})" if found.columns else ""
    where = f"{named(found.table)}{columns}: " if found.table else ""
    examples = f", such as {_examples(found.examples)}" if found.examples else ""
    return f"{where}{printable(found.message)}{examples}"


def _examples(examples: Sequence[RowKey]) -> str:
    if not any(examples):
        return "rows without a key"
    if all(len(row) == 1 for row in examples):
        values = ", ".join(_value(row[0][1]) for row in examples)
        return f"{named(examples[0][0][0])} {values}"
    rows = ", ".join(f"({', '.join(_value(value) for _, value in row)})" for row in examples[:_COMPOSITE_ROWS])
    return f"({names_of([name for name, _ in examples[0]])}) = {rows}"


def _value(value: SqliteValue) -> str:
    return "NULL" if value is None else to_shown(value, _VALUE_WIDTH)


def _wrapped(text: str, indent: int) -> list[str]:
    first, later = " " * indent, " " * (indent + 2)
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
