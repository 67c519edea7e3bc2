"""What asking the access patterns found, for a program (JSON) and for a person (text)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from migrator.mapping.model import Attributes
from migrator.run.agreement import Fault
from migrator.run.aligned import aligned
from migrator.run.questions import Parameters, to_sqlite
from migrator.run.records import literal
from migrator.run.rejects import attributes_json, source_key_json

#: Keys of one pattern that are told on a screen; the report file has more.
KEYS_SHOWN = 5

_FAULTS: Mapping[Fault, str] = {"missing": "missing from", "unexpected": "not expected in"}


class AnswerDifference(Struct, frozen=True):
    """One item on which the two answers to a question differ."""

    fault: Fault
    key: Attributes
    key_text: str  #: for a person
    parameters: Parameters = ()

    def __str__(self) -> str:
        asked = ", ".join(f"{name} {literal(to_sqlite(value))}" for name, value in self.parameters)
        return f"{_FAULTS[self.fault]} the answer{f' to {asked}' if asked else ''}: {self.key_text}"

    def to_json(self) -> dict[str, Any]:
        parameters = source_key_json({name: to_sqlite(value) for name, value in self.parameters})
        return {"kind": self.fault, "key": attributes_json(self.key), "parameters": parameters}


class PatternComparison(Struct, frozen=True):
    """One access pattern, asked of both sides. Counts are of items, summed over its questions."""

    name: str
    entity: str
    table: str
    index: str | None
    questions: int
    expected: int
    found: int
    reason: str | None = None  #: what is wrong; None: the two sides agree
    notes: tuple[str, ...] = ()  #: what is no difference, and yet worth a word
    differences: Sequence[AnswerDifference] = field(default=())  #: the first of them

    @property
    def agrees(self) -> bool:
        return self.reason is None

    @property
    def verdict(self) -> str:
        return "; ".join((self.reason or "agrees", *self.notes))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "entity": self.entity,
            "table": self.table,
            "index": self.index,
            "questions": self.questions,
            "expected": self.expected,
            "found": self.found,
            "agrees": self.agrees,
            "reason": self.reason,
            "notes": list(self.notes),
            "differences": [difference.to_json() for difference in self.differences],
        }


def pattern_lines(patterns: Sequence[PatternComparison]) -> Iterator[str]:
    """A line a pattern, the first differences of each, and the sum."""
    if patterns:
        heading = ["access pattern", "asked of", "questions", "expected", "found"]
        counts = aligned([heading, *(_cells(pattern) for pattern in patterns)])
        yield counts[0]
        for pattern, line in zip(patterns, counts[1:], strict=True):
            yield f"{line}  {pattern.verdict}"
            yield from (f"  {difference}" for difference in pattern.differences[:KEYS_SHOWN])
    agree = sum(pattern.agrees for pattern in patterns)
    yield f"access patterns: {agree} of {len(patterns)} agree"


def _cells(pattern: PatternComparison) -> list[str]:
    asked = pattern.index or pattern.table
    return [pattern.name, asked, *map(str, (pattern.questions, pattern.expected, pattern.found))]
