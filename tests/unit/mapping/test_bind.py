"""Mappings against real schemas: exact names, hints, the rest of the columns, and what does not fit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from migrator.errors import DocumentError
from migrator.mapping.bind import bind, relation_of
from migrator.mapping.document import load_mapping
from migrator.mapping.model import ColumnValue, SourceSpec
from migrator.source.connection import connect
from migrator.source.reflection import reflect_schema
from migrator.source.snapshot import take_snapshot

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at TEXT, total DECIMAL(10, 2));
CREATE TABLE lines (order_id INTEGER, position INTEGER, product TEXT, Qty NUMERIC, PRIMARY KEY (order_id, position));
CREATE TABLE notes (line INTEGER, note TEXT);
CREATE TABLE flags (
  Code TEXT PRIMARY KEY, Active BOOLEAN, Payload JSON, amount NUMERIC, PK TEXT, "a b" TEXT
) WITHOUT ROWID;
CREATE VIEW late AS SELECT id, placed_at FROM orders;
CREATE TABLE computed (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER AS (a * 2) STORED, c INTEGER AS (a * 3));
CREATE VIEW broken AS SELECT * FROM nowhere;
"""


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.sqlite"
    database = sqlite3.connect(path)
    database.executescript(SHOP)
    database.close()
    with connect(take_snapshot(path)) as connection:
        yield reflect_schema(connection, str(path)), connection


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def order(**changes):
        blocks = {"source": "orders", "key": '{PK: "ORDER#{id}"}'} | changes
        body = "\n".join(f"    {key}: {value}" for key, value in blocks.items() if value is not None)
        Path("mappings").mkdir(exist_ok=True)
        Path("mappings/orders.yaml").write_text(
            f"table: {{name: orders, partition_key: PK}}\nentities:\n  Order:\n{body}\n", "utf-8"
        )
        return load_mapping("mappings/orders.yaml")

    return order


@pytest.fixture
def bound(load, shop):
    return lambda **changes: bind(load(**changes), *shop).entities[0]


@pytest.fixture
def problems(load, shop):
    def of(**changes):
        mapping = load(**changes)
        with pytest.raises(DocumentError) as caught:
            bind(mapping, *shop)
        return [str(problem) for problem in caught.value.problems]

    return of


def rest(entity, item=0):
    return [name for name, _ in entity.items[item].rest]


# ---- what it gives


def test_names_become_those_of_the_schema(bound):
    order = bound(
        source="ORDERS",
        key='{PK: "ORDER#{ID}"}',
        attributes="""
          placed: PLACED_AT|date
          text: {template: "{Total}"}
          nested: {map: {total: TOTAL}}
          lines: {list: {source: Lines, match: {ORDER_ID: Id}, attributes: {qty: qty, p: PRODUCT}}}""",
    )
    placed, text, nested, lines = (value for _, value in order.items[0].attributes)
    assert order.source.table == "orders"
    assert [c.column for c in order.items[0].key[0][1].columns()] == ["id"]
    assert placed.column == "placed_at"
    assert [c.column for c in text.columns()] == ["total"]
    assert nested.attributes[0][1].column == "total"
    assert (lines.source.table, lines.match) == ("lines", (("order_id", "id"),))
    assert [value.column for _, value in lines.attributes] == ["Qty", "product"]


def test_declared_types_hint_at_unfiltered_columns(bound):
    flags = bound(
        source="flags",
        key='{PK: "{Code}"}',
        attributes='{active: Active, shown: Active|string, payload: Payload, t: {template: "{Active}"}, pk: PK}',
    )
    active, shown, payload, template, _ = (value for _, value in flags.items[0].attributes)
    assert [active.hint, shown.hint, payload.hint] == ["bool", "", "json"]
    assert [part.hint for part in template.columns()] == [""]
    assert dict(flags.items[0].rest) == {"amount": ColumnValue("amount", hint="number"), "a b": ColumnValue("a b")}


def test_rest_is_what_nothing_in_the_item_uses(bound):
    assert rest(bound()) == ["placed_at", "total"]
    assert rest(bound(attributes="{when: placed_at|date}")) == ["total"]
    assert rest(bound(attributes="{total: {template: '{total} EUR'}}")) == ["placed_at"]
    assert rest(bound(attributes="{x: {map: {y: {map: {z: total}}}}}")) == ["placed_at"]
    assert rest(bound(columns="none")) == []
    assert rest(bound(columns="{except: [TOTAL]}")) == ["placed_at"]


def test_a_parent_column_that_children_match_is_used(bound):
    order = bound(
        key='{PK: "{@rowid}"}',
        attributes="{lines: {list: {source: lines, match: {order_id: id}, value: product}}}",
    )
    assert rest(order) == ["placed_at", "total"]


def test_conditions_and_rules_are_no_use(bound):
    assert rest(bound(where="total > 0", rules="{total: {required: true}}")) == ["placed_at", "total"]


def test_each_item_of_a_row_has_its_own_rest(bound):
    order = bound(key=None, items='[{key: {PK: "{id}"}}, {key: {PK: "{placed_at}"}, attributes: {total: total}}]')
    assert (rest(order, 0), rest(order, 1)) == (["placed_at", "total"], ["id"])


