"""Values that generated encoders write by a short way: the same bytes and sizes as by the long way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import RowRejected
from migrator.mapping.decimals import number_text
from migrator.mapping.jsontext import parse_json
from migrator.mapping.values import to_attribute_value
from migrator.mapping.wirevalues import INTEGER_SURPLUS, any_value, escapes, number, real, wire_value


def outcome(convert, value):
    try:
        return convert(value)
    except RowRejected as reject:
        return reject.code


money = st.decimals(-(10**6), 10**6, places=2).map(float)


@given(st.floats() | money | st.integers(-(10**17), 10**17).map(float) | st.floats(-1, 1))
def test_a_real_is_written_as_any_number_is(value):
    assert outcome(real, value) == outcome(number, value)


@given(st.integers(0, 10**19 - 1) | st.integers(0, 18).map(lambda zeros: 10**zeros))
def test_the_surplus_of_an_integer_follows_from_its_digits(value):
    text = number_text(value)
    assert INTEGER_SURPLUS[len(text)][len(text.rstrip("0"))] == number(value)[1]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["\\u", "\\\\n", '\\"', "\\\\\\", "\x00\\"]))
def test_escapes_are_what_json_adds_to_a_text(text):
    _, wire, _ = wire_value({"S": text})
    assert len(wire) - escapes(wire) == len(text.encode()) + len('""')


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**37), 10**37) | money | texts,
    lambda members: st.lists(members, max_size=3) | st.dictionaries(texts.filter(bool), members, max_size=3),
    max_leaves=8,
)


@given(documents.map(lambda document: parse_json(json.dumps([document]))))
def test_a_document_is_written_as_its_attribute_value_is(document):
    kind, wire, surplus = any_value(document, "", "a", 0)
    expected = wire_value(to_attribute_value(document))
    assert (kind, json.loads(wire), surplus) == (expected[0], json.loads(expected[1]), expected[2])


@pytest.mark.parametrize(("depth", "levels"), [(0, 31), (30, 1)])
def test_a_document_may_nest_as_deep_as_an_item_may(depth, levels):
    nested: list[object] = []
    for _ in range(levels - 1):
        nested = [nested]
    assert any_value(nested, "", "a", depth)[0] == "L"
    with pytest.raises(RowRejected, match="nest"):
        any_value([nested], "", "a", depth)
