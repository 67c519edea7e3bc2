"""Design and forecast of an analysis, for its text and its JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from migrator.advise.design import Design, EntityDesign, TableDesign
from migrator.advise.model import Analysis
from migrator.advise.shown import cut, pad, printable, width_of

_LINE = 118
_ENTITY, _KEY = 30, 40


def outlook_lines(analysis: Analysis) -> Iterator[str]:
    if analysis.design:
        for table in analysis.design.tables:
            yield f"Suggested design ({', '.join(key.name for key in table.keys)}); migrator suggest writes it"
            yield from _entity_lines(table)
    if analysis.forecast:
        yield ""
        first, *rest = analysis.forecast.lines()
        yield first[0].upper() + first[1:]
        yield from rest


def outlook_json(analysis: Analysis) -> dict[str, Any]:
    """Null where there is none."""
    return {
        "design": analysis.design and _design(analysis.design),
        "forecast": analysis.forecast and analysis.forecast.to_json(),
    }


def _entity_lines(table: TableDesign) -> Iterator[str]:
    keys = [key.name for key in table.keys]
    lines = [
        (printable(entity.name) if number == 0 else "", *(printable(item.template(name) or "") for name in keys))
        for entity in table.entities
        for number, item in enumerate(entity.items)
    ]
    if not lines:
        return
    limits = [_ENTITY, *(_KEY for _ in keys)]
    columns = zip(*lines, strict=True)
    widths = [min(max(map(width_of, column)), limit) for column, limit in zip(columns, limits, strict=True)]
    for line in lines:
        cells = (pad(cut(cell, width), width) for cell, width in zip(line, widths, strict=True))
        yield cut(f"  {'  '.join(cells)}".rstrip(), _LINE)


def _design(design: Design) -> dict[str, Any]:
    return {
        "style": design.style,
        "tables": [_table(table) for table in design.tables],
        "left_out": [{"name": left.name, "kind": left.kind, "reason": left.reason} for left in design.left_out],
    }


def _table(table: TableDesign) -> dict[str, Any]:
    return {
        "name": table.name,
        "keys": {key.name: key.type for key in table.keys},
        "indexes": {
            index.name: [key.name for key in (index.partition_key, index.sort_key) if key] for index in table.indexes
        },
        "time_to_live": table.time_to_live,
        "reasons": list(table.reasons),
        "entities": [_entity(entity) for entity in table.entities],
    }


def _entity(entity: EntityDesign) -> dict[str, Any]:
    return {
        "name": entity.name,
        "source": entity.source,
        "rows": entity.rows,
        "items": [dict(item.key) for item in entity.items],
        "reasons": list(entity.reasons),
        "rejects": dict(entity.rejects),
    }
