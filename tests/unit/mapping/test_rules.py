"""Rules on the source's raw values."""

from __future__ import annotations

from decimal import Decimal

import pytest

from migrator.mapping.model import Rule
from migrator.mapping.rejects import REJECT_CODES
from migrator.mapping.rules import TYPES, check_rules
from migrator.source.text import InvalidText

INVALID = InvalidText(b"\xff")


def broken(value, **rule):
    findings = check_rules((Rule("c", **rule),), {"c": value})
    assert all(finding.rule in REJECT_CODES for finding in findings)
    return [finding.rule for finding in findings]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("", {"required": True}),
        (0, {"required": True}),
        ("active", {"one_of": ("active", "inactive")}),
        (1, {"one_of": (1, 2)}),
        (1.0, {"one_of": (1,)}),
        (0.1, {"one_of": (Decimal("0.1"),)}),
        (1, {"one_of": (True,)}),
        (5, {"min": 5, "max": 5}),
        (5.5, {"min": Decimal("5.5"), "max": 6}),
        ("5.5", {"min": 5}),
        ("2024-06-01", {"min": "2024-01-01", "max": "2024-12-31"}),
        (2**63 - 1, {"max": 2**63 - 1}),
        ("é" * 5, {"max_length": 5}),
        (b"12345", {"max_length": 5}),
        (12345, {"max_length": 5}),
        ("a@b", {"pattern": "@"}),
        (42, {"pattern": r"^\d+$"}),
        ("x", {"unique": True}),
    ],
)
def test_a_value_that_keeps_the_rule(value, rule):
    assert broken(value, **rule) == []


@pytest.mark.parametrize(
    ("value", "rule", "name"),
    [
        (None, {"required": True}, "required"),
        ("Active", {"one_of": ("active",)}, "one_of"),
        ("1", {"one_of": (1,)}, "one_of"),
        (4, {"min": 5}, "min"),
        (2**63 - 1, {"max": 2**63 - 2}, "max"),
        ("abc", {"min": 5}, "min"),
        (5, {"max": "x"}, "max"),
        (b"5", {"min": 1}, "min"),
        (float("inf"), {"max": 10}, "max"),
        ("é" * 6, {"max_length": 5}, "max_length"),
        (float("inf"), {"max_length": 2}, "max_length"),
        ("nobody", {"pattern": "@"}, "pattern"),
        (b"a@b", {"pattern": "@"}, "pattern"),
        (INVALID, {"pattern": "."}, "pattern"),
    ],
)
def test_a_value_that_breaks_the_rule(value, rule, name):
    assert broken(value, **rule) == [name]


def test_null_passes_every_rule_but_required():
    rule = {"type": "integer", "one_of": (1,), "min": 1, "max": 2, "max_length": 1, "pattern": "x"}
    assert broken(None, **rule) == []


EXAMPLES = {
    "integer": ([5, -1], [5.0, "5", b"5"]),
    "real": ([5.0], [5, "5.0"]),
    "number": ([5, 5.5, "5.50"], ["5,5", "", b"5", INVALID]),
    "text": (["", "5"], [5, b"x", INVALID]),
    "blob": ([b""], ["x", INVALID]),
    "boolean": ([0, 1, "true", "No"], [2, -1, "", "maybe"]),
    "date": (["2024-02-29", 1700000000, 2440587.5], ["0000-00-00", "2024-02-30", "", 10**15, b""]),
    "json": (["{}", "5", '"x"', 5], ["{", "", INVALID]),
}


def test_every_type_has_examples():
    assert EXAMPLES.keys() == TYPES.keys()


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, (good, _) in EXAMPLES.items() for v in good])
def test_a_value_of_the_type(name, value):
    assert broken(value, type=name) == []


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, (_, bad) in EXAMPLES.items() for v in bad])
def test_a_value_of_another_type(name, value):
    assert broken(value, type=name) == ["type"]


def test_findings_come_in_the_order_of_the_rules_with_their_severity():
    rules = (Rule("a", required=True, severity="warn"), Rule("b", max_length=1, pattern="x"))
    findings = check_rules(rules, {"a": None, "b": "yy"})
    assert [(f.rule, f.column, f.severity) for f in findings] == [
        ("required", "a", "warn"),
        ("max_length", "b", "error"),
        ("pattern", "b", "error"),
    ]
