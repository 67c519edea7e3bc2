"""Each filter of the contract, by examples; and the check of how they are called."""

from __future__ import annotations

import hashlib
import math
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import RowRejected
from migrator.mapping.filters import FILTERS, apply_filters, check_call
from migrator.mapping.model import FilterCall
from migrator.mapping.values import JSON_NULL, TypedSet, to_attribute_value
from migrator.source.text import InvalidText

# The contract's list, §2 "Filters"
CONTRACT = (
    "lower upper trim pad string number bool json split set list binary base64 hex epoch epoch_ms iso8601 date "
    "default nullif get prefix sha256 shard uuid5"
)
INVALID = InvalidText(b"\xff")


def through(value, *calls):
    return apply_filters(value, tuple(FilterCall(name, tuple(arguments)) for name, *arguments in calls), "column")


def code_of(value, *calls):
    with pytest.raises(RowRejected) as caught:
        through(value, *calls)
    assert caught.value.column == "column"
    return caught.value.code


def test_the_table_holds_the_contracts_filters_and_what_suggest_needs():
    assert list(FILTERS) == [*CONTRACT.split(), "storable", "token"]


@pytest.mark.parametrize(
    ("value", "call", "expected"),
    [
        ("ÄB", ("lower",), "äb"),
        (7, ("lower",), "7"),
        ("äb", ("upper",), "ÄB"),
        ("\t a b\u00a0\n", ("trim",), "a b"),
        (7, ("pad", 3), "007"),
        ("42", ("pad", 5), "00042"),
        ("007", ("pad", 3), "007"),
        (7.0, ("pad", 3), "007"),
        (1.0, ("string",), "1.0"),
        (0.1, ("string",), "0.1"),
        (2**63 - 1, ("string",), "9223372036854775807"),
        (" 1.50 ", ("number",), Decimal("1.50")),
        ("007", ("number",), Decimal(7)),
        ("0.30000000000000000000000000000000000001", ("number",), Decimal("0.30000000000000000000000000000000000001")),
        (5, ("number",), 5),
        (True, ("number",), 1),
        (0, ("bool",), False),
        (1.0, ("bool",), True),
        ("YES", ("bool",), True),
        (" off ", ("bool",), False),
        ('{"a": [1.10, null]}', ("json",), {"a": [Decimal("1.10"), None]}),
        ("null", ("json",), JSON_NULL),
        ('"x"', ("json",), "x"),
        (b"[1]", ("json",), [1]),
        (5, ("json",), 5),
        ("a, b,", ("split", ","), ["a", " b", ""]),
        ("", ("split", ","), []),
        (["a", "b", "a"], ("set",), TypedSet("SS", ("a", "b"))),
        ([1, 1.0, Decimal("1.00"), 2], ("set",), TypedSet("NS", (1, 2))),
        ([b"a", b"a"], ("set",), TypedSet("BS", (b"a",))),
        ("x", ("set",), TypedSet("SS", ("x",))),
        ('["b", "a"]', ("set",), TypedSet("SS", ("b", "a"))),
        ([], ("set",), None),
        ('[1, "a"]', ("list",), [1, "a"]),
        ("[broken", ("list",), ["[broken"]),
        (5, ("list",), [5]),
        ("é", ("binary",), b"\xc3\xa9"),
        (INVALID, ("binary",), b"\xff"),
        (b"x", ("binary",), b"x"),
        ("aGk=\n", ("base64",), b"hi"),
        (b"hi", ("base64",), "aGk="),
        ("6869", ("hex",), b"hi"),
        (b"hi\xff", ("hex",), "6869ff"),
        ("1970-01-02", ("epoch",), 86400),
        (1500, ("epoch", "ms"), 1),
        ("31/12/1969", ("epoch", "%d/%m/%Y"), -86400),
        ("1970-01-01 00:00:01.5", ("epoch_ms",), 1500),
        (0, ("iso8601",), "1970-01-01T00:00:00Z"),
        (1500000, ("iso8601", "us"), "1970-01-01T00:00:01.500000Z"),
        (2440588.5, ("date",), "1970-01-02"),
        (None, ("default", "x"), "x"),
        (None, ("default", 0), 0),
        (JSON_NULL, ("default", "x"), "x"),
        ("", ("default", "x"), ""),
        ("N/A", ("nullif", "", "N/A"), None),
        (0, ("nullif", 0), None),
        (0.1, ("nullif", 0.1), None),
        (Decimal("0.1"), ("nullif", 0.1), None),
        (0, ("nullif", "0"), 0),
        ({"a": {"b": [10, 20]}}, ("get", "a.b.1"), 20),
        ('{"a": {"b": "x"}}', ("get", "a.b"), "x"),
        ({"a": 1}, ("get", "a.b"), None),
        ({"a": None}, ("get", "a"), JSON_NULL),
        ([1], ("get", "1"), None),
        ([1], ("get", "-1"), None),
        ("7", ("prefix", "USER#"), "USER#7"),
        ("USER#7", ("prefix", "USER#"), "USER#7"),
        (7, ("prefix", "n"), "n7"),
        ("abc", ("sha256",), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"abc", ("sha256",), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("abc", ("shard", 10), 0xBA7816BF % 10),
        (7, ("shard", 1), 0),
        ("python.org", ("uuid5", "dns"), "886313e1-3b8a-5372-9b90-0c9aee199e5d"),
        ("x", ("uuid5", str(uuid.NAMESPACE_OID)), str(uuid.uuid5(uuid.NAMESPACE_OID, "x"))),
        (5, ("storable",), 5),
        (float("-inf"), ("storable",), "-inf"),
        (1.7976931348623157e308, ("storable",), "1.7976931348623157e+308"),
        (5e-324, ("storable",), "5e-324"),
        (INVALID, ("storable",), b"\xff"),
        ("", ("storable",), ""),
        ("", ("token",), ""),
        ("%n1", ("token",), "%25n1"),
        (-0.0, ("token",), "%n0"),
        (2.0**63, ("token",), "%n9223372036854775808"),
        (float("inf"), ("token",), "%ninf"),
        (INVALID, ("token",), "%uff"),
        (b"\xff", ("token",), "%xff"),
        ("abc", ("python:builtins.len",), 3),
        ("a-b", ("python:posixpath.split",), ["", "a-b"]),
        ("ba", ("python:builtins.frozenset",), TypedSet("SS", ("a", "b"))),
    ],
)
def test_what_a_filter_makes(value, call, expected):
    result = through(value, call)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "call", "code"),
    [
        (b"x", ("lower",), "blob_in_template"),
        (INVALID, ("trim",), "invalid_utf8"),
        ([], ("upper",), "not_text"),
        (-1, ("pad", 3), "pad_negative"),
        (-1.0, ("pad", 3), "pad_negative"),
        ("-5", ("pad", 3), "pad_negative"),
        (1000, ("pad", 3), "pad_too_long"),
        (2.5, ("pad", 5), "pad_not_digits"),
        ("A1", ("pad", 5), "pad_not_digits"),
        ("", ("pad", 5), "pad_not_digits"),
        ("٣", ("pad", 5), "pad_not_digits"),
        (b"x", ("string",), "blob_in_template"),
        ("1,234.50", ("number",), "not_a_number"),
        ("", ("number",), "not_a_number"),
        (b"5", ("number",), "not_a_number"),
        (INVALID, ("number",), "invalid_utf8"),
        ("1" * 39, ("number",), "number_too_precise"),
        ("1e126", ("number",), "number_out_of_range"),
        (2, ("bool",), "not_a_boolean"),
        (-1, ("bool",), "not_a_boolean"),
        ("", ("bool",), "not_a_boolean"),
        (b"1", ("bool",), "not_a_boolean"),
        ("{broken", ("json",), "invalid_json"),
        ("", ("json",), "invalid_json"),
        ("[NaN]", ("json",), "invalid_json"),
        (b"\xff", ("json",), "invalid_json"),
        ('{"a": 1, "a": 2}', ("json",), "duplicate_name"),
        ('"\\ud800"', ("json",), "lone_surrogate"),
        ("[" * 100_000, ("json",), "nesting_too_deep"),
        (INVALID, ("json",), "invalid_utf8"),
        ([1, "1"], ("set",), "set_mixed"),
        ([True], ("set",), "set_mixed"),
        ([None], ("set",), "set_mixed"),
        ([[1]], ("set",), "set_mixed"),
        (INVALID, ("set",), "invalid_utf8"),
        ([math.inf], ("set",), "number_not_finite"),
        (5, ("binary",), "not_binary"),
        ("a", ("base64",), "invalid_base64"),
        ("a!b=", ("base64",), "invalid_base64"),
        ("é", ("base64",), "invalid_base64"),
        ("abc", ("hex",), "invalid_hex"),
        ("zz", ("hex",), "invalid_hex"),
        ("0000-00-00", ("iso8601",), "not_a_date"),
        (10**15, ("epoch",), "date_out_of_range"),
        ("{", ("get", "a"), "invalid_json"),
        (b"x", ("uuid5", "dns"), "blob_in_template"),
        ("x", ("python:math.sqrt",), "filter_failed"),
        (-1, ("python:math.sqrt",), "filter_failed"),
        ("x", ("python:builtins.memoryview",), "filter_failed"),
        (1.5, ("python:builtins.complex",), "unsupported_value"),
    ],
)
def test_what_a_filter_refuses_rejects_the_row_and_names_the_column(value, call, code):
    assert code_of(value, call) == code


