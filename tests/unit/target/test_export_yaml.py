"""CloudFormation's YAML, read back by cfn-lint's decoder."""

from __future__ import annotations

from typing import Any

import pytest
from cfnlint.decode import decode_str

from migrator.target.export_yaml import Intrinsic, ref, render_yaml

CASES = [
    ("x", "x"),
    ("N", "N"),
    ("true", "true"),
    ("2010-09-09", "2010-09-09"),
    ("007", "007"),
    ("", ""),
    ("a: b # c", "a: b # c"),
    ("two\n  lines:\n\nmore", "two\n  lines:\n\nmore"),
    (ref("Table"), {"Ref": "Table"}),
    (ref("AWS::NoValue"), {"Ref": "AWS::NoValue"}),
    (Intrinsic("Sub", "a: ${B} #"), {"Fn::Sub": "a: ${B} #"}),
    (Intrinsic("GetAtt", "Table.Arn"), {"Fn::GetAtt": ["Table", "Arn"]}),
    (Intrinsic("If", ["C", ref("A"), ref("AWS::NoValue")]), {"Fn::If": ["C", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}),
    (Intrinsic("If", ["C", {"a": ref("A")}, ""]), {"Fn::If": ["C", {"a": {"Ref": "A"}}, ""]}),
    (Intrinsic("Join", [",", [ref("A"), "b"]]), {"Fn::Join": [",", [{"Ref": "A"}, "b"]]}),
]


@pytest.mark.parametrize(("value", "meant"), CASES)
def test_a_value_is_read_as_it_was_meant(value: Any, meant: Any) -> None:
    template, problems = decode_str(render_yaml({"Metadata": {"Entry": {"Value": value}}}))
    assert problems == []
    assert template["Metadata"]["Entry"]["Value"] == meant


def test_the_key_type_n_is_quoted() -> None:
    assert render_yaml({"AttributeType": "N"}) == "AttributeType: 'N'"


def test_an_empty_line_stands_between_the_entries_of_a_section() -> None:
    entries = {"A": {"Type": "String"}, "B": {"Type": ref("C")}}
    assert render_yaml({"Description": "d", "Parameters": entries}) == (
        "Description: d\n\nParameters:\n  A:\n    Type: String\n\n  B:\n    Type: !Ref C"
    )


def test_entries_of_one_line_stand_together() -> None:
    conditions = {name: Intrinsic("Equals", [ref(name), "x"]) for name in ("A", "B")}
    assert render_yaml({"Conditions": conditions}) == (
        "Conditions:\n  A: !Equals [!Ref A, x]\n  B: !Equals [!Ref B, x]"
    )
