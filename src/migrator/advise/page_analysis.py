"""The page of an analysis: diagram, hazards, design with sample items, forecast, sizes, partitions and every column."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from markupsafe import Markup
from msgspec import Struct

from migrator.advise.design import TableDesign
from migrator.advise.model import Analysis, SampleItem, TableAnalysis
from migrator.advise.page import render
from migrator.advise.page_charts import size_bars
from migrator.advise.page_diagram import diagram, natural_width
from migrator.advise.shown import cut, printable
from migrator.mapping.model import Attributes, AttributeValue
from migrator.source.profile import Skew

_VALUE, _KEY = 36, 64
_ATTRIBUTES = 8
_SEVERITIES = {"loses": "bad", "changes": "watch", "watch": "calm"}
#: More tables are folded, and opened one by one.
_OPEN_TABLES = 12
_HOTTEST = 20


class Heat(Struct, frozen=True):
    """How a column's values would spread rows over partitions."""

    table: str
    column: str
    rows: int
    distinct: int
    skew: Skew
    shares: tuple[float, ...]  #: of the most common values


class Cell(Struct, frozen=True):
    name: str
    type: str
    value: str


class Shown(Struct, frozen=True):
    """A sample item as the page shows it."""

    entity: str
    keys: tuple[str, ...]
    attributes: tuple[Cell, ...]
    more: int  #: attributes that are not shown
    repeats: bool = False  #: its partition key is that of the item above


def to_html(analysis: Analysis) -> str:
    tables = analysis.of_kind("table", "virtual", "view")
    design = analysis.design
    heat = sorted(_heat(analysis), key=lambda each: -each.skew.biggest_share)
    # The one text that comes as markup: Graphviz has escaped the names in it.
    svg = Markup(diagram(analysis))
    return render(
        "analysis.html",
        analysis=analysis,
        name=Path(analysis.path).name,
        rows=sum(table.rows or 0 for table in analysis.of_kind("table", "virtual")),
        tables=tables,
        folded=len(tables) > _OPEN_TABLES,
        badges=_SEVERITIES,
        diagram=svg,
        diagram_width=natural_width(svg),
        samples={t.name: _shown(t, analysis.samples.get(t.name, ())) for t in design.tables} if design else {},
        bars=size_bars(table.sizes.histogram for table in tables if table.sizes),
        sized=[table for table in tables if table.sizes],
        heat=heat[:_HOTTEST],
        cooler=len(heat[_HOTTEST:]),
    )


def _heat(analysis: Analysis) -> Iterator[Heat]:
    """Columns that could be partition keys of several items: of keys, foreign keys and indexes, if values repeat."""
    for found in analysis.of_kind("table"):
        candidates = _candidates(found)
        for column in found.profile.columns if found.profile else ():
            if column.skew and found.rows and column.name in candidates and column.distinct < found.rows - column.nulls:
                shares = tuple(share for _, share in column.common)
                yield Heat(found.table.name, column.name, found.rows, column.distinct, column.skew, shares)


def _candidates(found: TableAnalysis) -> set[str | None]:
    table = found.table
    foreign = {column for key in table.foreign_keys for column in key.columns}
    return {*table.primary_key[:1], *foreign, *(index.columns[0] for index in table.indexes if index.columns)}


def _shown(table: TableDesign, samples: Sequence[SampleItem]) -> list[Shown]:
    names = [key.name for key in table.keys]
    indexed = {key.name for index in table.indexes for key in (index.partition_key, index.sort_key) if key}
    items: list[Shown] = []
    for sample in samples:
        keys = tuple(_words(sample.attributes[name], _KEY) for name in names)
        repeats = bool(items) and items[-1].keys[0] == keys[0]
        cells = _cells(sample.attributes, {*names, *indexed})
        items.append(Shown(sample.entity, keys, cells[:_ATTRIBUTES], len(cells[_ATTRIBUTES:]), repeats))
    return items


def _cells(attributes: Attributes, keys: Collection[str]) -> tuple[Cell, ...]:
    return tuple(Cell(name, next(iter(value)), _words(value)) for name, value in attributes.items() if name not in keys)


def _words(value: AttributeValue, width: int = _VALUE) -> str:
    """
    >>> _words({"S": "a"}), _words({"L": [{"N": "1"}]}), _words({"B": b"\\x01"}), _words({"M": {}})
    ('a', '[1]', "x'01'", '{}')
    """
    return cut(printable(_plain(value)), width)


def _plain(value: AttributeValue) -> str:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return f"x'{bytes(content[:_VALUE]).hex()}'"
        case "L":
            return "[" + ", ".join(map(_plain, content[:_VALUE])) + "]"
        case "M":
            return "{" + ", ".join(f"{name}: {_plain(each)}" for name, each in list(content.items())[:_VALUE]) + "}"
        case "NULL":
            return "null"
        case "BOOL":
            return str(content).lower()
        case _:
            return str(content) if isinstance(content, str) else ", ".join(map(str, content))