ARGUMENTS = {"pad": (3,), "split": (",",), "default": ("x",), "nullif": ("x",), "get": ("a",), "prefix": ("p",)} | {
    "shard": (3,),
    "uuid5": ("dns",),
}


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "default"])
@pytest.mark.parametrize("null", [None, JSON_NULL])
def test_null_passes_through_every_filter_but_default(name, null):
    assert through(null, (name, *ARGUMENTS.get(name, ()))) is null


def test_filters_run_in_order_and_default_may_follow_a_null():
    assert through("  ", ("trim",), ("nullif", ""), ("default", "none"), ("upper",)) == "NONE"
    assert through('{"a": null}', ("json",), ("get", "b"), ("default", 1)) == 1


def test_json_with_a_number_that_does_not_fit_is_rejected_when_it_becomes_an_attribute():
    with pytest.raises(RowRejected, match="38"):
        to_attribute_value(through(f"[{'1' * 39}]", ("json",)))


@given(st.text(), st.integers(1, 1000))
def test_a_shard_is_the_hash_modulo_n(text, count):
    first = hashlib.sha256(text.encode()).digest()[:4]
    assert through(text, ("shard", count)) == int.from_bytes(first, "big") % count


@given(st.binary())
def test_a_blob_survives_hex_and_base64(content):
    assert through(content, ("hex",), ("hex",)) == content
    assert through(content, ("base64",), ("base64",)) == content


