"""Mapping files: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import operator
import pickle
import textwrap
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from migrator.errors import DocumentError
from migrator.mapping import document, expressions, patterns, tabledef
from migrator.mapping.document import load_mapping
from migrator.mapping.model import (
    AccessPattern,
    Capacity,
    Children,
    ColumnValue,
    Condition,
    Constant,
    FilterCall,
    IndexDefinition,
    KeyAttribute,
    MapOf,
    Now,
    Rule,
    SourceSpec,
    Template,
)
from migrator.mapping.templates import parse_template
from migrator.yamlfile import Document, load_yaml

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((files("migrator") / "schemas" / "mapping.schema.json").read_text("utf-8"))

# The mapping of the reference page, whole.
EVERYTHING = """
version: 1
table:
  name: madmall-${ENVIRONMENT:-dev}-main
  partition_key: PK
  sort_key: SK
  global_indexes:
    GSI1: {partition_key: GSI1PK, sort_key: GSI1SK, projection: ALL}
    GSI2: {partition_key: {score: N}, projection: [userId, email]}
  local_indexes:
    LSI1: {sort_key: createdAt, projection: KEYS_ONLY}
  billing_mode: PAY_PER_REQUEST
  warm_throughput: {read: 12000, write: 4000}
  time_to_live: ttl
  point_in_time_recovery: true
  encryption: {kms_key: alias/madmall}
  deletion_protection: false
  table_class: STANDARD
  contributor_insights: false
  stream: NEW_AND_OLD_IMAGES
  tags: {Project: madmall}
items:
  - {PK: SYSTEM, SK: STATUS, status: ready, ttl: {now: +365d}, plain: {a: [1, 0.5]}, odd: {value: {now: x}}}
entities:
  User:
    source: users
    where: deleted_at IS NULL
    key:
      PK: USER#{user_id}
      SK: PROFILE
      GSI1PK: EMAIL#{email|lower}
      GSI1SK: USER#{user_id}
    attributes:
      userId: user_id
      email: email|trim|lower
      createdAt: created_at|iso8601
      interests: interests|split(",")|set
      entityType: {value: User}
      displayName: {template: "{first_name} {last_name}"}
      profile:
        map: {firstName: first_name, bio: bio}
      addresses:
        list: {source: addresses, match: {user_id: user_id}, order_by: position, attributes: {street: street}}
      tags:
        list: {source: {query: SELECT * FROM tags, key: [id]}, match: {user_id: user_id}, value: tag|lower}
      plan:
        one: {source: plans, match: {id: plan_id}, where: active, attributes: {name: name}}
      settings:
        entries: {source: settings, match: {user_id: user_id}, name: key|lower, value: value}
      odd: '"a|b"|lower'
    columns: {except: [password_hash]}
    nulls: keep
    rules:
      email: {required: true, pattern: "@"}
      status: {one_of: [active, 1], severity: warn}
      age: {type: integer, min: 0, max: 150.5, max_length: 3, unique: true}
  CircleMember:
    source: {table: circle_members, key: [circle_id, user_id]}
    items:
      - key: {PK: "CIRCLE#{circle_id}", SK: "MEMBER#{user_id}"}
        attributes: {role: role}
      - key: {PK: "USER#{user_id}", SK: "CIRCLE#{circle_id}"}
        where: is_visible = 1
    columns: none