def test_generated_columns_are_columns(bound):
    assert rest(bound(source="computed")) == ["a", "b", "c"]


def test_a_query_has_the_columns_it_selects(bound):
    order = bound(source="{query: 'SELECT id, total AS Sum FROM orders', key: [ID]}", attributes="{sum: SUM|number}")
    assert order.source.key == ("id",)
    assert order.items[0].attributes[0][1].column == "Sum"


def test_a_double_quoted_name_that_is_one_is_taken(bound):
    entity = bound(
        source='{query: \'SELECT id, "placed_at" AS "when it was" FROM "orders" WHERE "total" > 1\', key: [id]}',
        where="'\"when it was\" > 1'",
    )
    assert rest(entity) == ["when it was"]


def test_a_key_of_the_users_own_replaces_the_declared_one(shop):
    schema, connection = shop
    assert relation_of(SourceSpec("late", key=("id",)), schema, connection).key == ("id",)
    own = relation_of(SourceSpec("flags", key=("amount",)), schema, connection)
    assert (own.key, own.key_walks) == (("amount",), False)
    assert relation_of(SourceSpec("flags", key=("Code",)), schema, connection).key_walks


# ---- what does not fit


ORDERS = "columns: id, placed_at, total"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"key": '{PK: "{placed}"}'},
            [
                'entities.Order.key.PK: column "placed" is not in table "orders"\n'
                '  columns: id, placed_at, total.  Did you mean "placed_at"?'
            ],
        ),
        ({"key": '{PK: "{xyz}"}'}, [f'entities.Order.key.PK: column "xyz" is not in table "orders"\n  {ORDERS}']),
        (
            {"key": None, "items": '[{key: {PK: "{id}"}, attributes: {t: totl}}]'},
            [
                f'entities.Order.items[0].attributes.t: column "totl" is not in table "orders"\n'
                f'  {ORDERS}.  Did you mean "total"?'
            ],
        ),
        (
            {"source": "order"},
            [
                'entities.Order.source: table "order" is not in shop.sqlite\n'
                '  tables: orders, lines, notes, flags, late, computed, broken.  Did you mean "orders"?'
            ],
        ),
        (
            {"attributes": "{t: {template: '{totl}'}}"},
            [
                f'entities.Order.attributes.t.template: column "totl" is not in table "orders"\n'
                f'  {ORDERS}.  Did you mean "total"?'
            ],
        ),
        (
            {"key": '{PK: "{rowid}"}'},
            [
                f'entities.Order.key.PK: column "rowid" is not in table "orders"\n  {ORDERS}\n'
                "  the rowid is written @rowid"
            ],
        ),
        (
            {"source": "late", "key": '{PK: "{@rowid}"}'},
            ['entities.Order.key.PK: @rowid: view "late" has no rowid'],
        ),
        (
            {"source": "{query: SELECT 1 AS a, key: [b]}", "key": '{PK: "{@rowid}{a}"}'},
            [
                'entities.Order.source.key: column "b" is not in the query\n  columns: a',
                "entities.Order.key.PK: @rowid: the query has no rowid",
            ],
        ),
        (
            {"source": "{query: SELECT id FORM orders, key: [id]}"},
            ['entities.Order.source.query: SQLite refuses the query: near "orders": syntax error'],
        ),
        (
            {"source": "{query: SELECT id FROM orders; DROP TABLE orders, key: [id]}"},
            ['entities.Order.source.query: SQLite refuses the query: near ";": syntax error'],
        ),
        (
            {"source": "{query: 'SELECT id FROM orders WHERE \"placd\" > 1', key: [id]}"},
            ["entities.Order.source.query: SQLite refuses the query: no such column: placd"],
        ),
        # SQLite takes a misspelt "name" for text
        (
            {"where": "'\"placed\" IS NOT NULL'"},
            [f'entities.Order.where: column "placed" is not in table "orders"\n  {ORDERS}.  Did you mean "placed_at"?'],
        ),
        (
            {"where": "total >"},
            ['entities.Order.where: SQLite refuses the condition: near ")": syntax error'],
        ),
        (
            {"where": "total > 1) OR (1"},
            ["entities.Order.where: SQLite refuses the condition: its brackets do not match"],
        ),
        (
            {"key": None, "items": '[{key: {PK: "{id}"}, where: totl > 1}]'},
            [
                f'entities.Order.items[0].where: column "totl" is not in table "orders"\n'
                f'  {ORDERS}.  Did you mean "total"?'
            ],
        ),
        (
            {"columns": "{except: [id, totl]}"},
            [
                f'entities.Order.columns.except[1]: column "totl" is not in table "orders"\n'
                f'  {ORDERS}.  Did you mean "total"?'
            ],
        ),
        (
            {"rules": "{totl: {required: true}}"},
            [f'entities.Order.rules.totl: column "totl" is not in table "orders"\n  {ORDERS}.  Did you mean "total"?'],
        ),
        # children
        (
            {
                "attributes": "{l: {list: {source: lines, match: {order: idd}, where: qtty > 1, order_by: pos DESC,"
                " attributes: {n: {list: {source: notes, match: {line: positon}, value: txt}}}}}}"
            },
            [
                'entities.Order.attributes.l.list.where: column "qtty" is not in table "lines"\n'
                '  columns: order_id, position, product, Qty.  Did you mean "Qty"?',
                'entities.Order.attributes.l.list.order_by: column "pos" is not in table "lines"\n'
                "  columns: order_id, position, product, Qty",
                'entities.Order.attributes.l.list.match.order: column "order" is not in table "lines"\n'
                '  columns: order_id, position, product, Qty.  Did you mean "order_id"?',
                f'entities.Order.attributes.l.list.match.order: column "idd" is not in table "orders"\n  {ORDERS}.'
                '  Did you mean "id"?',
                'entities.Order.attributes.l.list.attributes.n.list.match.line: column "positon" is not in table'
                ' "lines"\n  columns: order_id, position, product, Qty.  Did you mean "position"?',
                'entities.Order.attributes.l.list.attributes.n.list.value: column "txt" is not in table "notes"\n'
                "  columns: line, note",
            ],
        ),
        (
            {"attributes": "{l: {list: {source: liness, match: {a: id}, value: x}}}"},
            [
                'entities.Order.attributes.l.list.source: table "liness" is not in shop.sqlite\n'
                '  tables: orders, lines, notes, flags, late, computed, broken.  Did you mean "lines"?'
            ],
        ),
        # clashes of names
        (
            {"source": "flags", "key": '{PK: "{Code}"}'},
            [
                'entities.Order.columns: column "PK" has the name of a key that is not built from it\n'
                "  map it under another name (attributes: {other: PK}) or leave it out (columns: {except: [PK]})"
            ],
        ),
        (
            {"attributes": "{total: {value: 1}}"},
            [
                'entities.Order.columns: column "total" has the name of an attribute that is not built from it\n'
                "  map it under another name (attributes: {other: total}) or leave it out (columns: {except: [total]})"
            ],
        ),
        (
            {"source": "flags", "key": '{PK: "{PK}"}', "attributes": '{"a b": {value: 1}}'},
            [
                'entities.Order.columns: column "a b" has the name of an attribute that is not built from it\n'
                "  map it under another name (attributes: {other: '\"a b\"'})"
                ' or leave it out (columns: {except: ["a b"]})'
            ],
        ),
    ],
)
def test_what_does_not_fit_says_where_what_and_what_to_do(problems, changes, expected):
    assert problems(**changes) == [f"mappings/orders.yaml: {problem}" for problem in expected]


