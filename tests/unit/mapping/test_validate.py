"""DynamoDB's limits on an item, each at its edge."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import migrator.mapping
from migrator.errors import RowRejected
from migrator.mapping.model import IndexDefinition, KeyAttribute, TableDefinition
from migrator.mapping.rejects import REJECT_CODES
from migrator.mapping.validate import check_item

TABLE = TableDefinition(
    "t",
    KeyAttribute("PK"),
    KeyAttribute("SK"),
    global_indexes=(IndexDefinition("GSI1", KeyAttribute("G"), KeyAttribute("n", "N")),),
    local_indexes=(IndexDefinition("LSI1", KeyAttribute("PK"), KeyAttribute("L")),),
)
KEY = {"PK": {"S": "p"}, "SK": {"S": "s"}}
LARGEST = 400 * 1024


def code_of(attributes, table=TABLE):
    with pytest.raises(RowRejected) as caught:
        check_item(attributes, table)
    assert caught.value.code in REJECT_CODES
    return caught.value.code


def nested(levels):
    value = {"S": "x"}
    for level in range(levels):
        value = {"L": [value]} if level % 2 else {"M": {"m": value}}
    return value


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"x": {"S": ""}, "b": {"B": b""}, "l": {"L": []}, "m": {"M": {}}},
        {"x": {"S": "a\0b😀"}},
        {"SS": {"SS": ["", "a"]}, "NS": {"NS": ["1", "2"]}},
        {"x": nested(31)},
        {"x" * 65536: {"S": ""}},
        {"é" * 32768: {"S": ""}},
        {"G": {"S": "g"}, "n": {"N": "0"}, "L": {"S": "l"}},
        {"n": {"N": "9.9999999999999999999999999999999999999E+125"}},
        {"PK": {"S": "é" * 1024}, "SK": {"S": "é" * 512}},
        {"G": {"S": "x" * 2048}, "L": {"S": "x" * 1024}},
    ],
)
def test_what_dynamodb_takes_passes(extra):
    check_item({**KEY, **extra}, TABLE)


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"PK": {"N": "1"}}, "key_type"),
        ({"SK": {"S": ""}}, "empty_key"),
        ({"PK": {"S": "x" * 2049}}, "key_too_long"),
        ({"PK": {"S": "é" * 1025}}, "key_too_long"),
        ({"SK": {"S": "x" * 1025}}, "key_too_long"),
        ({"G": {"N": "1"}}, "index_key_type"),
        ({"n": {"S": "1"}}, "index_key_type"),
        ({"L": {"NULL": True}}, "index_key_type"),
        ({"G": {"S": ""}}, "index_key_empty"),
        ({"G": {"S": "x" * 2049}}, "key_too_long"),
        ({"L": {"S": "x" * 1025}}, "key_too_long"),
        ({"": {"S": "x"}}, "empty_name"),
        ({"x": {"M": {"": {"S": "x"}}}}, "empty_name"),
        ({"x" * 65537: {"S": ""}}, "name_too_long"),
        ({"é" * 32769: {"S": ""}}, "name_too_long"),
        ({"x": nested(32)}, "nesting_too_deep"),
        ({"x": {"SS": []}}, "empty_set"),
        ({"x": {"L": [{"NS": []}]}}, "empty_set"),
        ({"x": {"NS": ["1", "1.0"]}}, "duplicate_in_set"),
        ({"x": {"SS": ["a", "a"]}}, "duplicate_in_set"),
        ({"x": {"BS": [b"a", b"a"]}}, "duplicate_in_set"),
        ({"x": {"S": "\ud800"}}, "lone_surrogate"),
        ({"\ud800": {"S": "x"}}, "lone_surrogate"),
        ({"x": {"SS": ["\udfff"]}}, "lone_surrogate"),
        ({"PK": {"S": "\ud800"}}, "lone_surrogate"),
        ({"x": {"N": "1E126"}}, "number_out_of_range"),
        ({"x": {"N": "1" * 39}}, "number_too_precise"),
        ({"x": {"N": "1_000"}}, "not_a_number"),
        ({"x": {"NS": ["Infinity"]}}, "not_a_number"),
    ],
)
def test_what_dynamodb_refuses_rejects_the_row(extra, code):
    assert code_of({**KEY, **extra}) == code


@pytest.mark.parametrize("missing", ["PK", "SK"])
def test_an_item_without_a_key_is_rejected(missing):
    assert code_of({name: value for name, value in KEY.items() if name != missing}) == "missing_key"


def test_an_item_of_exactly_400_kb_passes_and_one_more_byte_does_not():
    room = LARGEST - len("PKp" + "SKs" + "x")
    assert check_item({**KEY, "x": {"S": "a" * room}}, TABLE) == LARGEST
    assert code_of({**KEY, "x": {"S": "a" * (room + 1)}}) == "item_too_large"
    assert code_of({**KEY, "x": {"S": "é" * 300_000}}) == "item_too_large"


def test_a_table_key_that_is_also_an_index_sort_key_has_the_shorter_limit():
    table = TableDefinition(
        "t", KeyAttribute("PK"), global_indexes=(IndexDefinition("G", KeyAttribute("x"), KeyAttribute("PK")),)
    )
    assert code_of({"PK": {"S": "x" * 1025}}, table) == "key_too_long"
    check_item({"PK": {"S": "x" * 1024}}, table)


def test_every_code_that_the_mapping_room_raises_is_documented():
    sources = Path(migrator.mapping.__file__).parent.glob("*.py")
    raised = {code for path in sources for code in re.findall(r'RowRejected\(\s*"(\w+)"', path.read_text())}
    assert raised
    assert raised <= set(REJECT_CODES)