access_patterns:
  user by email:
    index: GSI1
    key: {GSI1PK: "EMAIL#{email|lower}", GSI1SK: {begins_with: USER#}}
    entity: User
    sql: SELECT * FROM users WHERE email = :email AND deleted_at IS NULL
    params: {email: a@b.c}
    order: descending
    limit: 5
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_and_load(text):
        Path("shop.yaml").write_text(text, "utf-8")
        return load_mapping("shop.yaml")

    return write_and_load


@pytest.fixture
def problems(load):
    def of(text):
        with pytest.raises(DocumentError) as caught:
            load(text)
        return [str(problem) for problem in caught.value.problems]

    return of


def order(**changes):
    """A small mapping; each change replaces a block by YAML text, or leaves it out."""
    blocks = {
        "table": "{name: orders, partition_key: PK, sort_key: SK}",
        "source": "orders",
        "key": '{PK: "ORDER#{id}", SK: META}',
        "attributes": "{total: total}",
    } | changes
    lines = [f"table: {blocks.pop('table')}"]
    lines += [f"items: {items}"] if (items := blocks.pop("fixed", None)) else []
    lines += [f"access_patterns: {patterns}"] if (patterns := blocks.pop("access_patterns", None)) else []
    name = blocks.pop("entity", "Order")
    lines += ["entities:", f"  {name}:"] + [f"    {key}: {value}" for key, value in blocks.items() if value is not None]
    return "\n".join(lines)


def many(name, count, key):
    return json.dumps({f"{name}{n}": {key: "b"} for n in range(count)})


# ---- what it means


def test_the_table_block_is_read(load, monkeypatch):
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    table = load(EVERYTHING).table
    assert table.name == "madmall-dev-main"
    assert table.key_attributes == (KeyAttribute("PK"), KeyAttribute("SK"))
    assert table.global_indexes == (
        IndexDefinition("GSI1", KeyAttribute("GSI1PK"), KeyAttribute("GSI1SK")),
        IndexDefinition("GSI2", KeyAttribute("score", "N"), None, "INCLUDE", ("userId", "email")),
    )
    assert table.local_indexes == (IndexDefinition("LSI1", KeyAttribute("PK"), KeyAttribute("createdAt"), "KEYS_ONLY"),)
    assert (table.capacity, table.warm_throughput) == (None, Capacity(12000, 4000))
    assert (table.time_to_live, table.encryption, table.stream) == ("ttl", "alias/madmall", "NEW_AND_OLD_IMAGES")
    assert (table.point_in_time_recovery, table.deletion_protection, table.contributor_insights) == (True, False, False)
    assert (table.table_class, table.tags) == ("STANDARD", (("Project", "madmall"),))


def test_what_the_table_block_does_not_say_is_none(load):
    table = load(order()).table
    unsaid = (table.point_in_time_recovery, table.deletion_protection, table.contributor_insights, table.table_class)
    assert unsaid == (None, None, None, None)


def test_fixed_items_are_constants_and_times_from_the_start(load):
    assert dict(load(EVERYTHING).fixed_items[0]) == {
        "PK": Constant({"S": "SYSTEM"}),
        "SK": Constant({"S": "STATUS"}),
        "status": Constant({"S": "ready"}),
        "ttl": Now(365 * 86400),
        "plain": Constant({"M": {"a": {"L": [{"N": "1"}, {"N": "0.5"}]}}}),
        "odd": Constant({"M": {"now": {"S": "x"}}}),
    }


def test_every_form_of_an_attribute_is_read(load):
    user = load(EVERYTHING).entities[0]
    attributes = dict(user.items[0].attributes)
    assert attributes["userId"] == ColumnValue("user_id")
    assert attributes["email"] == ColumnValue("email", (FilterCall("trim"), FilterCall("lower")))
    assert attributes["interests"] == ColumnValue("interests", (FilterCall("split", (",",)), FilterCall("set")))
    assert attributes["entityType"] == Constant({"S": "User"})
    assert attributes["displayName"] == parse_template("{first_name} {last_name}")
    assert attributes["profile"] == MapOf((("firstName", ColumnValue("first_name")), ("bio", ColumnValue("bio"))))
    assert attributes["addresses"] == Children(
        "list",
        SourceSpec("addresses"),
        (("user_id", "user_id"),),
        order_by="position",
        attributes=(("street", ColumnValue("street")),),
    )
    assert attributes["tags"] == Children(
        "list",
        SourceSpec(query="SELECT * FROM tags", key=("id",)),
        (("user_id", "user_id"),),
        value=ColumnValue("tag", (FilterCall("lower"),)),
    )
    assert attributes["plan"] == Children(
        "one", SourceSpec("plans"), (("id", "plan_id"),), "active", attributes=(("name", ColumnValue("name")),)
    )
    assert attributes["settings"] == Children(
        "entries",
        SourceSpec("settings"),
        (("user_id", "user_id"),),
        value=ColumnValue("value"),
        name=ColumnValue("key", (FilterCall("lower"),)),
    )
    assert attributes["odd"] == ColumnValue("a|b", (FilterCall("lower"),))


def test_entities_are_read(load):
    user, member = load(EVERYTHING).entities
    assert (user.name, user.where, user.nulls) == ("User", "deleted_at IS NULL", "keep")
    assert (user.columns, user.except_columns) == ("rest", ("password_hash",))
    assert user.rules == (
        Rule("email", required=True, pattern="@"),
        Rule("status", one_of=("active", 1), severity="warn"),
        Rule("age", type="integer", min=0, max=Decimal("150.5"), max_length=3, unique=True),
    )
    assert (member.source, member.columns) == (SourceSpec("circle_members", key=("circle_id", "user_id")), "none")
    assert [item.where for item in member.items] == [None, "is_visible = 1"]


def test_access_patterns_are_read(load):
    (pattern,) = load(EVERYTHING).access_patterns
    assert pattern == AccessPattern(
        name="user by email",
        entity="User",
        index="GSI1",
        key=(
            Condition("GSI1PK", "eq", (parse_template("EMAIL#{email|lower}"),)),
            Condition("GSI1SK", "begins_with", (parse_template("USER#"),)),
        ),
        sql="SELECT * FROM users WHERE email = :email AND deleted_at IS NULL",
        params=(("email", "a@b.c"),),
        order="descending",
        limit=5,
    )


def test_a_mapping_pickles(load):
    mapping = load(EVERYTHING)
    assert pickle.loads(pickle.dumps(mapping)) == mapping


def test_the_file_is_named_as_the_user_knows_it(load):
    assert load(order()).file == "shop.yaml"


def test_a_number_key_may_be_a_plain_number(load):
    mapping = load(order(table="{name: orders, partition_key: {id: N}, sort_key: {at: N}}", key='{id: "{id}", at: 0}'))
    assert dict(mapping.entities[0].items[0].key)["at"] == Template(("0",), "0")


def test_a_mapping_may_have_fixed_items_only(load):
    assert load("table: {name: abc, partition_key: id}\nitems: [{id: x}]").entities == ()


def test_numbers_and_flags_may_come_from_variables(load, monkeypatch):
    monkeypatch.setenv("UNITS", "7")
    monkeypatch.setenv("PROTECT", "true")
    table = load(
        order(
            table='{name: orders, partition_key: PK, sort_key: SK, deletion_protection: "${PROTECT}",'
            ' billing_mode: {read: "${UNITS}", write: "${UNITS}"}}'
        )
    ).table
    assert (table.capacity, table.deletion_protection) == (Capacity(7, 7), True)


def test_an_index_key_may_be_an_attribute(load):
    table = "{name: orders, partition_key: PK, sort_key: SK, global_indexes: {byTotal: {partition_key: {total: N}}}}"
    assert load(order(table=table)).table.index_key_types() == {"total": "N"}


# ---- what is said


QUOTE_MAP = "is a map: to YAML, { } is a map\n  quote a template, as in "
QUOTE_EMPTY = 'is empty: to YAML, # begins a comment and {} a map\n  quote a template, as in "#META"'
FORMS = "known: value, template, map, list, one, entries, now"
ENTITY = "known: source, where, key, attributes, items, columns, nulls, rules"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # templates that YAML takes for something else
        ({"key": "{PK: {id}, SK: META}"}, [f'entities.Order.key.PK: {QUOTE_MAP}PK: "{{id}}"']),
        ({"key": "\n      PK: ORDER#{id}\n      SK: #META"}, [f"entities.Order.key.SK: {QUOTE_EMPTY}"]),
        ({"key": "\n      PK: {id}#{x}\n      SK: x"}, [f'entities.Order.key.PK: {QUOTE_MAP}PK: "{{id}}"']),
        ({"attributes": "{name: {first}}"}, [f'entities.Order.attributes.name: {QUOTE_MAP}name: "{{first}}"']),
        (
            {"attributes": "{name: {template: {first}}}"},
            ["entities.Order.attributes.name.template: " + QUOTE_MAP + 'template: "{first}"'],
        ),
        ({"attributes": "{name: }"}, [f"entities.Order.attributes.name: {QUOTE_EMPTY}"]),
        (
            {"attributes": '{name: "{first} {last}"}'},
            ['entities.Order.attributes.name: names a column, and is a template\n  write {template: "{first} {last}"}'],
        ),
        (
            {"attributes": "{flag: true}"},
            ["entities.Order.attributes.flag: names a column, and is true\n  for a constant write {value: true}"],
        ),
        ({"key": '{PK: 7, SK: "{id}"}'}, ['entities.Order.key.PK: must be text, and is 7\n  quote it: "7"']),
        (
            {"key": '{PK: "ORDER#{id", SK: META}'},
            ["entities.Order.key.PK: \"{\" is not closed in 'ORDER#{id': write {{ for a literal brace"],
        ),
        (
            {"attributes": "{name: first|lowr}"},
            ['entities.Order.attributes.name: there is no filter "lowr". Did you mean "lower"?'],
        ),
        ({"attributes": "{name: first|pad}"}, ["entities.Order.attributes.name: filter pad needs n: pad(n)"]),
        # unknown keys
        ({"colums": "rest"}, [f'entities.Order: unknown key "colums"\n  {ENTITY}.  Did you mean "columns"?']),
        (
            {"attributes": "{x: {valu: 1}}"},
            [f'entities.Order.attributes.x: unknown key "valu"\n  {FORMS}.  Did you mean "value"?'],
        ),
        (
            {"attributes": "{x: {value: 1, now: 1d}}"},
            ["entities.Order.attributes.x: is one of value, template, map, list, one, entries, now, and has 2 keys"],
        ),
        (
            {"<<": "{a: b}"},
            ['entities.Order: unknown key "<<"\n  << is not part of YAML 1.2: write the keys out'],
        ),
        # keys
        ({"key": '{PK: "ORDER#{id}"}'}, ['entities.Order.key: the table\'s key "SK" is missing']),
        ({"key": None}, ['entities.Order: the key "key" is missing']),
        (
            {"key": '{PK: "ORDER#{id}", SK: META, GSI1PK: x}'},
            [
                'entities.Order.key.GSI1PK: "GSI1PK" is no key of the table or of an index\n'
                "  keys: PK, SK\n  what is no key stands in attributes:"
            ],
        ),
        (
            {"attributes": "{PK: total}"},
            ["entities.Order.attributes.PK: has the name of a key of this item\n  give the attribute another name"],
        ),
        ({"attributes": '{"": total}'}, ["entities.Order.attributes.: an attribute's name is empty"]),
        # entities
        (
            {"entity": "items"},
            ['entities.items: the name "items" is taken by the fixed items\n  give the entity another'],
        ),
        (
            {"items": '[{key: {PK: "a", SK: b}}]'},
            [
                "entities.Order: has items: beside key: or attributes:\n"
                "  with items:, each of them has its own key and attributes"
            ],
        ),
        (
            {"items": "[]", "key": None, "attributes": None},
            ["entities.Order.items: is an empty list: a row becomes no item"],
        ),
        ({"columns": "all"}, ['entities.Order.columns: must be rest, none or {except: […]}, and is "all"']),
        ({"columns": "{except: []}"}, ["entities.Order.columns.except: names nothing"]),
        ({"nulls": "drop"}, ['entities.Order.nulls: must be omit or keep, and is "drop"\n  known: omit, keep']),
        ({"where": "[a]"}, ["entities.Order.where: must be text, and is a list"]),
        ({"source": "7"}, ['entities.Order.source: must be text, and is 7\n  quote it: "7"']),
        ({"source": "{query: SELECT 1}"}, ['entities.Order.source: the key "key" is missing']),
        (
            {"source": "{query: SELECT 1, table: a, key: [b]}"},
            [
                "entities.Order.source: a source is a query or a table\n"
                "  write source: users, or {query: SELECT …, key: [id]}"
            ],
        ),
        # children
        (
            {"attributes": "{lines: {list: {source: lines, match: {}, value: x}}}"},
            [
                "entities.Order.attributes.lines.list.match: names no columns\n"
                "  write match: {child_column: parent_column}"
            ],
        ),
        (
            {"attributes": "{lines: {list: {source: lines, match: {a: b}}}}"},
            [
                "entities.Order.attributes.lines.list: a list has either attributes: (a list of maps)"
                " or value: (a list of scalars)"
            ],
        ),
        (
            {"attributes": "{line: {one: {source: lines, match: {a: b}}}}"},
            ['entities.Order.attributes.line.one: the key "attributes" is missing'],
        ),
        # rules
        (
            {"rules": "{total: {minimum: 1}}"},
            [
                'entities.Order.rules.total: unknown key "minimum"\n  known: required, type, one_of, min, max,'
                ' max_length, pattern, unique, severity.  Did you mean "min"?'
            ],
        ),
        (
            {"rules": '{total: {pattern: "("}}'},
            [
                "entities.Order.rules.total.pattern: is no regular expression:"
                " missing ), unterminated subpattern at position 0"
            ],
        ),
        # constants
        (
            {"attributes": "{x: {now: soon}}"},
            ['entities.Order.attributes.x.now: is a time from the run\'s start, as +365d, -12h or +30m, and is "soon"'],
        ),
        # fixed items
        ({"fixed": "[{PK: a}]"}, ['items[0]: the table\'s key "SK" is missing']),
        (
            {"fixed": "[{PK: a, SK: 1}]"},
            ["items[0].SK: this key is of type S, and the value of type N"],
        ),
        ({"fixed": '[{PK: a, SK: ""}]'}, ["items[0].SK: a key cannot be empty"]),
        (
            {"fixed": '[{PK: a, SK: "AT#{@tenant}"}]'},
            [
                "items[0].SK: names {@tenant, and a fixed item is written once, for no file\n"
                "  make it an entity's item; or, for this very text, write {value: …}"
            ],
        ),
        # access patterns
        (
            {"access_patterns": "{q: {entity: Ordr, index: G, key: {PK: a}}}"},
            [
                'access_patterns.q.entity: "Ordr" is not among the entities\n  entities: Order.  Did you mean "Order"?',
                'access_patterns.q.index: "G" is not among the indexes\n  indexes: none',
            ],
        ),
        (
            {"access_patterns": '{q: {entity: Order, key: {SK: {starts_with: "a"}}}}'},
            [
                'access_patterns.q.key.SK: unknown key "starts_with"\n'
                "  known: eq, lt, le, gt, ge, begins_with, between",
            ],
        ),
        (
            {"access_patterns": "{q: {entity: Order, key: {PK: a, SK: {gt: a, lt: b}}}}"},
            [
                "access_patterns.q.key.SK: is a value or one comparison, as in {begins_with: ORDER#}\n"
                "  known: eq, lt, le, gt, ge, begins_with, between",
            ],
        ),
        (
            {"access_patterns": "{q: {entity: Order, key: {SK: a}}}"},
            ['access_patterns.q.key: the partition key "PK" is missing\n  without key: the table is scanned'],
        ),
        (
            {"access_patterns": "{q: {entity: Order, key: {PK: {ge: a}, SK: {between: [a]}}}}"},
            ["access_patterns.q.key.SK.between: is a list of two values, and has 1"],
        ),
        (
            {"access_patterns": "{q: {entity: Order, key: {PK: {ge: a}}}}"},
            ["access_patterns.q.key.PK: a partition key is asked for one value only"],
        ),
        (
            {"access_patterns": "{q: {entity: Order, key: {PK: 7}}}"},
            ['access_patterns.q.key.PK: must be text, and is 7\n  quote it: "7"'],
        ),
        (
            {"access_patterns": "{q: {entity: Order, order: descending}}"},
            ["access_patterns.q: has an order but no key\n  without key: the table is scanned, in no order"],
        ),
        (
            {
                "access_patterns": "{q: {entity: Order, key: {PK: a},"
                " filter: {SK: b, n: {lt: true}, m: {begins_with: 1}}}}"
            },
            [
                "access_patterns.q.filter.n: DynamoDB does not take true for lt",
                "access_patterns.q.filter.m: DynamoDB does not take 1 for begins_with",
                'access_patterns.q.filter.SK: "SK" is a key of what is asked\n  what is asked of a key stands in key:',
            ],
        ),
        (
            {
                "table": "{name: orders, partition_key: PK, sort_key: SK, global_indexes:"
                " {ByN: {partition_key: {n: N}, sort_key: {m: N}, projection: [a]}}}",
                "access_patterns": "{q: {entity: Order, index: ByN, key: {n: 1, m: {begins_with: 1}},"
                " filter: {a: 1, PK: x, total: 1}}}",
            },
            [
                "access_patterns.q.key.m: begins_with compares text or binary, and this key is a number",
                'access_patterns.q.filter.total: "total" is not projected into ByN\n'
                "  a filter sees only what the index holds: add it to the projection",
            ],
        ),
        (
            {"access_patterns": "{q: {entity: Order, params: {a: [1], b: 9223372036854775808}}}"},
            [
                "access_patterns.q.params.a: must be text, a number, true or false, and is a list",
                "access_patterns.q.params.b: is beyond SQLite's integers of 64 bits\n"
                '  quote it: "9223372036854775808"',
            ],
        ),
    ],
)
def test_a_bad_mapping_says_where_what_and_what_to_do(problems, changes, expected):
    assert problems(order(**changes)) == [f"shop.yaml: {problem}" for problem in expected]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            "{name: ab, partition_key: PK}",
            'table.name: "ab" is no name DynamoDB takes: 3 to 255 letters, digits, _ . and -',
        ),
        (
            "{name: a b c, partition_key: PK}",
            'table.name: "a b c" is no name DynamoDB takes: 3 to 255 letters, digits, _ . and -',
        ),
        ("{name: abc}", 'table: the key "partition_key" is missing'),
        (
            "{name: abc, partition_key: {id: I}}",
            'table.partition_key.id: must be S or N or B, and is "I"\n  known: S, N, B',
        ),
        (
            "{name: abc, partition_key: {id: N, x: S}}",
            "table.partition_key: names one attribute and its type, as in {id: N}",
        ),
        ("{name: abc, partition_key: a, sort_key: a}", 'table.sort_key: "a" is the partition key already'),
        (
            "{name: abc, partition_key: {a: N}, global_indexes: {GSI: {partition_key: a}}}",
            'table.global_indexes.GSI.partition_key: "a" is of type S here and N before\n  write {a: N}',
        ),
        (
            "{name: abc, partition_key: a, local_indexes: {LSI: {sort_key: b}}}",
            "table.local_indexes.LSI: a local index needs a table with a sort key\n  add sort_key: to the table",
        ),
        (
            "{name: abc, partition_key: a, sort_key: s, local_indexes: {LSI: {partition_key: x, sort_key: b}}}",
            'table.local_indexes.LSI.partition_key: a local index has the partition key of its table, "a"',
        ),
        (
            "{name: abc, partition_key: a, sort_key: s, local_indexes: {LSI: {}}}",
            'table.local_indexes.LSI: the key "sort_key" is missing',
        ),
        (
            "{name: abc, partition_key: a, global_indexes: {GSI: {partition_key: b, projection: SOME}}}",
            'table.global_indexes.GSI.projection: must be ALL, KEYS_ONLY or a list of attributes, and is "SOME"',
        ),
        (
            "{name: abc, partition_key: a, billing_mode: PROVISIONED}",
            'table.billing_mode: must be PAY_PER_REQUEST or the units a second, and is "PROVISIONED"\n'
            "  for PROVISIONED write {read: 5, write: 5}",
        ),
        (
            "{name: abc, partition_key: a, billing_mode: {read: 0, write: 5}}",
            "table.billing_mode.read: must be a whole number of 1 or more, and is 0",
        ),
        (
            "{name: abc, partition_key: a, global_indexes: {GSI: {partition_key: b, capacity: {read: 1, write: 1}}}}",
            "table.global_indexes.GSI.capacity: the table is PAY_PER_REQUEST, and so are its indexes\n"
            "  billing_mode says which",
        ),
        (
            "{name: abc, partition_key: a, deletion_protection: yes}",
            'table.deletion_protection: must be true or false, and is "yes"',
        ),
        (
            f"{{name: abc, partition_key: a, global_indexes: {many('GSI', 21, 'partition_key')}}}",
            "table.global_indexes: DynamoDB takes 20 of these, and there are 21",
        ),
        (
            f"{{name: abc, partition_key: a, sort_key: s, local_indexes: {many('LSI', 6, 'sort_key')}}}",
            "table.local_indexes: DynamoDB takes 5 of these, and there are 6",
        ),
        (
            f"{{name: abc, partition_key: {'k' * 256}}}",
            "table.partition_key: the name of a key has 1 to 255 bytes",
        ),
    ],
)
def test_a_bad_table_says_where_and_what(problems, table, expected):
    assert problems(f"table: {table}\nitems: []") == [f"shop.yaml: {expected}"]


