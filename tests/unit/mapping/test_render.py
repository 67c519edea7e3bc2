"""From a mapping's text and a real SQLite file to items: what each part of the language gives, and what it rejects."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import RowRejected
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.document import load_mapping
from migrator.mapping.evaluate import RenderContext
from migrator.mapping.model import Attributes
from migrator.mapping.reads import to_read
from migrator.mapping.rejects import REJECT_CODES
from migrator.mapping.render import EntityRenderer, render_fixed
from migrator.source.connection import connect
from migrator.source.read import WHOLE
from migrator.source.reflection import reflect_schema
from migrator.source.rows import iter_rows
from migrator.source.snapshot import take_snapshot

NOW_S = 1_800_000_000
TABLE = "{name: things, partition_key: PK}"
INDEXED = "{name: things, partition_key: PK, global_indexes: {GSI: {partition_key: G}}}"
#: A row's attributes, item by item, or the code that rejects it.
Outcome = list[Attributes] | str
Render = Callable[..., list[Outcome]]


@pytest.fixture
def rejected() -> list[RowRejected]:
    """Give the rejections that `render` met, in order."""
    return []


@pytest.fixture
def render(tmp_path: Path, rejected: list[RowRejected]) -> Render:
    """Give a function from a script and an entity's blocks to what its rows become."""

    def outcomes(script: str, *, table: str = TABLE, validate: bool = True, **entity: str) -> list[Outcome]:
        blocks = {"source": "t", "key": '{PK: "{id}"}', "columns": "none"} | entity
        if "items" in blocks:
            del blocks["key"]
        body = "".join(f"    {name}: {value}\n" for name, value in blocks.items())
        (tmp_path / "things.yaml").write_text(f"table: {table}\nentities:\n  Thing:\n{body}", "utf-8")
        (tmp_path / "shop.sqlite").unlink(missing_ok=True)
        database = sqlite3.connect(tmp_path / "shop.sqlite")
        database.executescript(script)
        database.close()
        return list(_outcomes(tmp_path, rejected, validate=validate))

    return outcomes


def _outcomes(folder: Path, rejected: list[RowRejected], *, validate: bool) -> Iterator[Outcome]:
    mapping = load_mapping(folder / "things.yaml")
    path = folder / "shop.sqlite"
    with connect(take_snapshot(path)) as connection:
        schema = reflect_schema(connection, str(path))
        (entity,) = bind(mapping, schema, connection).entities
        read = to_read(entity, partial(_relation, schema, connection))
        context = RenderContext(NOW_S, path.name, path.stem)
        renderer = EntityRenderer(entity, read, mapping.table, context, validate=validate)
        for row in iter_rows(connection, read, WHOLE):
            try:
                yield [item.attributes for _, item in renderer.render(row).items]
            except RowRejected as error:
                rejected.append(error)
                yield error.code


def _relation(schema: Any, connection: Any, spec: Any) -> Any:
    return relation_of(spec, schema, connection)


def one_value(literal: str, declared: str = "") -> str:
    """A table with a single row, whose column `v` holds the literal."""
    return f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared}); INSERT INTO t VALUES (1, {literal});"


def attribute(outcomes: list[Outcome], name: str = "a") -> Any:
    """What the only row made of an attribute: its value, None where it is absent, or the row's reject code."""
    (outcome,) = outcomes
    if isinstance(outcome, str):
        return outcome
    (item,) = outcome
    return item.get(name)


# ---- keys


