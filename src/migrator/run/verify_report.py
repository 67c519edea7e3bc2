"""What a verification found, for a program (JSON) and for a person (text)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from migrator.mapping.model import Attributes, AttributeValue
from migrator.run.aligned import aligned
from migrator.run.comparison import Kind
from migrator.run.pattern_report import PatternComparison, pattern_lines
from migrator.run.records import shortened
from migrator.run.rejects import attribute_json, attributes_json
from migrator.run.setaside import SetAside, bounded

#: Differences that are told in full on a screen; the report file has more.
SHOWN = 20
VALUE_LENGTH = 80

DIFFERENT_EXIT_CODE = 4


class EntityComparison(Struct, frozen=True):
    """Counts of items. `extra` is None where it was not looked for."""

    entity: str
    table: str
    expected: int
    compared: int
    missing: int = 0
    extra: int | None = 0
    different: int = 0
    expired: int = 0

    @property
    def found(self) -> int:
        return self.compared - self.missing - self.expired

    @property
    def differences(self) -> int:
        return self.missing + (self.extra or 0) + self.different

    def to_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "table": self.table,
            "expected": self.expected,
            "compared": self.compared,
            "found": self.found,
            "missing": self.missing,
            "extra": self.extra,
            "different": self.different,
            "expired": self.expired,
        }


class AttributeDifference(Struct, frozen=True):
    """Values as DynamoDB JSON, shortened; None: the attribute is absent."""

    name: str
    source: str | None
    table: str | None

    @classmethod
    def of(cls, name: str, source: AttributeValue | None, table: AttributeValue | None) -> AttributeDifference:
        return cls(name, _value_text(source), _value_text(table))

    def __str__(self) -> str:
        return f"{self.name}: source {self.source or 'absent'}, table {self.table or 'absent'}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "source": self.source, "table": self.table}


class ItemDifference(Struct, frozen=True):
    kind: Kind
    entity: str
    table: str
    key: Attributes
    key_text: str  #: for a person
    attributes: tuple[AttributeDifference, ...] = ()

    def lines(self) -> Iterable[str]:
        yield f"  {self.kind}: {self.entity} {self.key_text}"
        for attribute in self.attributes:
            yield f"    {attribute}"

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "entity": self.entity,
            "table": self.table,
            "key": attributes_json(self.key),
            "attributes": [attribute.to_json() for attribute in self.attributes],
        }


class VerifyReport(Struct, frozen=True):
    plan: str
    entities: Sequence[EntityComparison]
    foreign: int | None  #: None where it was not looked for
    differences: Sequence[ItemDifference] = ()  #: the first of each kind
    sample: int | None = None
    access_patterns: Sequence[PatternComparison] = ()
    set_aside: Sequence[SetAside] = ()  #: source files that were left out, so that it cannot be clean
    of_set_aside: int = 0  #: items that may be of these, by their keys, and were not judged

    @property
    def status(self) -> str:
        return "different" if self.different else "incomplete" if self.set_aside else "equal"

    @property
    def count(self) -> int:
        """Differences; an item whose time to live has passed is none."""
        return sum(entity.differences for entity in self.entities)

    @property
    def different(self) -> bool:
        return bool(self.count) or self.disagreeing > 0

    @property
    def disagreeing(self) -> int:
        """Access patterns."""
        return sum(not pattern.agrees for pattern in self.access_patterns)

    @property
    def exit_code(self) -> int:
        return DIFFERENT_EXIT_CODE if self.different else int(bool(self.set_aside))

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.plan,
            "status": self.status,
            "exit_code": self.exit_code,
            "sample": self.sample,
            "entities": [entity.to_json() for entity in self.entities],
            "foreign": self.foreign,
            "differences": [difference.to_json() for difference in self.differences],
            "access_patterns": [pattern.to_json() for pattern in self.access_patterns],
            **({"set_aside": [each.to_json() for each in self.set_aside]} if self.set_aside else {}),
            **({"of_set_aside": self.of_set_aside} if self.set_aside else {}),
        }

    def to_text(self) -> str:
        return "\n".join(_text_lines(self))


def _text_lines(report: VerifyReport) -> Iterable[str]:
    yield f"verify of plan {report.plan}: {_verdict(report)}"
    if report.sample is not None:
        yield f"a sample of {report.sample} items an entity; extra and foreign items were not looked for"
    yield ""
    yield from _table(report)
    yield ""
    if report.foreign is not None:
        yield f"foreign: {report.foreign}"
    if report.set_aside:
        yield (
            f"source files set aside: {len(report.set_aside)}; items that may be theirs by their keys, not judged:"
            + (f" {report.of_set_aside}; any others would be among the extra ones")
        )
        yield from (f"  {line}" for line in bounded([each.line for each in report.set_aside]))
    told = [difference for difference in report.differences if difference.kind != "expired"][:SHOWN]
    if told:
        yield f"the first {len(told)} of {report.count} differences:" if len(told) < report.count else "differences:"
    for difference in told:
        yield from difference.lines()
    yield ""
    yield from pattern_lines(report.access_patterns)


def _verdict(report: VerifyReport) -> str:
    found = [f"{report.count} difference{'s' * (report.count != 1)}"] * bool(report.count)
    if report.disagreeing:
        found.append(f"{report.disagreeing} access pattern{'s' * (report.disagreeing != 1)} without agreement")
    return ", ".join(found) or ("equal, but for files set aside" if report.set_aside else "equal")


def _table(report: VerifyReport) -> list[str]:
    sampled = ["compared"] if report.sample is not None else []
    columns = ["expected", *sampled, "found", "missing", "extra", "different", "expired"]
    rows = [["entity", *columns]]
    rows += [[entity.entity, *(_count(getattr(entity, column)) for column in columns)] for entity in report.entities]
    return aligned(rows)


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _value_text(value: AttributeValue | None) -> str | None:
    return None if value is None else shortened(json.dumps(attribute_json(value), ensure_ascii=False), VALUE_LENGTH)
