"""Python source that is written by `mapping.compile`, and how one attribute is set down in it.

Nothing of the user's ever becomes source text: names, literals and arguments are bound as constants and
the source knows them as k0, k1, ….
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from migrator.mapping.wirevalues import ATTRIBUTE_SURPLUS, ENTRY_SURPLUS, MEMBER_SURPLUS, OPENINGS

#: Conditions, each with what writes the block that it opens.
Forms = list[tuple[str, Callable[[], None]]]


class Code:
    """The source of one function, and the constants that it is bound to."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = dict(names)
        self._lines: list[str] = []
        self._indent = 0
        self._numbers = itertools.count()

    def line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    @contextmanager
    def block(self, opening: str) -> Iterator[None]:
        self.line(f"{opening}:")
        self._indent += 1
        yield
        self._indent -= 1

    def variable(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers)}"

    def constant(self, value: object) -> str:
        name = self.variable("k")
        self._names[name] = value
        return name

    def odd_if(self, condition: str) -> None:
        with self.block(f"if {condition}"):
            self.line("raise Odd")

    def choice(self, choices: Forms, otherwise: Callable[[], None]) -> None:
        """if … elif … else."""
        if not choices:
            otherwise()
            return
        word = "if"
        for condition, write in choices:
            with self.block(f"{word} {condition}"):
                write()
            word = "elif"
        with self.block("else"):
            otherwise()

    def function(self, name: str) -> Callable[..., Any]:
        exec(_compiled("\n".join(self._lines), f"<{name}>"), self._names)
        return self._names[name]  # type: ignore[no-any-return]  # what the source defines under its name


@lru_cache(maxsize=64)
def _compiled(source: str, name: str) -> CodeType:
    """A worker meets an entity again with each of its segments, and the source is the same each time."""
    return compile(source, name, "exec")


class Slot(Struct, frozen=True):
    """Where one value goes: after the name of an attribute, or as a member of a list.

    Every value is preceded by what closes the one before it, `},"name":{"S":`, so that any of them may be absent.
    `surplus` is what this adds to the size of an item, with the quotes of a text, beyond what DynamoDB counts.
    """

    code: Code
    before: str  #: an expression: the bytes up to the type
    surplus: int
    constant: bytes | None = None  #: the same bytes, where they are known
    kind: str | None = None  #: the type of a value that is always present, so that its head is constant
    head: str = ""  #: variables: what precedes the value; b"" where it is absent
    value: str = ""

    def heads(self, kind: str) -> str:
        """An expression for what precedes a value of a type."""
        if self.constant is not None:
            return self.code.constant(self.constant + OPENINGS[kind])
        return f"{self.before} + {self.code.constant(OPENINGS[kind])}"

    def present(self, kind: str, value: str, surplus: str | int = 0) -> None:
        """Set it down: `surplus` is that of the value against a text."""
        if self.kind is None:
            self.code.line(f"{self.head} = {self.heads(kind)}")
        self.code.line(f"{self.value} = {value}")
        if surplus:
            self.code.line(f"o += {surplus}")

    def present_any(self, kind: str, value: str, surplus: str) -> None:
        """The same, for a type that is only known when the row is."""
        self.code.line(f"{self.head} = {self.before} + OPENINGS[{kind}]")
        self.code.line(f"{self.value} = {value}")
        self.code.line(f"o += {surplus}")

    def absent(self) -> None:
        self.code.line(f'{self.head} = {self.value} = b""')
        self.code.line(f"o -= {self.surplus}")


_CLOSING = b"},"


def required_slot(code: Code, name: str, kind: str, *, first: bool) -> Slot:
    """That of a key, which is always present; an item begins with one."""
    before = b"{" if first else _CLOSING
    slot = _slot(code, before + orjson.dumps(name) + b":", ATTRIBUTE_SURPLUS + len(before) - len(_CLOSING))
    return replace(slot, kind=kind)


def named_slot(code: Code, name: str, *, nested: bool) -> Slot:
    """An attribute's, of the item or of a map."""
    before = _CLOSING + orjson.dumps(name) + b":"
    return _slot(code, before, ENTRY_SURPLUS if nested else ATTRIBUTE_SURPLUS)


def member_slot(code: Code) -> Slot:
    """A member's, of a list."""
    return _slot(code, _CLOSING, MEMBER_SURPLUS)


def entry_slot(code: Code, name: str) -> Slot:
    """An entry's, of a map, under the name that this variable holds."""
    before = f"b'}},' + dumps({name}) + b':'"
    return Slot(code, before, ENTRY_SURPLUS, head=code.variable("h"), value=code.variable("v"))


def _slot(code: Code, before: bytes, surplus: int) -> Slot:
    return Slot(code, code.constant(before), surplus, before, head=code.variable("h"), value=code.variable("v"))


class Pieces(Struct):
    """The bytes of an item, map or list in the making, and the surplus of its members as if all were text."""

    parts: list[bytes | str] = field(default_factory=list)
    surplus: int = 0

    def add(self, slot: Slot) -> None:
        constant = slot.kind and slot.constant and slot.constant + OPENINGS[slot.kind]
        self.parts += (constant or slot.head, slot.value)
        self.surplus += slot.surplus

    def add_constant(self, slot: Slot, kind: str, value: bytes, surplus: int) -> None:
        assert slot.constant is not None
        self.parts.append(slot.constant + OPENINGS[kind] + value)
        self.surplus += slot.surplus + surplus

    def joined(self, code: Code) -> str:
        """An expression for all of it; neighbours that are known beforehand are one constant."""
        merged: list[bytes | str] = []
        for part in self.parts:
            if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
                merged[-1] += part
            else:
                merged.append(part)
        names = [code.constant(part) if isinstance(part, bytes) else part for part in merged]
        return f'b"".join(({"".join(f"{name}, " for name in names)}))'