@pytest.mark.parametrize(
    ("key_type", "template", "literal", "expected"),
    [
        ("S", "U#{v}", "'ann'", {"S": "U#ann"}),
        ("S", "U#{v|upper}", "'ann'", {"S": "U#ANN"}),
        ("S", "U#{v}", "7", {"S": "U#7"}),
        ("S", "U#{v}", "7.0", {"S": "U#7.0"}),
        ("S", "U#{v}", "''", {"S": "U#"}),
        ("S", "U#{v|default('none')}", "NULL", {"S": "U#none"}),
        ("S", "{{{v}}}", "1", {"S": "{1}"}),
        ("S", "CONSTANT", "NULL", {"S": "CONSTANT"}),
        ("S", "{v}", "'ünï'", {"S": "ünï"}),
        ("S", "{v|hex}", "x'c0ff'", {"S": "c0ff"}),
        ("S", "{v}", "x'c0ff'", "blob_in_template"),
        ("S", "{v}", "CAST(x'c0ff' AS TEXT)", "invalid_utf8"),
        ("S", "U#{v}", "NULL", "null_key"),
        ("S", "U#{v|json}", "'null'", "null_key"),
        ("S", "{v}{v}", "''", "empty_key"),
        ("S", "{v|trim}", "'  '", "empty_key"),
        ("S", "{v|json}", "'[1]'", "not_text"),
        ("S", "{v}", "printf('%.2049c', 'x')", "key_too_long"),
        ("N", "{v}", "7", {"N": "7"}),
        ("N", "{v}", "1.5", {"N": "1.5"}),
        ("N", "{v}", "'12'", {"N": "12"}),
        ("N", "1{v}", "'2'", {"N": "12"}),
        ("N", "{v}", "NULL", "null_key"),
        ("N", "{v}", "''", "empty_key"),
        ("N", "{v}", "'twelve'", "key_type"),
        ("N", "{v}", "x'07'", "blob_in_template"),
        ("N", "{v}", "9e999", "number_not_finite"),
        ("B", "{v}", "x'c0ff'", {"B": b"\xc0\xff"}),
        ("B", "{v|hex}", "'c0ff'", {"B": b"\xc0\xff"}),
        ("B", "{v}", "'text'", {"B": b"text"}),
        ("B", "U#{v}", "7", {"B": b"U#7"}),
        ("B", "U#{v}", "x'c0ff'", "blob_in_template"),
        ("B", "{v}", "NULL", "null_key"),
        ("B", "{v}", "''", "empty_key"),
        ("B", "{v}", "x''", "empty_key"),
        ("B", "{v}", "CAST(x'c0ff' AS TEXT)", "invalid_utf8"),
    ],
)
def test_a_table_key_takes_its_declared_type_or_rejects_the_row(
    render: Render, key_type: str, template: str, literal: str, expected: Any
) -> None:
    table = f"{{name: things, partition_key: {{PK: {key_type}}}}}"
    assert attribute(render(one_value(literal), table=table, key=f'{{PK: "{template}"}}'), "PK") == expected


def test_a_sort_key_may_have_fewer_bytes_than_a_partition_key(render: Render) -> None:
    table = "{name: things, partition_key: PK, sort_key: SK}"
    script = one_value("printf('%.1025c', 'x')")
    assert render(script, table=table, key='{PK: "{v}", SK: "{id}"}') != ["key_too_long"]
    assert render(script, table=table, key='{PK: "{id}", SK: "{v}"}') == ["key_too_long"]


def test_the_rejection_of_a_key_names_the_column_to_mend(render: Render, rejected: list[RowRejected]) -> None:
    render(one_value("NULL"), key='{PK: "{id}#{v}"}')
    render(one_value("''"), key='{PK: "{v}"}')
    render(one_value("x'00'"), key='{PK: "{id}#{v}"}')
    number = "{name: things, partition_key: {PK: N}}"
    render(one_value("'twelve'"), table=number, key='{PK: "{v}"}')
    assert [(error.code, error.column) for error in rejected] == [
        ("null_key", "v"),
        ("empty_key", "v"),
        ("blob_in_template", "v"),
        ("key_type", "v"),
    ]


@pytest.mark.parametrize(
    ("key_type", "template", "literal", "expected"),
    [
        ("S", "E#{v}", "'x'", {"S": "E#x"}),
        ("S", "E#{v}", "NULL", None),
        ("S", "E#{v}", "''", {"S": "E#"}),
        ("S", "{v}", "''", None),
        ("S", "{v|trim}", "' '", None),
        ("S", "{v}", "x'00'", "blob_in_template"),
        ("S", "{v}", "printf('%.2049c', 'x')", "key_too_long"),
        ("N", "{v}", "5", {"N": "5"}),
        ("N", "{v}", "NULL", None),
        ("N", "{v}", "''", None),
        ("N", "{v}", "'five'", "index_key_type"),
        ("B", "{v}", "x'05'", {"B": b"\x05"}),
        ("B", "{v}", "NULL", None),
        ("B", "{v}", "x''", None),
    ],
)
def test_an_index_key_without_a_value_is_left_out_and_one_of_another_type_rejects(
    render: Render, key_type: str, template: str, literal: str, expected: Any
) -> None:
    table = INDEXED.replace("partition_key: G", f"partition_key: {{G: {key_type}}}")
    outcomes = render(one_value(literal), table=table, key=f'{{PK: "{{id}}", G: "{template}"}}')
    assert attribute(outcomes, "G") == expected


