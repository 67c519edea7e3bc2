"""The differences one by one, for a person: their keys, and of unequal items the attributes with both values.

A comparison knows digests alone, so rows are rendered and items read once more; for the first differences of each kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice

from msgspec.structs import replace

from migrator.mapping.canonical import digest, key_from_text, key_text
from migrator.mapping.model import Attributes
from migrator.mapping.render import Rendered
from migrator.run.comparison import KINDS, Comparison, Difference
from migrator.run.opened import OpenRun
from migrator.run.scan import get_items
from migrator.run.segment import iter_outcomes
from migrator.run.verify_report import AttributeDifference, ItemDifference
from migrator.target.reading import Ask

#: Differences of each kind that are told one by one; all are counted.
DETAILS = 1000
_DETAILS_AT_ONCE = 100


class Particulars:
    """What looking them up takes."""

    def __init__(self, opened: OpenRun, ask: Ask) -> None:
        self._opened = opened
        self._ask = ask

    def of(self, comparison: Comparison) -> Iterator[ItemDifference]:
        for kind in KINDS:
            differences = comparison.iter_differences(kind, DETAILS)
            while batch := list(islice(differences, _DETAILS_AT_ONCE)):
                yield from self._described(batch, self._attributes(batch) if kind == "different" else {})

    def _described(
        self, batch: list[Difference], attributes: dict[tuple[int, str], tuple[AttributeDifference, ...]]
    ) -> Iterator[ItemDifference]:
        labels = self._opened.labels()
        for one in batch:
            yield ItemDifference(
                kind=one.kind,
                entity=labels.entity(one.entity),
                table=self._opened.tables[one.table].name,
                key=key_from_text(one.key, self._opened.tables[one.table]),
                key_text=labels.key(one.table, one.key),
                attributes=attributes.get((one.table, one.key), ()),
            )

    def _attributes(self, batch: list[Difference]) -> dict[tuple[int, str], tuple[AttributeDifference, ...]]:
        """The attributes that differ, with both values: rows rendered and items read once more."""
        rendered = dict(self._rendered_again(batch))
        actual = dict(self._read_again(batch))
        keys = [(one.table, one.key) for one in batch]
        return {key: attribute_differences(rendered.get(key, {}), actual.get(key, {})) for key in keys}

    def _rendered_again(self, batch: list[Difference]) -> Iterator[tuple[tuple[int, str], Attributes]]:
        for segment, differences in groupby(batch, lambda one: one.segment):
            assert segment is not None
            rows = frozenset(one.row for one in differences if one.row is not None)
            unit = self._opened.segments[segment].unit
            for outcome in iter_outcomes(replace(self._opened.segments[segment], only=rows)):
                if isinstance(outcome.result, Rendered):
                    for _, item in outcome.result.items:
                        yield (unit.table_number, key_text(item.attributes, unit.table)), item.attributes

    def _read_again(self, batch: list[Difference]) -> Iterator[tuple[tuple[int, str], Attributes]]:
        for number, differences in groupby(batch, lambda one: one.table):
            keys = [one.key for one in differences]
            for items in get_items(self._opened.client(), self._opened.tables[number], keys, self._ask):
                yield from (((number, key), item) for key, item in items)


def attribute_differences(source: Attributes, table: Attributes) -> tuple[AttributeDifference, ...]:
    """The attributes that are not equal as DynamoDB compares: 1 and 1.0 are, S "1" and N 1 are not."""
    names = dict.fromkeys((*source, *table))
    return tuple(
        AttributeDifference.of(name, source.get(name), table.get(name))
        for name in names
        if _digest_of(source, name) != _digest_of(table, name)
    )


def _digest_of(attributes: Attributes, name: str) -> bytes | None:
    return digest({name: attributes[name]}) if name in attributes else None
