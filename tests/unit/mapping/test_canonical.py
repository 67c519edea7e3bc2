"""Sizes, digests and keys as DynamoDB counts and compares; boto3's own deserializer is the witness."""

from __future__ import annotations

from decimal import Decimal

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st

from migrator.mapping.canonical import describe_key, digest, item_size, key_from_text, key_text, value_size
from migrator.mapping.model import KeyAttribute, TableDefinition

TABLE = TableDefinition("t", KeyAttribute("PK"), KeyAttribute("SK"))
NUMBERED = TableDefinition("t", KeyAttribute("id", "N"))
BINARY = TableDefinition("t", KeyAttribute("id", "B"))

numbers = st.decimals(-1000, 1000, places=2).map(str) | st.integers(-(10**37), 10**37).map(str)
scalars = (
    st.builds(lambda text: {"S": text}, st.text(max_size=3))
    | st.builds(lambda text: {"N": text}, numbers)
    | st.builds(lambda content: {"B": content}, st.binary(max_size=3))
    | st.builds(lambda flag: {"BOOL": flag}, st.booleans())
    | st.just({"NULL": True})
    | st.builds(lambda members: {"SS": members}, st.lists(st.text(max_size=2), min_size=1, unique=True))
    | st.builds(lambda members: {"NS": members}, st.lists(numbers, min_size=1, unique_by=Decimal))
    | st.builds(lambda members: {"BS": members}, st.lists(st.binary(max_size=2), min_size=1, unique=True))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.builds(lambda members: {"L": members}, st.lists(inner, max_size=3))
        | st.builds(lambda members: {"M": members}, st.dictionaries(st.text(max_size=2), inner, max_size=3))
    ),
    max_leaves=6,
)
items = st.dictionaries(st.text(min_size=1, max_size=2), values, max_size=4)


def witness(attributes):
    """What boto3 makes of an item, with types kept apart that Python holds equal (True and 1, sets by kind)."""
    return {name: tagged(TypeDeserializer().deserialize(value)) for name, value in attributes.items()}


def tagged(value):
    match value:
        case bool() | None:
            return ("plain", value)
        case list():
            return [tagged(member) for member in value]
        case dict():
            return {name: tagged(member) for name, member in value.items()}
        case set():
            return {tagged(member) for member in value}
        case Binary():
            return ("binary", bytes(value.value))
        case _:
            return (type(value).__name__, value)


@given(items, items)
def test_digests_are_equal_just_when_boto3_reads_equal_items(one, other):
    assert (digest(one) == digest(other)) is (witness(one) == witness(other))


@given(items)
def test_a_digest_does_not_depend_on_spelling_or_order(item):
    assert digest(respelled(item)) == digest(item)


def respelled(attributes):
    return {name: respelled_value(value) for name, value in reversed(attributes.items())}


def respelled_value(value):
    ((kind, content),) = value.items()
    spell = {
        "N": lambda text: f"{Decimal(text):E}",
        "NS": lambda members: [f"{Decimal(text):E}" for text in reversed(members)],
        "SS": lambda members: members[::-1],
        "BS": lambda members: members[::-1],
        "M": respelled,
        "L": lambda members: [respelled_value(member) for member in members],
    }
    return {kind: spell.get(kind, lambda same: same)(content)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"S": "1"}, {"N": "1"}),
        ({"S": "1"}, {"B": b"1"}),
        ({"BOOL": True}, {"N": "1"}),
        ({"BOOL": False}, {"NULL": True}),
        ({"SS": ["a"]}, {"L": [{"S": "a"}]}),
        ({"SS": ["1"]}, {"NS": ["1"]}),
        ({"L": []}, {"M": {}}),
        ({"L": [{"S": "ab"}]}, {"L": [{"S": "a"}, {"S": "b"}]}),
        ({"M": {"a": {"S": "b"}}}, {"M": {"ab": {"S": ""}}}),
        ({"N": "12345678901234567890123456789012345678"}, {"N": "12345678901234567890123456789012345679"}),
        ({"S": "\ud800"}, {"S": "\udc00"}),
    ],
)
def test_values_that_look_alike_have_other_digests(one, other):
    assert digest({"a": one}) != digest({"a": other})


@pytest.mark.parametrize("spelling", ["1", "1.0", "01", "1E0", "10E-1", "+1"])
def test_a_number_has_one_digest_however_it_is_spelled(spelling):
    assert digest({"n": {"N": spelling}}) == digest({"n": {"N": "1"}})


# CapacityUnitCalculations, "Item sizes"; pairs of digits around the point as dynalite counts them.
@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "é"}, 2),
        ({"S": "😀"}, 4),
        ({"B": b"abc"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"N": "0"}, 1),
        ({"N": "0.00"}, 1),
        ({"N": "1"}, 2),
        ({"N": "12"}, 2),
        ({"N": "123"}, 3),
        ({"N": "100"}, 2),
        ({"N": "-1"}, 3),
        ({"N": "1.5"}, 3),
        ({"N": "0.001"}, 2),
        ({"N": "12345678901234567890123456789012345678"}, 20),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"N": "1"}]}, 3 + (1 + 2) + (1 + 2)),
        ({"M": {}}, 3),
        ({"M": {"ab": {"S": "c"}}}, 3 + 1 + 2 + 1),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "12"]}, 4),
        ({"BS": [b"a", b""]}, 1),
    ],
)
def test_the_size_of_a_value(value, size):
    assert value_size(value) == size


def test_an_item_counts_its_names_in_utf8():
    assert item_size({"é": {"S": "x"}, "ab": {"NULL": True}}) == 2 + 1 + 2 + 1


@given(st.text(), st.text())
def test_a_text_key_survives_its_text_form(pk, sk):
    key = {"PK": {"S": pk}, "SK": {"S": sk}}
    text = key_text({**key, "other": {"S": "x"}}, TABLE)
    assert text.isascii()
    assert key_from_text(text, TABLE) == key


@given(st.binary())
def test_a_binary_key_survives_its_text_form(content):
    key = {"id": {"B": content}}
    assert key_from_text(key_text(key, BINARY), BINARY) == key


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_two_keys_share_a_text_only_if_they_are_one(one, other):
    texts = [key_text({"PK": {"S": pk}, "SK": {"S": sk}}, TABLE) for pk, sk in (one, other)]
    assert (texts[0] == texts[1]) is (one == other)


@pytest.mark.parametrize("spelling", ["1", "1.0", "01", "1e0"])
def test_a_number_key_is_one_however_it_is_spelled(spelling):
    assert key_text({"id": {"N": spelling}}, NUMBERED) == '[["N","1"]]'


def test_a_key_is_described_for_a_person():
    assert describe_key({"PK": {"S": 'a"b'}, "SK": {"S": "é\0"}}, TABLE) == 'PK "a\\"b", SK "é\\u0000"'
    assert describe_key({"id": {"N": "1.0"}}, NUMBERED) == "id 1"
    assert describe_key({"id": {"B": b"1"}}, BINARY) == "id x'31'"