@pytest.mark.parametrize(
    ("literal", "expected"),
    [("'x'", {"S": "x"}), ("NULL", None), ("5", "index_key_type"), ("''", "index_key_empty")],
)
def test_an_attribute_that_is_an_index_key_must_fit_the_index(render: Render, literal: str, expected: Any) -> None:
    assert attribute(render(one_value(literal), table=INDEXED, attributes="{G: v}"), "G") == expected


def test_of_an_index_with_two_keys_only_the_one_without_a_value_is_left_out(render: Render) -> None:
    table = "{name: things, partition_key: PK, global_indexes: {GSI: {partition_key: GP, sort_key: GS}}}"
    key = '{PK: "{id}", GP: "P#{id}", GS: "{v}"}'
    assert render(one_value("NULL"), table=table, key=key) == [[{"PK": {"S": "1"}, "GP": {"S": "P#1"}}]]


# ---- attributes


@pytest.mark.parametrize(
    ("expression", "literal", "expected"),
    [
        ("v", "'x'", {"S": "x"}),
        ("v", "''", {"S": ""}),
        ("v", "7", {"N": "7"}),
        ("v", "0.1", {"N": "0.1"}),
        ("v", "x'00ff'", {"B": b"\x00\xff"}),
        ("v", "NULL", None),
        ("v|default('-')", "NULL", {"S": "-"}),
        ("v|nullif('')", "''", None),
        ("v|json", "'null'", {"NULL": True}),
        ("v|bool", "1", {"BOOL": True}),
        ("\"v|split(',')|set\"", "'b,a,b'", {"SS": ["b", "a"]}),
        ('{template: "<{v}>"}', "'x'", {"S": "<x>"}),
        ('{template: "<{v}>"}', "''", {"S": "<>"}),
        ('{template: "<{id}{v}>"}', "NULL", None),
        ('{template: "{@rowid} {@file} {@stem}"}', "NULL", {"S": "1 shop.sqlite shop"}),
        ('"@rowid"', "NULL", {"N": "1"}),
        ('"@stem|upper"', "NULL", {"S": "SHOP"}),
        ("{value: Thing}", "NULL", {"S": "Thing"}),
        ("{value: 1.50}", "NULL", {"N": "1.50"}),
        ("{value: true}", "NULL", {"BOOL": True}),
        ("{value: [1, {b: x}]}", "NULL", {"L": [{"N": "1"}, {"M": {"b": {"S": "x"}}}]}),
        ("{map: {b: v, c: {value: 1}}}", "'x'", {"M": {"b": {"S": "x"}, "c": {"N": "1"}}}),
        ("{map: {b: v, c: {map: {d: v}}}}", "NULL", {"M": {"c": {"M": {}}}}),
    ],
)
def test_an_attribute_is_what_its_expression_gives(
    render: Render, expression: str, literal: str, expected: Any
) -> None:
    assert attribute(render(one_value(literal), attributes=f"{{a: {expression}}}")) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("v", {"NULL": True}),
        ("v|lower", {"NULL": True}),
        ("v|default(0)", {"N": "0"}),
        ("{map: {b: v}}", {"M": {"b": {"NULL": True}}}),
        ("{list: {source: t, match: {id: id}, attributes: {b: v}}}", {"L": [{"M": {"b": {"NULL": True}}}]}),
        ("{list: {source: t, match: {id: id}, value: v}}", {"L": [{"NULL": True}]}),
        ("{entries: {source: t, match: {id: id}, name: id, value: v}}", {"M": {"1": {"NULL": True}}}),
        ('{template: "<{v}>"}', None),
        ("{one: {source: t, match: {id: v}, attributes: {b: v}}}", None),
    ],
)
def test_with_nulls_keep_a_null_is_written_as_null_but_a_template_is_left_out(
    render: Render, expression: str, expected: Any
) -> None:
    assert attribute(render(one_value("NULL"), nulls="keep", attributes=f"{{a: {expression}}}")) == expected


