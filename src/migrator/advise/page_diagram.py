"""The entity-relationship diagram: tables and foreign keys as DOT, laid out by Graphviz into SVG.

Graphviz comes as WebAssembly (@viz-js/viz) and runs here, when the page is written: the page itself needs no script.
Its colours are names for the stylesheet, which gives them their values for light, dark and print.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from migrator.advise.model import Analysis, Relationship, TableAnalysis
from migrator.advise.shown import cut, printable

_VIZ = Path(__file__).parent / "pages" / "vendor" / "viz-global.js"
_LAYOUT_LIMIT_S = 30.0
# Beyond, a diagram is a tangle: first its tables lose their columns, then it is left to the list of relationships.
_TABLES_WITH_COLUMNS = 40
_TABLES = 150
_NAME = 32
_COLUMNS = 12
# Stand-ins which style.css turns into the page's colours.
INK, MUTED, EDGE, HEAD, SURFACE = "#000001", "#000002", "#000003", "#000004", "#000005"

# What a browser or Node would bring, and a bare V8 does not.
_SURROUNDINGS = """
globalThis.location = {href: "viz:/"};
globalThis.console = {log() {}, error() {}};
globalThis.crypto = {getRandomValues: values => values.fill(0)};
globalThis.TextDecoder = class {
  decode(bytes) {
    let text = "";
    for (const byte of bytes || []) text += String.fromCharCode(byte);
    return decodeURIComponent(escape(text));
  }
};
"""
_DRAW = """
function draw(dot) {
  const result = graphviz.render(dot, {format: "svg_inline", engine: "dot"});
  return result.status === "success" ? result.output : "";
}
"""

log = logging.getLogger(__name__)


def diagram(analysis: Analysis) -> str:
    """An SVG of the tables that hang together; "" where there are none, or so many that nobody could read it."""
    related = {name.lower() for found in analysis.relationships for name in (found.child, found.parent)}
    tables = [table for table in analysis.of_kind("table", "virtual") if table.table.name.lower() in related]
    if not tables or len(tables) > _TABLES:
        return ""
    return draw("\n".join(_dot(tables, analysis.relationships)))


def draw(dot: str) -> str:
    """DOT as SVG; "" with a warning where Graphviz gives up."""
    # In a thread of its own: the engine cannot wait where an event loop runs, as in a notebook.
    with ThreadPoolExecutor(1) as thread:
        svg = thread.submit(_draw, dot).result()
    return svg[svg.index("<svg") :] if "<svg" in svg else ""


def _draw(dot: str) -> str:
    from py_mini_racer import JSEvalException, JSPromise, JSPromiseError, mini_racer

    # Left open, V8 keeps the interpreter from ending.
    with mini_racer() as engine:
        try:
            engine.eval(f"{_SURROUNDINGS}{_VIZ.read_text(encoding='utf-8')};{_DRAW}; undefined")
            loaded = engine.eval("Viz.instance().then(found => { globalThis.graphviz = found; return 0; })")
            assert isinstance(loaded, JSPromise)
            loaded.get(timeout=_LAYOUT_LIMIT_S)
            return str(engine.call("draw", dot, timeout_sec=_LAYOUT_LIMIT_S))
        except (JSEvalException, JSPromiseError, TimeoutError) as error:
            log.warning("the diagram is left out of the page: %s", str(error).partition("\n")[0] or "no answer in time")
            return ""


def natural_width(svg: str) -> str:
    """
    >>> natural_width('<svg width="148pt" height="116pt" viewBox="…">')
    '148pt'
    """
    return svg.partition('width="')[2].partition('"')[0]


def _dot(tables: Sequence[TableAnalysis], relationships: Sequence[Relationship]) -> Iterator[str]:
    names = {table.table.name.lower(): number for number, table in enumerate(tables)}
    with_columns = len(tables) <= _TABLES_WITH_COLUMNS
    yield 'digraph { graph [rankdir=RL nodesep=0.35 ranksep=0.9 pad=0.1 bgcolor="transparent"]'
    yield 'node [shape=plain fontname="Helvetica" fontsize=12]'
    yield f'edge [color="{EDGE}" arrowsize=0.7 penwidth=1.2]'
    for number, table in enumerate(tables):
        told = _told(table, relationships) if with_columns else []
        yield f"t{number} [label=<{_label(table, told, _linked(table, relationships))}>]"
    for found in relationships:
        child, parent = names.get(found.child.lower()), names.get(found.parent.lower())
        if child is not None and parent is not None:
            # A crow's foot stands where many rows are.
            foot = "none" if found.kind == "one-to-one" else "crow"
            style = " style=dashed" if found.orphans else ""
            port = _port(tables[child], found, relationships) if with_columns else "head"
            side = "w" if child == parent else "e"
            yield f"t{child}:{port}:w -> t{parent}:head:{side} [dir=both arrowtail={foot} arrowhead=tee{style}]"
    yield "}"


def _linked(table: TableAnalysis, relationships: Sequence[Relationship]) -> set[str]:
    return {column for found in relationships if found.child == table.table.name for column in found.columns}


def _told(table: TableAnalysis, relationships: Sequence[Relationship]) -> list[str]:
    """The columns that are shown: those of keys."""
    key = table.table.primary_key
    return [*key, *sorted(_linked(table, relationships) - set(key))][:_COLUMNS]


def _port(table: TableAnalysis, found: Relationship, relationships: Sequence[Relationship]) -> str:
    """Where the foreign key's line begins: at its first column, or at the table where that is not shown."""
    told = _told(table, relationships)
    return f"c{told.index(found.columns[0])}" if found.columns and found.columns[0] in told else "head"


def _label(table: TableAnalysis, told: Sequence[str], linked: Collection[str]) -> str:
    rows = table.rows
    lines = [_line(_text(table.table.name), "" if rows is None else f"{rows:,}", HEAD, "head", bold=True)]
    for number, name in enumerate(told):
        marks = " ".join(mark for mark, names in (("PK", table.table.primary_key), ("FK", linked)) if name in names)
        lines.append(_line(_text(name), marks, SURFACE, f"c{number}"))
    rest = len([column for column in table.table.columns if not column.hidden]) - len(told)
    if told and rest > 0:
        lines.append(_line(f'<FONT COLOR="{MUTED}">{rest} more</FONT>', "", SURFACE, "rest"))
    return (
        f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4" COLOR="{EDGE}" BGCOLOR="{SURFACE}">'
        f"{''.join(lines)}</TABLE>"
    )


def _line(name: str, marks: str, background: str, port: str, *, bold: bool = False) -> str:
    """A row of two cells: the line of a foreign key may begin at its left, or end at its right."""
    name = f"<B>{name}</B>" if bold else name
    marked = f'<FONT COLOR="{MUTED}" POINT-SIZE="10">{marks}</FONT>' if marks else " "
    return (
        f'<TR><TD BGCOLOR="{background}" PORT="{port}"><TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0"><TR>'
        f'<TD ALIGN="LEFT"><FONT COLOR="{INK}">{name}  </FONT></TD><TD ALIGN="RIGHT">{marked}</TD>'
        "</TR></TABLE></TD></TR>"
    )


def _text(text: str) -> str:
    """As DOT's HTML-like labels take it, which stop at what XML does not allow.

    >>> _text('</script>"&')
    '&lt;/script&gt;&quot;&amp;'
    """
    return html.escape(cut(printable(text), _NAME)) or " "
