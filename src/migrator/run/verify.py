"""Prove the move: render every source row again, and compare with what the table holds, both ways.

Only digests are kept, on disk; the attributes that differ are looked up afterwards, for the first differences.
Then the mapping's access patterns are asked (`run.inquiry`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from migrator.errors import InterruptedRun
from migrator.mapping.canonical import digest, key_from_text, key_text
from migrator.mapping.model import Attributes
from migrator.mapping.render import Rendered
from migrator.run.agreement import keep_repeats
from migrator.run.binding import BoundEntity
from migrator.run.comparison import (
    KINDS,
    Comparison,
    Difference,
    compare,
    compare_sample,
    iter_sampled_keys,
    take_sample,
)
from migrator.run.digests import ActualStore, DigestStore
from migrator.run.history import last_start
from migrator.run.inquiry import Inquiry, select_patterns
from migrator.run.opened import OpenRun, open_run
from migrator.run.pattern_report import PatternComparison
from migrator.run.plan import Plan
from migrator.run.progress import progress_bar
from migrator.run.report import write_json
from migrator.run.scan import get_items, scan_in_parallel
from migrator.run.segment import iter_outcomes
from migrator.run.tables import require_as_defined
from migrator.run.verify_report import AttributeDifference, EntityComparison, ItemDifference, VerifyReport
from migrator.run.workers import Workers, working
from migrator.target.backoff import REAL_TIME, Timing, ask
from migrator.target.rawpages import create_raw_client

SCAN_SEGMENTS = 4
#: Differences of each kind that are told one by one; all are counted.
DETAILS = 1000
_DETAILS_AT_ONCE = 100


def verify_plan(
    plan: Plan,
    *,
    entities: Sequence[str] = (),
    sample: int | None = None,
    progress: bool = False,
    report_file: Path | None = None,
    clock: Callable[[], float] = time.time,
    timing: Timing = REAL_TIME,
) -> VerifyReport:
    """Compare the plan's sources with its tables. `entities` narrows what is told, `sample` how much is compared.

    Raises SourceError, TargetError, and InterruptedRun on a signal.
    """
    # All entities are rendered even where few are asked for: another entity's item may hold a key, or fit a template.
    with working(plan.settings.parallelism) as workers, open_run(plan, now_s=last_start(plan)) as opened:
        report = verify_opened(
            opened, workers, entities=entities, sample=sample, progress=progress, clock=clock, timing=timing
        )
    if report_file is not None:
        write_json(report_file, report.to_json())
    return report


def verify_opened(
    opened: OpenRun,
    workers: Workers,
    *,
    entities: Sequence[str] = (),
    sample: int | None = None,
    progress: bool = False,
    clock: Callable[[], float] = time.time,
    timing: Timing = REAL_TIME,
) -> VerifyReport:
    """Compare what is open already."""
    return _Verification(opened, entities, workers, progress=progress).report(sample, clock, timing)


class _Verification:
    """One verification under way."""

    def __init__(self, opened: OpenRun, names: Sequence[str], workers: Workers, *, progress: bool) -> None:
        self._opened = opened
        self._selected = {e.number: e for e in opened.entities if not names or e.name in names}
        self._tables = {e.table_number: e.table for e in self._selected.values()}
        self._workers = workers
        self._progress = progress
        self._ask = partial(ask, policy=opened.plan.settings.retry_policy)

    def report(self, sample: int | None, clock: Callable[[], float], timing: Timing) -> VerifyReport:
        for table in self._tables.values():
            require_as_defined(self._opened, table)
        with DigestStore(self._opened.scratch / "verify.sqlite") as store:
            self._render(store)
            expected = store.counts()
            actual = ActualStore(store)
            if sample is None:
                self._scan(actual)
                comparison = compare(store, actual, self._selected, clock(), self._fits)
                compared = expected
            else:
                compared = take_sample(store, self._selected, sample)
                self._get_sample(store, actual)
                comparison = compare_sample(store, actual, self._selected, clock())
            return VerifyReport(
                plan=self._opened.plan.name,
                entities=self._counts(comparison, expected, compared),
                foreign=comparison.foreign,
                differences=list(self._differences(comparison)),
                sample=sample,
                access_patterns=self._ask_patterns(store, timing, int(clock())),
            )

    def _ask_patterns(self, store: DigestStore, timing: Timing, now_s: int) -> list[PatternComparison]:
        inquiry = Inquiry(self._opened, self._ask, self._workers, self._check_stop, timing, now_s)
        return inquiry.compare(select_patterns(self._opened, self._selected), store)

    def _render(self, store: DigestStore) -> None:
        """What the table is to hold: every row's items, less those that lost their key to an earlier row."""
        with progress_bar("rendered", shown=self._progress) as bar:
            for records in self._opened.render_all(self._workers, bar.update):
                self._check_stop()
                store.add(records)
        self._check_stop()
        if self._opened.needs_proof():
            losers = self._opened.losers(store)
            keep_repeats(store)
            losers.remove_from_store()

    def _scan(self, actual: ActualStore) -> None:
        client = create_raw_client(self._opened.plan.target)
        with progress_bar("scanned", shown=self._progress) as bar:
            for number, table in self._tables.items():
                for page in scan_in_parallel(client, table, SCAN_SEGMENTS, self._ask):
                    self._check_stop()
                    actual.add(number, page)
                    bar.update(len(page))

    def _fits(self, table_number: int, text: str) -> int | None:
        key = key_from_text(text, self._tables[table_number])
        entities = (entity for entity in self._selected.values() if entity.table_number == table_number)
        return next((entity.number for entity in entities if entity.fits(key)), None)

    def _get_sample(self, store: DigestStore, actual: ActualStore) -> None:
        for number, keys in groupby(iter_sampled_keys(store), lambda sampled: sampled[0]):
            texts = (text for _, text in keys)
            for items in get_items(self._opened.client(), self._tables[number], texts, self._ask):
                self._check_stop()
                actual.add(number, [(key, digest(item)) for key, item in items])

    def _check_stop(self) -> None:
        if self._workers.stop.signal_number:
            raise InterruptedRun(self._workers.stop.signal_number)

    def _counts(
        self, comparison: Comparison, expected: dict[int, int], compared: dict[int, int]
    ) -> list[EntityComparison]:
        found = comparison.counts()
        return [
            _entity_comparison(entity, found.get(number, {}), expected, compared, sampled=comparison.foreign is None)
            for number, entity in self._selected.items()
        ]

    # ---- the differences one by one

    def _differences(self, comparison: Comparison) -> Iterator[ItemDifference]:
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
                table=self._tables[one.table].name,
                key=key_from_text(one.key, self._tables[one.table]),
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
            rows = {one.row for one in differences}
            unit = self._opened.segments[segment].unit
            for outcome in iter_outcomes(self._opened.segments[segment]):
                if outcome.position in rows and isinstance(outcome.result, Rendered):
                    for _, item in outcome.result.items:
                        yield (unit.table_number, key_text(item.attributes, unit.table)), item.attributes

    def _read_again(self, batch: list[Difference]) -> Iterator[tuple[tuple[int, str], Attributes]]:
        for number, differences in groupby(batch, lambda one: one.table):
            keys = [one.key for one in differences]
            for items in get_items(self._opened.client(), self._tables[number], keys, self._ask):
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


def _entity_comparison(
    entity: BoundEntity, found: dict[Any, int], expected: dict[int, int], compared: dict[int, int], *, sampled: bool
) -> EntityComparison:
    return EntityComparison(
        entity=entity.name,
        table=entity.table.name,
        expected=expected.get(entity.number, 0),
        compared=compared.get(entity.number, 0),
        missing=found.get("missing", 0),
        extra=None if sampled else found.get("extra", 0),
        different=found.get("different", 0),
        expired=found.get("expired", 0),
    )
