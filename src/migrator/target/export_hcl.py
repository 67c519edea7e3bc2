"""HCL from data, laid out as `terraform fmt` lays it out.

Text is escaped here and nowhere else, so no value from a mapping can become an expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from msgspec import Struct


class Expression(Struct, frozen=True):
    """HCL that stands as it is: `var.environment`, `string`."""

    text: str


class Template(Struct, frozen=True):
    """Quoted text with expressions in it.

    >>> print(render(Template((Expression("var.environment"), "-products"))))
    "${var.environment}-products"
    """

    parts: tuple[str | Expression, ...]


class Call(Struct, frozen=True):
    function: str
    arguments: tuple[Value, ...]


class Block(Struct, frozen=True):
    """`kind "label" { … }`; None as an argument's value leaves the argument out."""

    kind: str
    labels: tuple[str, ...]
    body: Sequence[Argument | Block]


Value = str | int | bool | Expression | Template | Call | Sequence[str] | Mapping[str, "Value"]
Argument = tuple[str, Value | None]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL = re.compile(r'[\\"\x00-\x1f\x7f]|[$%](?=\{)')


def render_blocks(blocks: Iterable[Block]) -> str:
    return "\n\n".join("\n".join(_block(block)) for block in blocks)


def render(value: Value) -> str:
    """One value.

    >>> print(render({"plain": 'a "quoted" ${word}', "with space": True}))
    {
      plain        = "a \\"quoted\\" $${word}"
      "with space" = true
    }
    """
    return "\n".join(_value(value))


def _block(block: Block) -> list[str]:
    opening = " ".join((block.kind, *map(_quoted, block.labels), "{"))
    return [opening, *_indented(_body(block.body)), "}"]


def _body(parts: Sequence[Argument | Block]) -> list[str]:
    """Arguments of one line are aligned; what takes more lines stands between blank lines, and ends an alignment."""
    written = [_part(part) for part in parts if isinstance(part, Block) or part[1] is not None]
    groups: list[list[str]] = []
    for is_short, group in groupby(written, lambda part: bool(part[0]) and len(part[1]) == 1):
        if is_short:
            groups.append(_aligned(list(group)))
        else:
            groups.extend([f"{name} = {lines[0]}" if name else lines[0], *lines[1:]] for name, lines in group)
    return [line for n, group in enumerate(groups) for line in ([""] if n else []) + group]


def _part(part: Argument | Block) -> tuple[str, list[str]]:
    if isinstance(part, Block):
        return "", _block(part)
    name, value = part
    return name, _value(value) if value is not None else []


def _aligned(arguments: Sequence[tuple[str, list[str]]]) -> list[str]:
    width = max(len(name) for name, _ in arguments)
    return [f"{name:<{width}} = {lines[0]}" for name, lines in arguments]


def _value(value: Value) -> list[str]:
    match value:
        case bool():
            return [str(value).lower()]
        case int():
            return [str(value)]
        case str():
            return [_quoted(value)]
        case Expression(text):
            return [text]
        case Template(parts):
            return [_template(parts)]
        case Call():
            return _call(value)
        case Mapping():
            entries = _body([(_key(key), each) for key, each in value.items()])
            return ["{", *_indented(entries), "}"] if entries else ["{}"]
        case _:
            return [f"[{', '.join(map(_quoted, value))}]"]


def _call(call: Call) -> list[str]:
    arguments = [_value(argument) for argument in call.arguments]
    if all(len(lines) == 1 for lines in arguments):
        return [f"{call.function}({', '.join(lines[0] for lines in arguments)})"]
    listed = [line for lines in arguments for line in (*lines[:-1], f"{lines[-1]},")]
    return [f"{call.function}(", *_indented(listed), ")"]


def _template(parts: Sequence[str | Expression]) -> str:
    text = ""
    for part in parts:
        if isinstance(part, Expression):
            # A literal $ in front of ${ would make it the escape $${.
            text = text.removesuffix("$") + '${"$"}' if text.endswith("$") else text
            text += f"${{{part.text}}}"
        else:
            text += _escaped(part)
    return f'"{text}"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return _SPECIAL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in "$%":
        return character * 2
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else _quoted(name)


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" if line else "" for line in lines]