def test_an_index_key_that_is_null_is_left_out_even_where_nulls_are_kept(render: Render) -> None:
    outcomes = render(one_value("NULL"), table=INDEXED, nulls="keep", key='{PK: "{id}", G: "{v}"}')
    assert outcomes == [[{"PK": {"S": "1"}}]]


@pytest.mark.parametrize(
    ("declared", "literal", "expected"),
    [
        ("BOOLEAN", "1", {"BOOL": True}),
        ("BOOLEAN", "0", {"BOOL": False}),
        ("BOOLEAN", "2", {"N": "2"}),
        ("BOOLEAN", "'yes'", {"S": "yes"}),
        ("JSON", "'{\"b\": [1, null]}'", {"M": {"b": {"L": [{"N": "1"}, {"NULL": True}]}}}),
        ("JSON", "'{broken'", {"S": "{broken"}),
        ("JSON", "NULL", None),
        ("DECIMAL(10, 2)", "1.5", {"N": "1.5"}),
        ("NUMERIC", "'12345678901234567890.5'", {"N": "12345678901234567000"}),
        ("DECIMAL", "'n/a'", {"S": "n/a"}),
        ("TEXT", "1", {"S": "1"}),
        ("INTEGER", "'x'", {"S": "x"}),
    ],
)
def test_a_declared_type_is_a_hint_for_mapped_and_for_remaining_columns(
    render: Render, declared: str, literal: str, expected: Any
) -> None:
    script = one_value(literal, declared)
    assert attribute(render(script, attributes="{a: v}")) == expected
    assert attribute(render(script, columns="rest", key='{PK: "{id}"}'), "v") == expected


def test_filters_get_the_raw_value_whatever_the_declared_type(render: Render) -> None:
    assert attribute(render(one_value("1", "BOOLEAN"), attributes="{a: v|string}")) == {"S": "1"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("rest", {"PK", "a", "c", "d"}),
        ("none", {"PK", "a"}),
        ("{except: [c]}", {"PK", "a", "d"}),
        ("{except: [c, D]}", {"PK", "a"}),
    ],
)
def test_columns_says_which_of_the_unused_columns_are_copied(render: Render, columns: str, expected: set[str]) -> None:
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, b, c, d); INSERT INTO t VALUES (1, 2, 3, 4);"
    (outcome,) = render(script, columns=columns, attributes="{a: b|string}")
    assert set(outcome[0]) == expected  # type: ignore[call-overload]


def test_each_item_of_a_row_has_its_own_condition_and_its_own_rest(render: Render) -> None:
    script = """
        CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT, visible INTEGER);
        INSERT INTO t VALUES (1, 'ann', 1), (2, 'bob', 0), (3, 'eve', NULL);
    """
    items = """[
        {key: {PK: "T#{id}"}},
        {key: {PK: "U#{owner}"}, where: visible = 1, attributes: {id: id}},
        {key: {PK: "H#{id}"}, where: "visible = 0 OR visible > 5", attributes: {x: {value: 1}}}]"""
    assert render(script, columns="rest", items=items) == [
        [
            {"PK": {"S": "T#1"}, "owner": {"S": "ann"}, "visible": {"N": "1"}},
            {"PK": {"S": "U#ann"}, "id": {"N": "1"}, "visible": {"N": "1"}},
        ],
        [
            {"PK": {"S": "T#2"}, "owner": {"S": "bob"}, "visible": {"N": "0"}},
            {"PK": {"S": "H#2"}, "x": {"N": "1"}, "owner": {"S": "bob"}, "visible": {"N": "0"}},
        ],
        [{"PK": {"S": "T#3"}, "owner": {"S": "eve"}}],
    ]


def test_a_row_whose_second_item_cannot_be_made_gives_no_item_at_all(render: Render) -> None:
    script = one_value("NULL") + "INSERT INTO t VALUES (2, 'x');"
    items = '[{key: {PK: "T#{id}"}}, {key: {PK: "V#{v}"}}]'
    assert render(script, items=items) == ["null_key", [{"PK": {"S": "T#2"}}, {"PK": {"S": "V#x"}}]]


def test_an_item_whose_condition_does_not_hold_cannot_reject_its_row(render: Render) -> None:
    items = '[{key: {PK: "T#{id}"}}, {key: {PK: "V#{v}"}, where: v IS NOT NULL}]'
    assert render(one_value("NULL"), items=items) == [[{"PK": {"S": "T#1"}}]]


