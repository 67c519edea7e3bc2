"""What mappings and rows may be: hypothesis strategies for entities, the tables they go to, and raw rows.

Values lean towards what is odd; what most rows hold is drawn often enough that most attributes become something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from migrator.mapping.model import (
    Children,
    ColumnValue,
    Constant,
    Entity,
    FilterCall,
    IndexDefinition,
    ItemSpec,
    KeyAttribute,
    MapOf,
    Now,
    Rule,
    SourceSpec,
    TableDefinition,
    Template,
)
from migrator.mapping.reads import RawRows, to_read
from migrator.source.read import Read
from migrator.source.relation import Relation
from migrator.source.schema import Column
from migrator.source.text import InvalidText

COLUMNS = ("a", "b", "né", 'q"\\', "line\n")
DECLARED = ("INTEGER", "TEXT", "REAL", "BLOB", "BOOLEAN", "JSON", "DECIMAL(10,2)", "")
HINTS = {"BOOLEAN": "bool", "JSON": "json", "DECIMAL(10,2)": "number"}

# ---- values

_plain_text = st.sampled_from(
    ["", "a", "Ann", " x ", "USER#1", "é", "日本", "😀", 'a"b', "back\\slash", "\\\\n", "\\u0041"]
)
_meant_text = st.sampled_from(
    [
        *("0", "1", "007", "1.50", "-0", "1e5", "+5", " 12 ", "1_000", "9" * 39, "1E126", "1E-131", "٣"),
        *("true", "No", "2024-01-31", "2024-01-31 12:34:56", "2024-01-31T12:34:56Z", "2024-02-30T00:00:00Z"),
        *("2024-01-31T12:34:56.5+02:00", "0000-00-00 00:00:00", "2024-W01-1T12:34:56", "2024-01-31T24:00:00"),
        *('{"a": [1, 2.50, null]}', "[]", "{}", '["x", "x"]', '{"": 1}', '{"a": 1, "a": 2}', '["\\ud83d"]', "null"),
        *('{"deep": {"er": ["é\\n", true]}}', "[1, 1.0]", "[" * 40 + "]" * 40, "12", '"q"', "{oops", "c0ff", "AP8="),
    ]
)
text = _plain_text | _meant_text | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
integers = st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([10**18, 1_700_000_000, 10**11])
reals = st.sampled_from([0.0, -0.0, 1.0, -12.5, 0.1, 1e16, 1e22, 5e-324, 1.7976931348623157e308]) | st.floats()
long_text = st.sampled_from(["x" * 1025, "é" * 513, "x" * 2049, "y" * 5000])
values = st.one_of(
    st.none(),
    integers,
    reals.filter(lambda value: value == value),  # SQLite has no NaN
    text,
    st.binary(max_size=5),
    st.binary(min_size=300, max_size=800),
    long_text,
    st.sampled_from([InvalidText(b"\xff"), InvalidText(b"caf\xe9")]),
)
usual_values = text | integers | st.none()

# ---- expressions

_arguments = st.sampled_from(["", "x", "0", 0, 1, 2.5])
_FILTER_ARGUMENTS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "pad": st.tuples(st.integers(1, 8)),
    "split": st.tuples(st.sampled_from([",", "a"])),
    "epoch": st.sampled_from([(), (), ("ms",), ("%d/%m/%Y",)]),
    "iso8601": st.sampled_from([(), (), ("us",), ("julian",)]),
    "default": st.tuples(_arguments),
    "nullif": st.lists(_arguments, min_size=1, max_size=2).map(tuple),
    "get": st.tuples(st.sampled_from(["a", "a.0", "deep.er", 0])),
    "prefix": st.tuples(st.sampled_from(["USER#", "é", 7])),
    "shard": st.tuples(st.integers(1, 9)),
    "uuid5": st.tuples(st.sampled_from(["dns", "url"])),
    "python:strategies.own_filter": st.just(()),
}
_BARE = ("lower", "upper", "trim", "string", "number", "bool", "json", "set", "list", "binary", "base64", "hex")
_FILTERS = (*_BARE, "epoch_ms", "date", "sha256", *_FILTER_ARGUMENTS)


def own_filter(value: Any) -> Any:
    """A filter as a user may write one: it takes some values and gives what it likes."""
    return {str: ("tuple", value), int: {"n": value}, float: {1, 2}, bytes: "\ud83d"}.get(type(value), value)


@st.composite
def filter_calls(draw: st.DrawFn) -> tuple[FilterCall, ...]:
    names = draw(st.lists(st.sampled_from(_FILTERS), max_size=2))
    return tuple(FilterCall(name, draw(_FILTER_ARGUMENTS.get(name, st.just(())))) for name in names)


@st.composite
def column_values(draw: st.DrawFn, declared: tuple[Column, ...], *, hinted: bool = False) -> ColumnValue:
    if draw(st.integers(0, 9)) == 0:
        builtin = draw(st.sampled_from(["rowid", "file", "stem", "tenant", "empty"]))
        return ColumnValue(builtin, draw(filter_calls()), builtin=True)
    column = draw(st.sampled_from(declared))
    filters = draw(st.just(()) | filter_calls())
    hint = HINTS.get(column.declared_type, "") if hinted and not filters else ""
    return ColumnValue(column.name, filters, hint=hint)  # type: ignore[arg-type]  # of the table above


def templates(declared: tuple[Column, ...]) -> st.SearchStrategy[Template]:
    parts = st.sampled_from(["USER#", "#", "é{}", ""]) | column_values(declared)
    return st.lists(parts, min_size=1, max_size=3).map(lambda parts: Template(tuple(parts)))


@st.composite
def key_templates(draw: st.DrawFn, declared: tuple[Column, ...]) -> Template:
    """Mostly of the kind that most rows have a key by."""
    if draw(st.integers(0, 3)) == 0:
        return draw(templates(declared))
    column = draw(st.sampled_from([ColumnValue("rowid", builtin=True), ColumnValue(declared[0].name)]))
    always = (*draw(filter_calls())[:1], FilterCall("default", (draw(st.sampled_from([7, "x"])),)))
    return Template((*draw(st.sampled_from([("USER#",), (), ("1",)])), replace(column, filters=always)))


constants = st.sampled_from([{"S": "User"}, {"N": "1.50"}, {"BOOL": True}, {"NULL": True}, {"L": [{"S": '"'}]}]).map(
    Constant
)


@st.composite
def expressions(draw: st.DrawFn, declared: tuple[Column, ...], depth: int = 0) -> Any:
    nested = [*["map"] * (depth < 3), *["list", "scalars", "one", "entries"] * (depth < 2)]
    form = draw(st.sampled_from(["column"] * 4 + ["template", "constant", "now", *nested]))
    if form in ("list", "scalars", "one", "entries"):
        return draw(children(form, declared, depth))
    strategies = {
        "column": column_values(declared, hinted=True),
        "template": templates(declared),
        "constant": constants,
        "now": st.integers(-3, 3).map(Now),
        "map": attributes(declared, depth + 1).map(MapOf),
    }
    return draw(strategies[form])


@st.composite
def attributes(draw: st.DrawFn, declared: tuple[Column, ...], depth: int = 0) -> Any:
    names = draw(st.lists(st.sampled_from(["x", "y", "é", 'n"\n', "G", "z" * 300]), max_size=4, unique=True))
    return tuple((name, draw(expressions(declared, depth))) for name in names)


@st.composite
def children(draw: st.DrawFn, form: str, parent: tuple[Column, ...], depth: int) -> Children:
    declared = draw(declarations())
    source = SourceSpec(f"child{draw(st.integers(0, 10**6))}")
    declare_table(source.table or "", declared)
    match = ((declared[0].name, parent[0].name),)
    return Children(
        "list" if form == "scalars" else form,  # type: ignore[arg-type]  # one of the three
        source,
        match,
        attributes=draw(attributes(declared, depth + 1)) if form in ("list", "one") else (),
        value=draw(expressions(declared, depth + 1)) if form in ("scalars", "entries") else None,
        name=draw(column_values(declared)) if form == "entries" else None,
    )


# ---- sources, tables and entities

_RELATIONS: dict[str, Relation] = {}


def declarations() -> st.SearchStrategy[tuple[Column, ...]]:
    return st.lists(st.sampled_from(DECLARED), min_size=1, max_size=len(COLUMNS)).map(
        lambda types: tuple(Column(name, declared) for name, declared in zip(COLUMNS, types, strict=False))
    )


def declare_table(name: str, declared: tuple[Column, ...]) -> None:
    """A table of the source from now on."""
    _RELATIONS[name] = Relation(name, "table", f'"{name}"', declared, key=(declared[0].name,), rowid="rowid")


def read_of(entity: Entity) -> Read:
    return to_read(entity, lambda source: _RELATIONS[source.table or ""])


@st.composite
def tables(draw: st.DrawFn, key_types: str = "SSSNB") -> TableDefinition:
    kinds = st.sampled_from(key_types)
    sort_key = draw(st.none() | kinds.map(lambda kind: KeyAttribute("SK", kind)))
    projection = draw(st.sampled_from(["ALL", "KEYS_ONLY", "INCLUDE"]))
    index = IndexDefinition(
        "GSI", KeyAttribute("G", draw(kinds)), draw(st.none() | st.just(sort_key)), projection, ("x",)
    )
    indexes = (index,) if draw(st.booleans()) else ()
    return TableDefinition("t", KeyAttribute("PK", draw(kinds)), sort_key, global_indexes=indexes)


@dataclass(frozen=True)
class Case:
    """An entity, what it reads, where it goes, and rows of its source as they are read."""

    entity: Entity
    read: Read
    table: TableDefinition
    rows: list[tuple[Any, ...]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    table = draw(tables())
    declared = draw(declarations())
    declare_table("t", declared)
    index_keys = [*table.index_key_types()]
    items = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        keys = [key.name for key in table.key_attributes] + index_keys * draw(st.booleans())
        items.append(
            ItemSpec(
                tuple((name, draw(key_templates(declared))) for name in keys),
                tuple((name, value) for name, value in draw(attributes(declared)) if name not in keys),
                where=draw(st.none() | st.just("b > 1")),
                rest=tuple((f"rest {c.name}", ColumnValue(c.name)) for c in declared if draw(st.booleans())),
            )
        )
    rules = draw(st.lists(rules_of(declared), max_size=1).map(tuple)) if draw(st.integers(0, 4)) == 0 else ()
    nulls = draw(st.sampled_from(["omit", "omit", "keep"]))
    entity = Entity("Thing", SourceSpec("t"), tuple(items), nulls=nulls, rules=rules)  # type: ignore[arg-type]
    read = read_of(entity)
    return Case(entity, read, table, draw(st.lists(raw_rows(RawRows.of(entity, read)), min_size=1, max_size=4)))


def rules_of(declared: tuple[Column, ...]) -> st.SearchStrategy[Rule]:
    return st.builds(
        Rule,
        column=st.sampled_from([column.name for column in declared]),
        required=st.booleans(),
        max_length=st.none() | st.just(3),
        severity=st.sampled_from(["error", "warn"]),
    )


@st.composite
def raw_rows(draw: st.DrawFn, rows: RawRows) -> tuple[Any, ...]:
    layout = rows.layout
    raw = [draw(usual_values if draw(st.booleans()) else values) for _ in range(layout.length)]
    if layout.rowid is not None:
        raw[layout.rowid] = draw(st.integers(-(2**63), 2**63 - 1))
    for child in rows.children:
        place, below = rows.below(child)
        raw[place] = draw(st.lists(raw_rows(below), max_size=2))
    return tuple(raw)
