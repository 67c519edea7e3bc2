"""Conditions: what they become with values, how they compare, and what templates tell of them."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.mapping.conditions import Asked, NoQuestion, ask_filter, ask_key, holds, may_answer
from migrator.mapping.model import Condition, ItemSpec, KeyAttribute
from migrator.mapping.templates import parse_template


def asked_of_key(template: str, values: dict[str, Any], key_type: str = "S", comparison: str = "eq") -> Asked:
    condition = Condition("k", comparison, (parse_template(template),))
    return ask_key(condition, KeyAttribute("k", key_type), lambda column: values[column.column], partition=True)


def asked_of_filter(operand: Any, values: dict[str, Any] | None = None, comparison: str = "eq") -> Asked:
    operands = tuple(parse_template(o) if isinstance(o, str) else o for o in operand)
    return ask_filter(Condition("a", comparison, operands), lambda column: (values or {})[column.column])


@pytest.mark.parametrize(
    ("template", "value", "key_type", "expected"),
    [
        ("USER#{x|lower}", "A", "S", {"S": "USER#a"}),
        ("{x}", 7, "N", {"N": "7"}),
        ("{x}", "1.50", "N", {"N": "1.50"}),
        ("{x}", b"\x00", "B", {"B": b"\x00"}),
        ("a{x}", "b", "B", {"B": b"ab"}),
    ],
)
def test_a_key_is_asked_for_as_items_render_it(template: str, value: Any, key_type: str, expected: Any) -> None:
    assert asked_of_key(template, {"x": value}, key_type).values == (expected,)


@pytest.mark.parametrize(
    ("template", "value", "key_type", "why"),
    [
        ("USER#{x}", None, "S", "needs x, which is NULL"),
        ("{x}", "", "S", "is empty"),
        ("{x}", "seven", "N", "declared as a number"),
        ("{x}", "é" * 1_025, "S", "over the 2048"),
        ('{x|get("a")}', '{"a": "\\ud800"}', "S", "surrogate"),
    ],
)
def test_what_is_no_key_cannot_be_asked(template: str, value: Any, key_type: str, why: str) -> None:
    with pytest.raises(NoQuestion, match=why):
        asked_of_key(template, {"x": value}, key_type)


@pytest.mark.parametrize(
    ("operand", "values", "expected"),
    [
        (("a-{x}",), {"x": 1}, {"S": "a-1"}),
        (("{x}",), {"x": 1}, {"N": "1"}),
        (("{x}",), {"x": "1"}, {"S": "1"}),
        (("{x|bool}",), {"x": 1}, {"BOOL": True}),
        (("active",), {}, {"S": "active"}),
        ((1,), {}, {"N": "1"}),
        ((True,), {}, {"BOOL": True}),
    ],
)
def test_a_filter_compares_with_the_type_of_its_value(operand: Any, values: Any, expected: Any) -> None:
    assert asked_of_filter(operand, values).values == (expected,)


@pytest.mark.parametrize(
    ("operand", "comparison"),
    [
        (("{null}",), "eq"),
        (("{true|bool}",), "lt"),
        (("{one}",), "begins_with"),
        (("a", 1), "between"),
        (("b", "a"), "between"),
        ((10, 9), "between"),
    ],
)
def test_what_dynamodb_would_refuse_is_not_asked(operand: Any, comparison: str) -> None:
    with pytest.raises(NoQuestion):
        asked_of_filter(operand, {"null": None, "true": 1, "one": 1}, comparison)


#: attribute value, comparison, operands, whether it holds — by "Operators and functions" of the API reference
JUDGED = [
    ({"N": "1.0"}, "eq", [{"N": "1"}], True),
    ({"S": "1"}, "eq", [{"N": "1"}], False),
    ({"SS": ["a", "b"]}, "eq", [{"SS": ["b", "a"]}], True),
    ({"BOOL": False}, "eq", [{"BOOL": False}], True),
    ({"N": "9"}, "lt", [{"N": "10"}], True),
    ({"S": "9"}, "lt", [{"S": "10"}], False),
    ({"S": "9"}, "lt", [{"N": "10"}], False),
    ({"S": "\uffff"}, "lt", [{"S": "\U0001f600"}], True),  # by UTF-8, not by UTF-16
    ({"B": b"\x00"}, "lt", [{"B": b"\x00\x00"}], True),
    ({"B": b"\x80"}, "gt", [{"B": b"\x7f"}], True),
    ({"N": "-3"}, "le", [{"N": "-3.0"}], True),
    ({"N": "1E2"}, "ge", [{"N": "99"}], True),
    ({"S": "ORDER#1"}, "begins_with", [{"S": "ORDER#"}], True),
    ({"S": "ORDER"}, "begins_with", [{"S": "ORDER#"}], False),
    ({"B": b"ab"}, "begins_with", [{"B": b"a"}], True),
    ({"N": "2"}, "between", [{"N": "2"}, {"N": "3"}], True),
    ({"S": "c"}, "between", [{"S": "a"}, {"S": "b"}], False),
]


@pytest.mark.parametrize(("value", "comparison", "operands", "expected"), JUDGED)
def test_values_are_compared_as_dynamodb_compares(value: Any, comparison: Any, operands: Any, expected: bool) -> None:
    assert holds(Asked("a", comparison, tuple(operands)), {"a": value}) is expected


def test_an_absent_attribute_fulfils_nothing() -> None:
    assert not holds(Asked("a", "eq", ({"NULL": True},)), {})


PK, SK = KeyAttribute("PK"), KeyAttribute("SK")


@pytest.mark.parametrize(
    ("own", "comparison", "asked", "expected"),
    [
        ("MEMBER#{user}", "eq", "MEMBER#{x}", True),
        ("MEMBER#{user}", "eq", "CIRCLE#{x}", False),
        ("PROFILE", "begins_with", "PRO", True),
        ("PROFILE", "begins_with", "ORDER#", False),
        ("ORDER#{id}", "begins_with", "ORDER#2024", True),
        ("ORDER#{id}", "begins_with", "ORD", True),
        ("ORDER#{id}", "begins_with", "{x}", True),
        ("A", "lt", "B", True),
    ],
)
def test_templates_tell_which_items_may_answer(own: str, comparison: Any, asked: str, expected: bool) -> None:
    spec = ItemSpec((("PK", parse_template("{id}")), ("SK", parse_template(own))))
    condition = Condition("SK", comparison, (parse_template(asked),))
    assert may_answer(spec, (PK, SK), [condition]) is expected


def test_an_item_without_a_key_of_the_index_is_not_in_it() -> None:
    spec = ItemSpec((("PK", parse_template("{id}")), ("SK", parse_template("A"))))
    assert not may_answer(spec, (KeyAttribute("GSI1PK"),), [])


def test_texts_of_numbers_contradict_nothing() -> None:
    spec = ItemSpec((("PK", parse_template("1.0")),))
    assert may_answer(spec, (KeyAttribute("PK", "N"),), [Condition("PK", "eq", (parse_template("1"),))])