def test_all_problems_are_told_at_once_in_the_order_of_the_file(problems):
    text = """
    tabel: {}
    table: {name: x, partition_key: PK}
    entities:
      A: {source: a, key: {PK: }}
      B: {key: {PK: "{id}", QK: x}, nulls: never}
    """
    assert [problem.split(": ")[1] for problem in problems(textwrap.dedent(text))] == [
        'unknown key "tabel"\n  known',
        "table.name",
        "entities.A.key.PK",
        "entities.B",
        "entities.B.nulls",
    ]


ODD = [None, True, 5, Decimal("NaN"), "", "x", "{", [], [None], [[]], {}, {"a": None}, {"": "x"}, {"a": {"b": []}}]


def spots(value, path=()):
    """Every place in a document."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from spots(member, (*path, key))


def test_no_odd_value_anywhere_ends_in_another_error(load, tmp_path):
    load(EVERYTHING)
    whole = load_yaml("shop.yaml")
    for path in list(spots(whole.data))[1:]:
        for odd in ODD:
            data = copy.deepcopy(whole.data)
            block = functools.reduce(operator.getitem, path[:-1], data)
            block[path[-1]] = odd
            with contextlib.suppress(DocumentError):
                document.read_mapping(Document(data, "shop.yaml", whole.path))


def test_another_version_is_refused(problems):
    assert problems("version: 2\n" + order()) == ["shop.yaml: version: must be 1, and is 2"]


# ---- the JSON Schema for editors


def schema_problem(text):
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return next(validator.iter_errors(yaml.safe_load(text)), None)


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_takes_everything():
    assert schema_problem(EVERYTHING) is None


@pytest.mark.parametrize("path", sorted((ROOT / "mappings").glob("*.yaml")), ids=lambda path: path.name)
def test_reader_and_schema_take_every_mapping_that_ships(path):
    load_mapping(path)
    data = load_yaml(path).data
    assert next(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data), None) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "{PK: {id}, SK: META}"},
        {"key": "{PK: , SK: META}"},
        {"colums": "rest"},
        {"attributes": "{x: {valu: 1}}"},
        {"attributes": "{x: {value: 1, now: 1d}}"},
        {"attributes": "{x: {now: soon}}"},
        {"attributes": "{x: {list: {source: lines, match: {a: b}}}}"},
        {"columns": "all"},
        {"nulls": "drop"},
        {"entity": "items"},
        {"source": "{query: SELECT 1}"},
        {"items": '[{key: {PK: "a", SK: b}}]'},
        {"rules": "{total: {minimum: 1}}"},
        {"table": "{name: abc}"},
        {"table": "{name: abc, partition_key: {id: I}}"},
        {"access_patterns": "{q: {entity: Order, key: {SK: {starts_with: a}}}}"},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(problems, changes):
    text = order(**changes)
    assert problems(text)
    assert schema_problem(text) is not None


def test_the_schema_knows_the_keys_that_the_reader_knows():
    definitions = SCHEMA["$defs"]
    forms = [key for form in definitions["expression"]["anyOf"] for key in form.get("required", ())]
    indexes = definitions["table"]["properties"]["global_indexes"]["additionalProperties"]
    in_schema = {
        "mapping": SCHEMA,
        "table": definitions["table"],
        "index": indexes,
        "entity": definitions["entity"],
        "item": definitions["entity"]["properties"]["items"]["items"],
        "rule": definitions["rule"],
        "pattern": definitions["access_pattern"],
    }
    assert {name: sorted(block["properties"]) for name, block in in_schema.items()} == {
        "mapping": sorted(document.MAPPING_KEYS),
        "table": sorted(tabledef.TABLE_KEYS),
        "index": sorted(tabledef.INDEX_KEYS),
        "entity": sorted(document.ENTITY_KEYS),
        "item": sorted(document.ITEM_KEYS),
        "rule": sorted(document.RULE_KEYS),
        "pattern": sorted(patterns.PATTERN_KEYS),
    }
    assert forms == list(expressions.FORMS)
