"""SQLite values and filter results as attribute values and as text."""

from __future__ import annotations

import json
import math
import pickle
import sqlite3
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import RowRejected
from migrator.mapping.decimals import normal_number, number_text
from migrator.mapping.values import JSON_NULL, TypedSet, to_attribute_value, to_text
from migrator.source.text import InvalidText

DOUBLE_MAX = 1.7976931348623157e308


def code_of(function, *arguments):
    with pytest.raises(RowRejected) as caught:
        function(*arguments)
    return caught.value.code


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (None, None),
        (0, {"N": "0"}),
        (2**53 + 1, {"N": "9007199254740993"}),
        (2**63 - 1, {"N": "9223372036854775807"}),
        (-(2**63), {"N": "-9223372036854775808"}),
        (0.1, {"N": "0.1"}),
        (1.0, {"N": "1"}),
        (-0.0, {"N": "0"}),
        (1e22, {"N": "10000000000000000000000"}),
        (1e100, {"N": "1E+100"}),
        (1.5e-7, {"N": "0.00000015"}),
        (9007199254740993.0, {"N": "9007199254740992"}),
        ("", {"S": ""}),
        ("a\0b", {"S": "a\0b"}),
        ("007", {"S": "007"}),
        ("{}", {"S": "{}"}),
        (b"", {"B": b""}),
        (b"\x31", {"B": b"1"}),
        (True, {"BOOL": True}),
        (JSON_NULL, {"NULL": True}),
        (Decimal("1.50"), {"N": "1.50"}),
        ([1, None, ["x"]], {"L": [{"N": "1"}, {"NULL": True}, {"L": [{"S": "x"}]}]}),
        ({"a": {}}, {"M": {"a": {"M": {}}}}),
        (TypedSet("NS", (1, Decimal("2.5"))), {"NS": ["1", "2.5"]}),
        (TypedSet("BS", (b"a",)), {"BS": [b"a"]}),
    ],
)
def test_a_value_goes_by_what_it_is(value, attribute):
    assert to_attribute_value(value) == attribute


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (math.inf, "number_not_finite"),
        (-math.inf, "number_not_finite"),
        (math.nan, "number_not_finite"),
        (DOUBLE_MAX, "number_out_of_range"),
        (1e126, "number_out_of_range"),
        (5e-324, "number_out_of_range"),
        (1e-131, "number_out_of_range"),
        (10**38 + 1, "number_too_precise"),
        (Decimal("1." + "1" * 38), "number_too_precise"),
        (InvalidText(b"\xff"), "invalid_utf8"),
        ([InvalidText(b"\xff")], "invalid_utf8"),
        ("\ud800", "lone_surrogate"),
        (object(), "unsupported_value"),
        ({1: "x"}, "unsupported_value"),
    ],
)
def test_what_dynamodb_cannot_hold_rejects_the_row(value, code):
    assert code_of(to_attribute_value, value) == code


@pytest.mark.parametrize(
    "value", [1e125, -1e125, 1e-130, 10**38 - 1, 10**50, Decimal("9." + "9" * 37 + "E125"), Decimal("1." + "0" * 60)]
)
def test_the_largest_and_smallest_numbers_pass(value):
    assert Decimal(number_text(value)) == Decimal(repr(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (0, {"BOOL": False}),
        (1, {"BOOL": True}),
        (2, {"N": "2"}),
        (-1, {"N": "-1"}),
        (1.0, {"N": "1"}),
        ("true", {"S": "true"}),
        ("False", {"S": "False"}),
        ("1", {"S": "1"}),
        ("", {"S": ""}),
    ],
)
def test_a_boolean_hint_takes_0_and_1_only(value, attribute):
    assert to_attribute_value(value, "bool") == attribute


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ('{"a": 1.10}', {"M": {"a": {"N": "1.10"}}}),
        (" [true, null, 9007199254740993]", {"L": [{"BOOL": True}, {"NULL": True}, {"N": "9007199254740993"}]}),
        ("[]", {"L": []}),
        ("5", {"S": "5"}),
        ('"x"', {"S": '"x"'}),
        ("null", {"S": "null"}),
        ("{broken", {"S": "{broken"}),
        ("[NaN]", {"S": "[NaN]"}),
        ("[Infinity]", {"S": "[Infinity]"}),
        ('{"a": 1, "a": 2}', {"S": '{"a": 1, "a": 2}'}),
        ("[1e400]", {"S": "[1e400]"}),
        ("[1e99999999999999999999]", {"S": "[1e99999999999999999999]"}),
        (f"[{'1' * 39}]", {"S": f"[{'1' * 39}]"}),
        (f"[{'1' * 5000}]", {"S": f"[{'1' * 5000}]"}),
        ('["\\ud83d\\ude00"]', {"L": [{"S": "😀"}]}),
        ('["\\ud83d"]', {"S": '["\\ud83d"]'}),
        ('["\\\\ud83d"]', {"L": [{"S": "\\ud83d"}]}),
    ],
)
def test_a_json_hint_takes_objects_and_arrays_that_lose_nothing(text, attribute):
    assert to_attribute_value(text, "json") == attribute