def test_a_condition_on_all_rows_is_refused(problems):
    (problem,) = problems(where="count(*) > 1")
    assert problem.startswith("mappings/orders.yaml: entities.Order.where: SQLite refuses the condition: misuse of")


def test_a_view_that_cannot_be_read_says_why(problems):
    (problem,) = problems(source="broken")
    assert problem.startswith('mappings/orders.yaml: entities.Order.source: view "broken" cannot be read: ')


def test_a_clash_is_none_where_the_attribute_is_built_from_the_column(bound):
    assert rest(bound(source="flags", key='{PK: "{PK}"}')) == ["Code", "Active", "Payload", "amount", "a b"]
    assert rest(bound(attributes="{id: {template: '{id}-{total}'}}")) == ["placed_at"]


def test_many_columns_are_not_all_listed(tmp_path, load):
    path = tmp_path / "wide.sqlite"
    database = sqlite3.connect(path)
    database.execute(f"CREATE TABLE orders ({', '.join(f'c{n}' for n in range(500))})")
    database.close()
    mapping = load(key='{PK: "{c1x}"}')
    with connect(take_snapshot(path)) as connection, pytest.raises(DocumentError, match=r"… 470 more") as caught:
        bind(mapping, reflect_schema(connection, str(path)), connection)
    assert len(str(caught.value)) < 500


# ---- what templates know of a file


def test_the_named_groups_of_the_plan_are_known(load, shop):
    mapping = load(key='{PK: "{@tenant}#{id}"}', attributes='{tenant: "@tenant"}')
    assert bind(mapping, *shop, groups=("tenant",)).entities[0].items[0].key == mapping.entities[0].items[0].key


def test_a_name_that_nothing_gives_is_found_wherever_it_stands(load, shop):
    mapping = load(key='{PK: "{@tenat}#{id}"}', attributes='{tenant: "@none"}')
    with pytest.raises(DocumentError) as caught:
        bind(mapping, *shop, groups=("tenant",))
    names = "names: @rowid, @file, @stem, @tenant"
    gives = "; a named group of the plan's source_pattern gives another"
    assert list(map(str, caught.value.problems)) == [
        f'mappings/orders.yaml: entities.Order.key.PK: @tenat is unknown\n  {names}.  Did you mean "@tenant"?{gives}',
        f"mappings/orders.yaml: entities.Order.attributes.tenant: @none is unknown\n  {names}{gives}",
    ]
