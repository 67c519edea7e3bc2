"""A design for a person at a terminal: where each table's rows go, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from migrator.advise.design import Design, EntityDesign, TableDesign
from migrator.advise.shown import count_of, cut, printable

_LINE = 118


def design_text(design: Design) -> str:
    return "\n".join(_lines(design))


def _lines(design: Design) -> Iterator[str]:
    for table in design.tables:
        yield from _table(table)
    for left in design.left_out:
        yield cut(f"no entity for {left.kind} {printable(left.name)}: {printable(left.reason)}", _LINE)


def _table(table: TableDesign) -> Iterator[str]:
    keys = ", ".join(f"{key.name} ({key.type})" for key in table.keys)
    indexes, patterns = count_of(len(table.indexes), "index", "es"), count_of(len(table.patterns), "access pattern")
    yield f"table {table.name}: {keys}; {indexes}, {patterns}"
    for reason in table.reasons:
        yield from _wrapped(reason)
    for entity in table.entities:
        yield from _entity(entity, table)
    yield ""


def _entity(entity: EntityDesign, table: TableDesign) -> Iterator[str]:
    yield f"  {printable(entity.name)}: {count_of(entity.rows, 'row')}"
    for item in entity.items:
        key = "  ".join(f"{name} {template}" for name, template in item.key if name in {k.name for k in table.keys})
        yield cut(f"    {printable(key)}", _LINE)
    for reason in entity.reasons:
        yield from _wrapped(reason)
    for code, rows in entity.rejects:
        yield from _wrapped(f"{rows:,} of its rows will be rejected: {code}")


def _wrapped(reason: str) -> list[str]:
    return textwrap.wrap(
        printable(reason), _LINE, initial_indent="    - ", subsequent_indent="      ", break_on_hyphens=False
    )
