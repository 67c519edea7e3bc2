"""HCL: escaping, and the layout of `terraform fmt`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from migrator.target.export_hcl import Block, Call, Expression, Template, render, render_blocks

TERRAFORM = shutil.which("terraform")

# https://developer.hashicorp.com/terraform/language/expressions/strings
VALUES = [
    ("plain", '"plain"'),
    ("", '""'),
    ('say "so"', '"say \\"so\\""'),
    ("back\\slash", '"back\\\\slash"'),
    ("two\nlines\tand a tab", '"two\\nlines\\tand a tab"'),
    ("bell\x07", '"bell\\u0007"'),
    ("${not.an.expression}", '"$${not.an.expression}"'),
    ("%{if no.directive}", '"%%{if no.directive}"'),
    ("$5, 100%", '"$5, 100%"'),
    ("grün ☂", '"grün ☂"'),
    (True, "true"),
    (False, "false"),
    (7, "7"),
    (Expression("var.tags"), "var.tags"),
    (Template((Expression("var.stage"), "-orders")), '"${var.stage}-orders"'),
    (Template(("costs ", '"', Expression("var.sum"))), '"costs \\"${var.sum}"'),
    (Template(("costs US$", Expression("var.sum"))), '"costs US${"$"}${var.sum}"'),
    (["a", "${b}"], '["a", "$${b}"]'),
    ((), "[]"),
    ({}, "{}"),
    (Call("contains", (["a"], Expression("var.x"))), 'contains(["a"], var.x)'),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_a_value_is_written(value: Any, text: str) -> None:
    assert render(value) == text


def test_arguments_of_one_line_are_aligned_up_to_a_block() -> None:
    body = [("a", 1), ("longer", 2), Block("inner", (), [("b", 3)]), ("cc", 4)]
    assert render_blocks([Block("outer", ("x", "y"), body)]) == (
        'outer "x" "y" {\n  a      = 1\n  longer = 2\n\n  inner {\n    b = 3\n  }\n\n  cc = 4\n}'
    )


def test_none_leaves_an_argument_out() -> None:
    assert render_blocks([Block("outer", (), [("a", None), ("b", 1)])]) == "outer {\n  b = 1\n}"


def test_an_argument_of_several_lines_ends_the_alignment() -> None:
    body = [("a", 1), ("tags", {"Name": "x", "cost:center": "y"}), ("longer", 2)]
    assert render_blocks([Block("outer", (), body)]) == (
        'outer {\n  a = 1\n\n  tags = {\n    Name          = "x"\n    "cost:center" = "y"\n  }\n\n  longer = 2\n}'
    )


def test_a_call_with_a_map_stands_on_several_lines() -> None:
    assert render(Call("merge", ({"a": 1}, Expression("var.tags")))) == "merge(\n  {\n    a = 1\n  },\n  var.tags,\n)"


@pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed")
def test_terraform_reads_the_texts_that_were_meant(tmp_path: Path) -> None:
    texts = [value for value, _ in VALUES if isinstance(value, str)]
    same = ", ".join(f"{render(text)} == {_by_code_points(text)}" for text in texts)
    console = [str(TERRAFORM), f"-chdir={tmp_path}", "console"]
    answer = subprocess.run(console, input=f"alltrue([{same}])\n", capture_output=True, text=True, check=True)
    assert answer.stdout.split()[-1] == "true"


def _by_code_points(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'