@pytest.mark.parametrize("levels", [32, 900, 100_000])
def test_json_nested_too_deep_rejects_the_row(levels):
    assert code_of(to_attribute_value, "[" * levels + "]" * levels, "json") == "nesting_too_deep"


def test_json_of_31_levels_passes():
    assert to_attribute_value("[" * 31 + "]" * 31, "json")


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        ("1.50", {"N": "1.50"}),
        ("-0.5", {"N": "-0.5"}),
        ("12345678901234567890.123456789", {"N": "12345678901234567890.123456789"}),
        ("1e5", {"N": "100000"}),
        ("007", {"S": "007"}),
        ("+5", {"S": "+5"}),
        ("1_000", {"S": "1_000"}),
        ("1,234.50", {"S": "1,234.50"}),
        ("٣", {"S": "٣"}),
        (" 5", {"S": " 5"}),
        ("5\n", {"S": "5\n"}),
        (".5", {"S": ".5"}),
        ("", {"S": ""}),
        (b"5", {"B": b"5"}),
        (3, {"N": "3"}),
    ],
)
def test_a_number_hint_takes_canonical_decimal_text(value, attribute):
    assert to_attribute_value(value, "number") == attribute


def test_a_decimal_of_39_digits_is_rejected_rather_than_changed():
    assert code_of(to_attribute_value, "1" * 39, "number") == "number_too_precise"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("+5", "5"), ("007", "7"), (".5", "0.5"), ("5.", "5"), ("1.50", "1.50"), ("-0", "0"), ("-0.00", "0")],
)
def test_number_text_spells_canonically(text, canonical):
    assert number_text(text) == canonical


@pytest.mark.parametrize("text", ["", " 5", "1_000", "0x10", "٣", "1,5", "nan", "Infinity", "5\n", "--5", "1e"])
def test_text_that_is_no_decimal_number_is_rejected(text):
    assert code_of(number_text, text) == "not_a_number"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e125, max_value=1e125))
def test_a_real_survives_the_round_trip(value):
    if value == 0 or abs(value) >= 1e-130:
        assert float(number_text(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_spellings_of_a_number_are_one_and_its_value_is_kept(number):
    try:
        text = number_text(number)
    except RowRejected:
        return
    assert Decimal(text) == number
    assert Decimal(normal_number(text)) == number
    assert normal_number(text) == normal_number(str(number)) == normal_number(f"{number:E}")


@given(st.integers(-(10**45), 10**45))
def test_an_integer_is_exact_or_rejected(value):
    if len(str(abs(value)).rstrip("0")) > 38:
        assert code_of(number_text, value) == "number_too_precise"
    else:
        assert int(Decimal(number_text(value))) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-7, "-7"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        ("é", "é"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
    ],
)
def test_text_form(value, text):
    assert to_text(value, "c") == text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"x", "blob_in_template"),
        (InvalidText(b"\xff"), "invalid_utf8"),
        ([], "not_text"),
        ({}, "not_text"),
        (JSON_NULL, "not_text"),
        (TypedSet("SS", ("a",)), "not_text"),
        (math.inf, "number_not_finite"),
    ],
)
def test_what_has_no_text_form_rejects_and_names_the_column(value, code):
    with pytest.raises(RowRejected) as caught:
        to_text(value, "c")
    assert (caught.value.code, caught.value.column) == (code, "c")


def test_json_null_stays_itself_through_pickle():
    assert pickle.loads(pickle.dumps(JSON_NULL)) is JSON_NULL


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(-(10**9), 10**9), st.lists, max_leaves=8))
def test_json_lists_say_what_sqlites_json_says(value):
    document = json.dumps([value])
    parsed = to_attribute_value(document, "json")
    count = sqlite3.connect(":memory:").execute("SELECT count(*) FROM json_tree(?)", (document,)).fetchone()[0]
    assert _nodes(parsed) == count


def _nodes(attribute):
    ((kind, content),) = attribute.items()
    return 1 + (sum(map(_nodes, content)) if kind == "L" else 0)