# ---- sources


def test_a_view_a_query_and_a_table_without_rowid_are_sources_like_tables(render: Render) -> None:
    script = """
        CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER) WITHOUT ROWID; INSERT INTO t VALUES ('b', 2), ('a', 1);
        CREATE VIEW w AS SELECT id, v * 10 AS v FROM t;
    """
    for source, factor in [
        ("t", 1),
        ("w", 10),
        ("{table: w, key: [id]}", 10),
        ('{query: "SELECT id AS ID, v * 7 AS v FROM t ORDER BY v DESC", key: [id]}', 7),
    ]:
        outcomes = render(script, source=source, attributes="{v: v}")
        numbers = {item["PK"]["S"]: item["v"]["N"] for (item,) in outcomes}  # type: ignore[misc]
        assert numbers == {"a": str(factor), "b": str(2 * factor)}, source


def test_where_leaves_rows_out_before_anything_is_rendered(render: Render) -> None:
    script = one_value("NULL") + "INSERT INTO t VALUES (2, 'x');"
    assert render(script, where="v IS NOT NULL", key='{PK: "{v}"}') == [[{"PK": {"S": "x"}}]]


# ---- children

FAMILY = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO t VALUES (1, 'ann'), (2, 'bob'), (3, 'eve');
    CREATE TABLE child (parent INTEGER, pos INTEGER, name TEXT, PRIMARY KEY (parent, pos));
    INSERT INTO child VALUES (1, 2, 'y'), (1, 1, 'x'), (1, 3, NULL), (3, 1, 'z');
    CREATE TABLE grandchild (parent INTEGER, pos INTEGER, word TEXT);
    INSERT INTO grandchild VALUES (1, 2, 'q'), (1, 1, 'p'), (1, 1, 'o'), (3, 1, 'r'), (9, 9, 'lost');
    CREATE VIEW children AS SELECT * FROM child;
