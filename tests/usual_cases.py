"""What most mappings and rows are: one item a row, hardly a filter, and in each column values of one kind.

`tests/strategies.py` draws what is odd; of that little is encoded by columns, and of this nearly all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from migrator.mapping.model import (
    Children,
    ColumnValue,
    Entity,
    FilterCall,
    ItemSpec,
    MapOf,
    SourceSpec,
    Template,
)
from migrator.mapping.reads import RawRows
from migrator.source.schema import Column
from strategies import HINTS, Case, constants, declarations, declare_table, integers, read_of, tables, text

# ---- columns

_names = st.sampled_from(["a", "né", "line\n", "x y", ""])
_numbers = st.sampled_from(["0", "7", "-12", "1.50", "0.10", "0.0", "-0.0", "12e3", "1E-131", "9" * 19, "9" * 40])
_scalars = _numbers | st.sampled_from(
    ["true", "false", "null", '""', '"Ann"', '"\\"\\\\"', '"\\ud83d\\ude00"', '"\\ud83d"']
)
_documents = st.recursive(
    _scalars,
    lambda members: (
        st.lists(members, max_size=3).map(lambda given: f"[{', '.join(given)}]")
        | st.lists(st.tuples(_names.map(json.dumps), members), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{name}: {value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=6,
)


@st.composite
def documents_alike(draw: st.DrawFn) -> st.SearchStrategy[str]:
    """JSON texts that have a shape in common, or nearly."""
    kinds = [_numbers, integers.map(str), text.map(json.dumps), st.sampled_from(["true", "false", "null"]), _documents]
    members = {name: draw(st.sampled_from(kinds)) for name in draw(st.sets(st.sampled_from("abc"), min_size=1))}
    always = [st.tuples(st.just(json.dumps(name)), kind) for name, kind in members.items()]
    lists = st.lists(draw(st.sampled_from(kinds)), max_size=3).map(lambda given: f"[{','.join(given)}]")
    pairs = st.tuples(*always, st.tuples(st.sampled_from(['"list"', '"list"', '"a"']), lists))
    objects = pairs.map(lambda given: "{" + ", ".join(f"{name}: {value}" for name, value in given) + "}")
    return draw(st.sampled_from([objects, lists, lists | objects]))


_reals = st.floats(-1e6, 1e6) | st.sampled_from([1e16, 1e-7, -0.0])
_KINDS: Mapping[str, st.SearchStrategy[Any]] = {
    "INTEGER": integers,
    "TEXT": st.text('aé"\\\n', min_size=1, max_size=5),
    "REAL": _reals,
    "BLOB": st.binary(max_size=4),
    "BOOLEAN": st.integers(0, 1),
    "JSON": _documents,
    "DECIMAL(10,2)": _reals | integers,
    "": text,
}


@st.composite
def values_of(draw: st.DrawFn, column: Column) -> st.SearchStrategy[Any]:
    """What a column holds: nearly always what it was declared for, and in some NULL."""
    declared = draw(st.sampled_from([column.declared_type] * 15 + [*_KINDS]))
    values = draw(documents_alike()) if declared == "JSON" and draw(st.integers(0, 3)) else _KINDS[declared]
    return values | st.none() if draw(st.integers(0, 3)) == 0 else values


@st.composite
def rows_of(draw: st.DrawFn, rows: RawRows) -> st.SearchStrategy[tuple[Any, ...]]:
    """Raw rows of one level; those of each child source have columns of their own."""
    values: list[st.SearchStrategy[Any]] = [st.integers(0, 9)] * rows.layout.length
    for column in rows.read.relation.columns:
        if column.name in rows.places:
            values[rows.places[column.name]] = draw(values_of(column))
    for child in rows.children:
        place, below = rows.below(child)
        values[place] = st.lists(draw(rows_of(below)), max_size=1 if child.shape == "one" else 3)
    return st.tuples(*values)


# ---- entities


def column_value(column: Column) -> ColumnValue:
    return ColumnValue(column.name, hint=HINTS.get(column.declared_type, ""))  # type: ignore[arg-type]  # of that table


def parsed(column: Column) -> ColumnValue:
    return ColumnValue(column.name, (FilterCall("json"),) if column.declared_type == "JSON" else ())


def template(column: Column) -> Template:
    return Template(("É#", ColumnValue(column.name), "\n"))


@st.composite
def expressions(draw: st.DrawFn, declared: tuple[Column, ...], depth: int) -> Any:
    nested = ["map", "list", "scalars", "one"] * (depth < 2)
    form = draw(st.sampled_from(["column", "column", "constant", *nested]))
    if form in ("list", "scalars", "one"):
        return draw(children(form, declared, depth))
    if form == "map":
        return MapOf(draw(attributes(declared, depth + 1)))
    if form == "constant":
        return draw(constants)
    column = draw(st.sampled_from(declared))
    forms = [column_value, parsed, *[template] * (column.declared_type in ("INTEGER", "TEXT"))]
    return draw(st.sampled_from(forms))(column)


@st.composite
def attributes(draw: st.DrawFn, declared: tuple[Column, ...], depth: int = 0) -> Any:
    names = draw(st.lists(st.sampled_from(["x", "y", "é", "z" * 300]), max_size=4, unique=True))
    return tuple((name, draw(expressions(declared, depth))) for name in names)


@st.composite
def children(draw: st.DrawFn, form: str, parent: tuple[Column, ...], depth: int) -> Children:
    declared = draw(declarations())
    source = SourceSpec(f"child{draw(st.integers(0, 10**6))}")
    declare_table(source.table or "", declared)
    return Children(
        "one" if form == "one" else "list",
        source,
        ((declared[0].name, parent[0].name),),
        attributes=draw(attributes(declared, depth + 1)) if form != "scalars" else (),
        value=draw(expressions(declared, depth + 1)) if form == "scalars" else None,
    )


TENANT = ColumnValue("tenant", builtin=True)


@st.composite
def usual_cases(draw: st.DrawFn) -> Case:
    key_types = draw(st.sampled_from("SSN"))
    table = draw(tables(key_types))
    declared = (Column("id", "INTEGER"), *draw(declarations()))
    declare_table("t", declared)
    names = [key.name for key in table.key_attributes] + [*table.index_key_types()] * draw(st.booleans())
    prefixes = st.sampled_from([(), ("É#",), ("T#", TENANT, "#")] if key_types == "S" else [()])
    keys = [(name, Template((*draw(prefixes), ColumnValue("id")))) for name in names]
    rest = tuple((f"rest {place}", ColumnValue(column.name)) for place, column in enumerate(declared))
    item = ItemSpec(tuple(keys), draw(attributes(declared)), rest=rest if draw(st.booleans()) else ())
    entity = Entity("Thing", SourceSpec("t"), (item,), nulls=draw(st.sampled_from(["omit", "keep"])))
    read = read_of(entity)
    return Case(entity, read, table, draw(st.lists(draw(rows_of(RawRows.of(entity, read))), min_size=1, max_size=6)))
