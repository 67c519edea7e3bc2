"""Rules of an entity, checked on the source's raw values before anything is rendered.

NULL passes every rule but `required`, as it passes a CHECK in SQL; empty text is a value, so `required` takes it
(`pattern: .` asks for more). `unique` is not here: it looks at all rows, and `run` settles it on disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from migrator.errors import RowRejected
from migrator.mapping import containers, conversions
from migrator.mapping.dates import to_instant
from migrator.mapping.decimals import parse_number, shown
from migrator.mapping.model import Rule
from migrator.source.text import InvalidText, SqliteValue, storage_class


class RuleFinding(NamedTuple):
    rule: str  #: the rule's name, and so the reject's code
    column: str
    severity: Literal["error", "warn"]
    detail: str


def check_rules(rules: Sequence[Rule], values: Mapping[str, SqliteValue]) -> list[RuleFinding]:
    """What the row breaks, in the order of the rules. `values` holds every column that has a rule.

    >>> check_rules([Rule("email", required=True, pattern="@")], {"email": "nobody"})[0].detail
    "'nobody' does not match '@'"
    """
    return [
        RuleFinding(name, rule.column, rule.severity, detail)
        for rule in rules
        for name, detail in _broken(rule, values[rule.column])
    ]


def _broken(rule: Rule, value: SqliteValue) -> list[tuple[str, str]]:
    if value is None:
        return [("required", "the value is NULL")] if rule.required else []
    asked = ((name, getattr(rule, name)) for name in _CHECKS)
    return [
        (name, detail)
        for name, wanted in asked
        if wanted is not None and (detail := _CHECKS[name](value, wanted)) is not None
    ]


# ---- one check each: what is wrong, or None


def _check_type(value: SqliteValue, wanted: str) -> str | None:
    return None if TYPES[wanted](value) else f"{shown(value)} ({storage_class(value)}) is no {wanted}"


def _check_one_of(value: SqliteValue, allowed: Sequence[Any]) -> str | None:
    if any(_same(value, candidate) for candidate in allowed):
        return None
    return f"{shown(value)} is none of {', '.join(str(candidate) for candidate in allowed)}"


def _check_min(value: SqliteValue, bound: Any) -> str | None:
    return _compare(value, bound, lambda own, other: own >= other, "less than")


def _check_max(value: SqliteValue, bound: Any) -> str | None:
    return _compare(value, bound, lambda own, other: own <= other, "more than")


def _check_max_length(value: SqliteValue, limit: int) -> str | None:
    length = len(value if isinstance(value, str | bytes) else repr(value))
    return None if length <= limit else f"a length of {length}, over {limit}"


def _check_pattern(value: SqliteValue, pattern: str) -> str | None:
    if isinstance(value, bytes):
        return f"{shown(value)} is no text to match {pattern!r}"
    text = value if isinstance(value, str) else repr(value)
    return None if _compiled(pattern).search(text) else f"{shown(text)} does not match {pattern!r}"


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _compare(value: SqliteValue, bound: Any, fits: Callable[[Any, Any], bool], word: str) -> str | None:
    """Numbers with numbers (numeric text too), text with text by code point, as SQLite's BINARY does."""
    own, other = (value, bound) if isinstance(bound, str) else (_number(value), _number(bound))
    if own is None or type(own) is not type(other):
        return f"{shown(value)} ({storage_class(value)}) cannot be compared with {bound}"
    return None if fits(own, other) else f"{shown(value)} is {word} {bound}"


def _number(value: Any) -> Decimal | None:
    if isinstance(value, str):
        try:
            return parse_number(value.strip())
        except RowRejected:
            return None
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, int | Decimal) else None


def _same(value: SqliteValue, candidate: Any) -> bool:
    return bool(conversions.comparable(value) == conversions.comparable(candidate))


# ---- types


def _accepted(understand: Callable[[Any], Any]) -> Callable[[SqliteValue], bool]:
    """A type that is what a filter understands."""

    def accepts(value: SqliteValue) -> bool:
        try:
            understand(value)
        except RowRejected:
            return False
        return True

    return accepts


#: `integer`, `real`, `text` and `blob` are SQLite's storage classes; the others are what the filter of that name takes.
TYPES: Mapping[str, Callable[[SqliteValue], bool]] = {
    "integer": lambda value: isinstance(value, int),
    "real": lambda value: isinstance(value, float),
    "text": lambda value: isinstance(value, str),
    "blob": lambda value: isinstance(value, bytes) and not isinstance(value, InvalidText),
    "number": _accepted(conversions.number),
    "boolean": _accepted(conversions.boolean),
    "date": _accepted(to_instant),
    "json": _accepted(containers.json),
}

_CHECKS: Mapping[str, Callable[[Any, Any], str | None]] = {
    "type": _check_type,
    "one_of": _check_one_of,
    "min": _check_min,
    "max": _check_max,
    "max_length": _check_max_length,
    "pattern": _check_pattern,
}