SQLITE_VALUES = st.one_of(
    st.text("#%n1x", max_size=3), st.binary(max_size=2), st.integers(0, 3), st.sampled_from([0.0, 0.5])
)


@given(st.lists(SQLITE_VALUES, min_size=2, max_size=2), st.lists(SQLITE_VALUES, min_size=2, max_size=2))
def test_keys_of_tokens_meet_only_where_the_values_are_equal(one, other):
    def key(values):
        return "#".join(through(value, ("token",)) for value in values)

    assert (key(one) == key(other)) == (one == other)


@pytest.mark.parametrize("name", FILTERS)
def test_a_right_call_has_no_problem(name):
    assert check_call(FilterCall(name, ARGUMENTS.get(name, ()))) is None


@pytest.mark.parametrize(
    "call",
    [
        FilterCall("nullif", ("", 0, "N/A")),
        FilterCall("epoch", ("%d/%m/%Y",)),
        FilterCall("default", (1.5,)),
        FilterCall("get", (0,)),
        FilterCall("uuid5", ("6BA7B810-9DAD-11D1-80B4-00C04FD430C8",)),
        FilterCall("python:builtins.len"),
    ],
)
def test_other_right_calls(call):
    assert check_call(call) is None


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (FilterCall("uper"), 'there is no filter "uper". Did you mean "upper"?'),
        (FilterCall("LOWER"), 'there is no filter "LOWER". Did you mean "lower"?'),
        (FilterCall("qqq"), 'there is no filter "qqq". There are: lower'),
        (FilterCall("pad"), "filter pad needs n: pad(n)"),
        (FilterCall("pad", ("3",)), "filter pad: n must be a number, not '3': pad(n)"),
        (FilterCall("pad", (3.5,)), "filter pad: n must be a number, not 3.5"),
        (FilterCall("pad", (0,)), "filter pad: 0 is less than 1"),
        (FilterCall("pad", (3, 4)), "filter pad takes fewer arguments: pad(n)"),
        (FilterCall("lower", (1,)), "filter lower takes fewer arguments: lower"),
        (FilterCall("nullif"), "filter nullif needs x: nullif(x, …)"),
        (FilterCall("split", ("",)), "filter split: the text is empty"),
        (FilterCall("epoch", ("sec",)), "filter epoch: 'sec' is no unit"),
        (FilterCall("epoch", ("%Q",)), "filter epoch: 'Q' is a bad directive"),
        (FilterCall("epoch", (1,)), "filter epoch: unit or format must be quoted text, not 1"),
        (FilterCall("uuid5", ("mine",)), "filter uuid5: 'mine' is neither dns"),
        (FilterCall("python:nowhere.f"), "python:nowhere.f cannot be used: No module named 'nowhere'"),
        (FilterCall("python:math.nope"), "python:math.nope cannot be used: module math has no function nope"),
        (FilterCall("python:math.pi"), "python:math.pi cannot be used: module math has no function pi"),
        (FilterCall("python:len"), "python:len cannot be used: 'len' names no module"),
    ],
)
def test_a_wrong_call_is_explained(call, problem):
    assert check_call(call).startswith(problem)
