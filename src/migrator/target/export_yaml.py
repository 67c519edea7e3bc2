"""CloudFormation's YAML: short forms of the intrinsic functions, and text that no reader takes for something else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from msgspec import Struct


class Intrinsic(Struct, frozen=True):
    """`!Ref Name`, `!If [condition, then, else]`: a function and its argument."""

    function: str
    argument: Any


def ref(name: str) -> Intrinsic:
    return Intrinsic("Ref", name)


def render_yaml(sections: Mapping[str, Any]) -> str:
    """Block style, in the given order, with an empty line between sections and between the entries of a long one.

    >>> print(render_yaml({"Description": "Tables", "Outputs": {"Name": {"Value": ref("Table")}}}))
    Description: Tables
    <BLANKLINE>
    Outputs:
      Name:
        Value: !Ref Table
    """
    return "\n".join(_section(name, content) for name, content in sections.items()).rstrip("\n")


def _section(name: str, content: Any) -> str:
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        return _dump({name: content})
    entries = (_dump({name: {key: entry}}).partition("\n")[2] for key, entry in content.items())
    return f"{name}:\n" + "\n".join(entries)


def _dump(content: Any) -> str:
    # PyYAML folds long lines, which reads badly in a template.
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # Lists stand below their key, as AWS writes them.
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> Any:
        """As PyYAML does, but a function's argument needs no quotes where plain text needs none."""
        style = super().choose_scalar_style()
        event: Any = self.event
        analysis: Any = self.analysis
        is_plain = analysis.allow_flow_plain if self.flow_level else analysis.allow_block_plain
        return "" if event.tag and event.tag.startswith("!") and not analysis.empty and is_plain else style

    def intrinsic(self, intrinsic: Intrinsic) -> yaml.Node:
        tag = f"!{intrinsic.function}"
        if isinstance(intrinsic.argument, str):
            return self.represent_scalar(tag, intrinsic.argument)
        return self.represent_sequence(tag, intrinsic.argument, flow_style=_is_flat(intrinsic.argument))


def _is_flat(argument: list[Any]) -> bool:
    return not any(isinstance(each, list | dict) for each in argument)


_Dumper.add_representer(Intrinsic, _Dumper.intrinsic)
# The key type N must stay text for readers by YAML 1.1, where a plain n is false.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]\Z"), list("yYnN"))
