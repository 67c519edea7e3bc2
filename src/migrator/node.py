"""A place in a YAML document, and what a reader asks of it.

Readers are plain functions from a Node to a value. What is wrong is written down with its file and key path and
ends that part of the document only (`Malformed`), so that one pass finds the problems of all parts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar, cast

from msgspec import Struct

from migrator.errors import DocumentError, Problem, known_names
from migrator.yamlfile import Document, Filled, join, scalar

T = TypeVar("T")
D = TypeVar("D")


_SURELY_MEANT = 0.8


class Malformed(Exception):
    """This part of the document has no value; its problems are written down already."""


class Node(Struct, frozen=True):
    value: Any
    path: str
    document: Document
    problems: list[Problem]
    key: str = ""  #: in the map above

    def note(self, message: str, *hints: str, at: str | int | None = None) -> None:
        """Write a problem down and go on."""
        path = self.path if at is None else join(self.path, at)
        line = self.document.lines.get(path)
        self.problems.append(Problem(self.document.file, path, message, hints, line))

    def refuse(self, message: str, *hints: str) -> NoReturn:
        self.note(message, *hints)
        raise Malformed(message)

    def child(self, key: str | int) -> Node:
        return Node(self.value[key], join(self.path, key), self.document, self.problems, str(key))

    # ---- scalars

    def text(self, *, may_be_empty: bool = False) -> str:
        if not isinstance(self.value, str):
            hint = f'quote it: "{describe(self.value)}"' if _is_scalar(self.value) else ""
            self.refuse(f"must be text, and is {describe(self.value)}", *filter(None, [hint]))
        if not self.value and not may_be_empty:
            self.refuse("is empty text")
        return str(self.value)

    def path_from_document(self) -> str:
        """The file that the text names, from the document's folder."""
        return os.path.normpath(self.document.path.parent / self.text())

    def boolean(self) -> bool:
        value = self._filled()
        if not isinstance(value, bool):
            self.refuse(f"must be true or false, and is {describe(value)}")
        return value

    def integer(self, low: int | None = None, high: int | None = None) -> int:
        value = self._filled()
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(f"must be a whole number, and is {describe(value)}")
        if (low is not None and value < low) or (high is not None and value > high):
            span = f"from {low} to {high}" if high is not None else f"of {low} or more"
            self.refuse(f"must be a whole number {span}, and is {value}")
        return value

    def choice(self, *allowed: str, or_else: str = "") -> str:
        """One of these words; `or_else` says what else the value might have been, which the caller has looked for."""
        if self.value not in allowed:
            hints = [known_names("known", allowed, self.value)] if isinstance(self.value, str) else []
            hints += [or_else] * bool(or_else)
            self.refuse(f"must be {' or '.join(allowed)}, and is {describe(self.value)}", *hints)
        return str(self.value)

    def _filled(self) -> Any:
        """The value; text from a variable counts as what it would be unquoted."""
        return scalar(self.value) if isinstance(self.value, Filled) else self.value

    # ---- lists and maps

    def each(self, read: Callable[[Node], T]) -> tuple[T, ...]:
        """A list, each member read."""
        if not isinstance(self.value, list):
            self.refuse(f"must be a list, and is {describe(self.value)}")
        return self._all([self.child(n) for n in range(len(self.value))], read)

    def each_named(self, read: Callable[[Node], T]) -> tuple[tuple[str, T], ...]:
        """A map of any keys, each value read."""
        keys = self.map_keys()
        return tuple(zip(keys, self._all([self.child(key) for key in keys], read), strict=True))

    def map_keys(self) -> list[str]:
        if not isinstance(self.value, dict):
            self.refuse(f"must be a map, and is {describe(self.value)}")
        return list(self.value)

    def fields(self, *known: str, below: Mapping[str, Collection[str]] | None = None) -> Fields:
        """A map of known keys; `below` are those of its parts, for who wrote one of them here."""
        keys = self.map_keys()
        for key in keys:
            if key not in known:
                merge = ["<< is not part of YAML 1.2: write the keys out"] if key == "<<" else []
                deeper = _places_below(key, below or {})
                self.note(f'unknown key "{key}"', *(merge or [known_names("known", known, key), *deeper]))
        return Fields(self)

    @staticmethod
    def _all(nodes: Iterable[Node], read: Callable[[Node], T]) -> tuple[T, ...]:
        values: list[T] = []
        malformed: list[Malformed] = []
        for node in nodes:
            try:
                values.append(read(node))
            except Malformed as error:
                malformed.append(error)
        if malformed:
            raise malformed[0]
        return tuple(values)


class Fields:
    """The keys of a map, read one by one; `finish` before the values are used together."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._malformed: Malformed | None = None

    def __contains__(self, key: str) -> bool:
        return key in self.node.value

    def get(self, key: str, read: Callable[[Node], T], default: D) -> T | D:
        """The value of an optional key."""
        if key not in self.node.value:
            return default
        try:
            return read(self.node.child(key))
        except Malformed as error:
            self._malformed = error
            return default

    def need(self, key: str, read: Callable[[Node], T]) -> T:
        """The value of a key that must be there; None, whatever T is, until `finish` raises."""
        if key not in self.node.value:
            self.fail(f'the key "{key}" is missing')
        return cast(T, self.get(key, read, None))

    def fail(self, message: str, *hints: str) -> None:
        """Write down what is wrong with the map as a whole."""
        self.node.note(message, *hints)
        self._malformed = Malformed(message)

    def finish(self) -> None:
        if self._malformed:
            raise self._malformed


def read_document(document: Document, read: Callable[[Node], T]) -> T:
    """Read a whole document.

    Raises DocumentError with all its problems in the order of the file, then those of files that it names.
    """
    problems: list[Problem] = []
    value: T | None = None
    with suppress(Malformed):
        value = read(Node(document.data, "", document, problems))
    if problems:
        own = [problem for problem in problems if problem.file == document.file]
        others = [problem for problem in problems if problem.file != document.file]
        raise DocumentError([*sorted(own, key=lambda problem: problem.line or 0), *others])
    return cast(T, value)


def _places_below(key: str, below: Mapping[str, Collection[str]]) -> list[str]:
    """
    >>> _places_below("on_rejct", {"target": ["region"], "settings": ["workers", "on_reject"]})
    ['there is "on_reject" under settings:']
    """
    near = ((part, get_close_matches(key.lower(), names, n=1, cutoff=_SURELY_MEANT)) for part, names in below.items())
    return [f'there is "{found[0]}" under {part}:' for part, found in near if found]


def _is_scalar(value: Any) -> bool:
    return value is not None and not isinstance(value, str | list | dict)


def describe(value: Any) -> str:
    """A value in an error message.

    >>> describe({}), describe(None), describe("x"), describe(True), describe(5)
    ('a map', 'empty', '"x"', 'true', '5')
    """
    match value:
        case None:
            return "empty"
        case dict():
            return "a map"
        case list():
            return "a list"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bool():
            return str(value).lower()
        case _:
            return str(value)