"""


def listed(*texts: str) -> dict[str, Any]:
    return {"L": [{"S": text} for text in texts]}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("list: {source: child, match: {parent: id}, value: name}", [listed("x", "y"), listed(), listed("z")]),
        (
            "list: {source: child, match: {parent: id}, order_by: pos DESC, value: name}",
            [listed("y", "x"), listed(), listed("z")],
        ),
        (
            "list: {source: child, match: {parent: id}, where: pos > 1, value: name|upper}",
            [listed("Y"), listed(), listed()],
        ),
        ("list: {source: children, match: {parent: id}, value: name}", [listed("x", "y"), listed(), listed("z")]),
        (
            "list: {source: {query: 'SELECT parent, max(pos) AS m FROM child GROUP BY 1', key: [parent]}, "
            "match: {parent: id}, value: m}",
            [{"L": [{"N": "3"}]}, {"L": []}, {"L": [{"N": "1"}]}],
        ),
        (
            "list: {source: child, match: {PARENT: ID}, where: pos < 3, attributes: {n: name, p: pos}}",
            [
                {"L": [{"M": {"n": {"S": "x"}, "p": {"N": "1"}}}, {"M": {"n": {"S": "y"}, "p": {"N": "2"}}}]},
                {"L": []},
                {"L": [{"M": {"n": {"S": "z"}, "p": {"N": "1"}}}]},
            ],
        ),
        (
            "one: {source: child, match: {parent: id}, where: pos = 2, attributes: {n: name}}",
            [{"M": {"n": {"S": "y"}}}, None, None],
        ),
        (
            "one: {source: child, match: {parent: id}, attributes: {n: name}}",
            ["many_rows", None, {"M": {"n": {"S": "z"}}}],
        ),
        (
            "entries: {source: child, match: {parent: id}, name: pos, value: name}",
            [{"M": {"1": {"S": "x"}, "2": {"S": "y"}}}, {"M": {}}, {"M": {"1": {"S": "z"}}}],
        ),
        (
            "entries: {source: child, match: {parent: id}, name: name, value: pos}",
            ["null_name", {"M": {}}, {"M": {"z": {"N": "1"}}}],
        ),
        (
            "entries: {source: grandchild, match: {parent: id}, name: pos, value: word}",
            ["duplicate_name", {"M": {}}, {"M": {"1": {"S": "r"}}}],
        ),
        (
            "entries: {source: child, match: {parent: id}, where: name IS NOT NULL, name: name, value: {value: 1}}",
            [{"M": {"x": {"N": "1"}, "y": {"N": "1"}}}, {"M": {}}, {"M": {"z": {"N": "1"}}}],
        ),
    ],
)
def test_child_rows_stand_inside_of_their_parents(render: Render, block: str, expected: list[Any]) -> None:
    outcomes = render(FAMILY, attributes=f"{{a: {{{block}}}}}")
    assert [attribute([outcome]) for outcome in outcomes] == expected


def test_children_nest_and_each_level_keeps_its_own_order(render: Render) -> None:
    attributes = """{a: {list: {source: child, match: {parent: id}, order_by: pos DESC, attributes: {
        n: name,
        words: {list: {source: grandchild, match: {parent: parent, pos: pos}, order_by: word, value: word}},
        inner: {map: {first: {one: {source: grandchild, match: {parent: parent, pos: pos}, where: "word > 'p'",
                                    attributes: {w: word}}}}}}}}}"""

    def child(name: str | None, first: str | None, *words: str) -> dict[str, Any]:
        inner = {"first": {"M": {"w": {"S": first}}}} if first else {}
        return {"M": {**({"n": {"S": name}} if name else {}), "words": listed(*words), "inner": {"M": inner}}}

    outcomes = render(FAMILY, attributes=attributes)
    assert [attribute([outcome]) for outcome in outcomes] == [
        {"L": [child(None, None), child("y", "q", "q"), child("x", None, "o", "p")]},
        {"L": []},
        {"L": [child("z", "r", "r")]},
    ]


def test_a_child_that_cannot_be_rendered_rejects_its_parent_alone(render: Render) -> None:
    attributes = "{a: {list: {source: child, match: {parent: id}, where: name IS NOT NULL, value: name|number}}}"
    assert render(FAMILY, attributes=attributes) == [
        "not_a_number",
        [{"PK": {"S": "2"}, "a": {"L": []}}],
        "not_a_number",
    ]


def test_the_rowid_of_a_child_is_its_own(render: Render) -> None:
    attributes = '{a: {list: {source: grandchild, match: {parent: id}, order_by: pos, value: "@rowid"}}}'
    outcomes = render(FAMILY, where="id = 1", attributes=attributes)
    assert attribute(outcomes) == {"L": [{"N": "2"}, {"N": "3"}, {"N": "1"}]}


def test_two_attributes_may_show_the_same_children(render: Render) -> None:
    child = "{list: {source: child, match: {parent: id}, value: name}}"
    outcomes = render(FAMILY, where="id = 1", attributes=f"{{a: {child}, b: {{map: {{c: {child}}}}}}}")
    assert attribute(outcomes) == listed("x", "y")
    assert attribute(outcomes, "b") == {"M": {"c": listed("x", "y")}}


# ---- rules


@pytest.mark.parametrize(
    ("rule", "literal", "code"),
    [
        ("required: true", "NULL", "required"),
        ("type: integer", "'x'", "type"),
        ("one_of: [a, b]", "'c'", "one_of"),
        ("min: 3", "2", "min"),
        ("max: 3", "4", "max"),
        ("max_length: 2", "'abc'", "max_length"),
        ('pattern: "@"', "'x'", "pattern"),
    ],
)
def test_a_rule_rejects_by_its_name_or_only_warns(
    render: Render, rejected: list[RowRejected], rule: str, literal: str, code: str
) -> None:
    assert render(one_value(literal), rules=f"{{V: {{{rule}}}}}") == [code]
    assert [error.column for error in rejected] == ["v"]
    assert render(one_value(literal), rules=f"{{V: {{{rule}, severity: warn}}}}") == [[{"PK": {"S": "1"}}]]


def test_rules_are_checked_on_the_sources_value_before_the_row_is_rendered(render: Render) -> None:
    assert render(one_value("NULL"), key='{PK: "{v}"}', rules="{v: {required: true}}") == ["required"]
    outcomes = render(one_value("' a '"), rules="{v: {max_length: 2}}", attributes="{a: v|trim}")
    assert outcomes == ["max_length"]


# ---- what else rejects a row

DEEP = "[" * 33 + "]" * 33


@pytest.mark.parametrize(
    ("expression", "literal", "code"),
    [
        ("v", "CAST(x'ff' AS TEXT)", "invalid_utf8"),
        ('{template: "{v}"}', "x'00'", "blob_in_template"),
        ("v|json|lower", "'[1]'", "not_text"),
        ("v", "9e999", "number_not_finite"),
        ("v", "1e126", "number_out_of_range"),
        ("v|number", "'1234567890123456789012345678901234567890'", "number_too_precise"),
        ("v|json", "'\"\\ud800\"'", "lone_surrogate"),
        ("v|number", "'x'", "not_a_number"),
        ("v|bool", "'maybe'", "not_a_boolean"),
        ("v|iso8601", "'soon'", "not_a_date"),
        ("v|epoch", "1e15", "date_out_of_range"),
        ("v|json", "'{'", "invalid_json"),
        ("v|json", '\'{"a": 1, "a": 2}\'', "duplicate_name"),
        ("v|json|set", "'[1, \"a\"]'", "set_mixed"),
        ("v|binary", "1", "not_binary"),
        ("v|base64", "'*'", "invalid_base64"),
        ("v|hex", "'xyz'", "invalid_hex"),
        ("v|pad(3)", "'x'", "pad_not_digits"),
        ("v|pad(3)", "-1", "pad_negative"),
        ("v|pad(3)", "1000", "pad_too_long"),
        ("python:filters_of_test.fail", "1", "filter_failed"),
        ("python:filters_of_test.thing", "1", "unsupported_value"),
        ("v", "printf('%.409600c', 'x')", "item_too_large"),
        ("v|json", f"'{DEEP}'", "nesting_too_deep"),
        ("v|json", "'{\"\": 1}'", "empty_name"),
        ("v|json", "json_object(printf('%.65537c', 'x'), 1)", "name_too_long"),
    ],
)
def test_a_value_that_cannot_be_an_attribute_rejects_its_row_with_a_code(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expression: str, literal: str, code: str
) -> None:
    (tmp_path / "filters_of_test.py").write_text(
        "def fail(value):\n    return 1 / 0\n\n\ndef thing(value):\n    return object()\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    written = expression.replace("python:", "v|python:")
    script = one_value(literal) + "INSERT INTO t VALUES (2, NULL);"
    first, second = render(script, attributes=f"{{a: {written}}}")
    assert first == code
    assert second == [{"PK": {"S": "2"}}]
    assert code in REJECT_CODES


def test_without_validation_limits_are_the_services_affair_but_keys_are_not(render: Render) -> None:
    too_large = one_value("printf('%.409600c', 'x')")
    assert render(too_large, attributes="{a: v}", validate=False) != ["item_too_large"]
    assert render(one_value("NULL"), key='{PK: "{v}"}', validate=False) == ["null_key"]


# ---- fixed items


def test_a_fixed_item_knows_moments_after_the_runs_start(tmp_path: Path) -> None:
    path = tmp_path / "fixed.yaml"
    items = "[{PK: SYSTEM, n: 1.0, ttl: {now: +2d}, at: {now: -1h}, m: {a: [x, null]}}]"
    path.write_text(f"table: {TABLE}\nitems: {items}\n", "utf-8")
    mapping = load_mapping(path)
    item = render_fixed(mapping.fixed_items[0], mapping.table, RenderContext(NOW_S))
    assert item.key == {"PK": {"S": "SYSTEM"}}
    assert item.attributes == {
        "PK": {"S": "SYSTEM"},
        "n": {"N": "1.0"},
        "ttl": {"N": str(NOW_S + 2 * 86_400)},
        "at": {"N": str(NOW_S - 3_600)},
        "m": {"M": {"a": {"L": [{"S": "x"}, {"NULL": True}]}}},
    }


def test_a_rejection_in_a_child_row_names_the_childs_column(render: Render, rejected: list[RowRejected]) -> None:
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 5);"
    script += "CREATE TABLE c (t INTEGER, n); INSERT INTO c VALUES (1, 'much');"
    render(
        script, key='{PK: "{id}"}', attributes="{cs: {list: {source: c, match: {t: id}, attributes: {n: n|number}}}}"
    )
    assert [(error.code, error.column) for error in rejected] == [("not_a_number", "c.n")]
