"""Prove the move: render every source row again, and compare with what the table holds, both ways.

Only digests are kept, on disk; the attributes that differ are looked up afterwards, for the first differences
(`run.particulars`). Then the mapping's access patterns are asked (`run.inquiry`). What is rendered and read is kept
until the verification ends, so that one that is cut off goes on (`run.unfinished`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from migrator.errors import InterruptedRun
from migrator.mapping.canonical import digest, key_from_text
from migrator.run.agreement import keep_repeats
from migrator.run.binding import BoundEntity
from migrator.run.collisions import found_losers
from migrator.run.comparison import Comparison, compare, compare_sample, iter_sampled_keys, take_sample
from migrator.run.crew import crew_of
from migrator.run.digests import ActualStore, DigestStore
from migrator.run.history import last_start
from migrator.run.inquiry import Inquiry, select_patterns
from migrator.run.leftout import LeftOut
from migrator.run.opened import OpenRun, open_run
from migrator.run.particulars import Particulars
from migrator.run.pattern_report import PatternComparison
from migrator.run.plan import Plan
from migrator.run.progress import progress_bar
from migrator.run.report import write_json
from migrator.run.scan import get_items, scan_in_parallel
from migrator.run.tables import require_as_defined
from migrator.run.unfinished import Unfinished, unfinished
from migrator.run.verify_report import EntityComparison, VerifyReport
from migrator.run.workers import Workers, working
from migrator.target.backoff import REAL_TIME, Timing, ask
from migrator.target.rawpages import create_raw_client

SCAN_SEGMENTS = 4
#: What stands for itself in the digests' file; the rest is worked out from it, and again where one goes on.
_RENDERED = ("items", "rendered", "contested", "held", "rejected", "skipped", "repeats")
_READ = ("actual", "scanned")


def verify_plan(
    plan: Plan,
    *,
    entities: Sequence[str] = (),
    sample: int | None = None,
    restart: bool = False,
    progress: bool = False,
    report_file: Path | None = None,
    clock: Callable[[], float] = time.time,
    timing: Timing = REAL_TIME,
) -> VerifyReport:
    """Compare the plan's sources with its tables. `entities` narrows what is told, `sample` how much is compared.

    One that was cut off goes on, but for a `restart`. Raises SourceError, TargetError, and InterruptedRun on a signal.
    """
    with (
        working(crew_of(plan)) as workers,
        unfinished(plan, entities, sample, restart=restart) as kept,
        _opened(plan, kept, partial(_is_stopped, workers)) as opened,
    ):
        workers.require()
        report = _Verification(opened, entities, workers, kept, progress=progress).report(sample, clock, timing)
    if report_file is not None:
        write_json(report_file, report.to_json())
    return report


def _opened(plan: Plan, kept: Unfinished | None, stop: Callable[[], bool]) -> AbstractContextManager[OpenRun]:
    # All entities are rendered even where few are asked for: another entity's item may hold a key, or fit a template.
    if kept is None:
        return open_run(plan, now_s=last_start(plan), stop=stop)
    return open_run(plan, now_s=kept.now_s, folder=kept.folder, saved=kept.begun, stop=stop)


def _is_stopped(workers: Workers) -> bool:
    """Raises InterruptedRun: there is nothing to drain."""
    if workers.stop.signal_number:
        raise InterruptedRun(workers.stop.signal_number)
    return False


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
    """Compare what is open already; nothing is kept."""
    return _Verification(opened, entities, workers, None, progress=progress).report(sample, clock, timing)


class _Verification:
    """One verification under way."""

    def __init__(
        self, opened: OpenRun, names: Sequence[str], workers: Workers, kept: Unfinished | None, *, progress: bool
    ) -> None:
        self._opened = opened
        self._selected = {e.number: e for e in opened.entities if not names or e.name in names}
        self._tables = {e.table_number: e.table for e in self._selected.values()}
        self._workers = workers
        self._kept = kept
        self._left_out = LeftOut(opened)
        self._unjudged = 0  #: items that may be of files that are set aside
        self._progress = progress
        self._ask = partial(ask, policy=opened.plan.settings.retry_policy)

    def report(self, sample: int | None, clock: Callable[[], float], timing: Timing) -> VerifyReport:
        for table in self._tables.values():
            require_as_defined(self._opened, table)
        with self._store(sample) as store:
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
                foreign=None if comparison.foreign is None else comparison.foreign - self._unjudged,
                differences=list(Particulars(self._opened, self._ask).of(comparison)),
                sample=sample,
                access_patterns=self._ask_patterns(store, timing, int(clock())),
                set_aside=self._opened.set_aside,
                of_set_aside=self._unjudged,
            )

    def _store(self, sample: int | None) -> DigestStore:
        if self._kept is None:
            return DigestStore(self._opened.scratch / "verify.sqlite")
        self._kept.begin(self._opened, self._tables.values())
        store = DigestStore(self._kept.store, kept=True)
        # A sample is drawn anew, and so is what is read of it.
        store.keep_only(_RENDERED if sample else _RENDERED + _READ)
        return store

    def _ask_patterns(self, store: DigestStore, timing: Timing, now_s: int) -> list[PatternComparison]:
        inquiry = Inquiry(self._opened, self._ask, self._workers, self._check_stop, timing, now_s, self._left_out)
        return inquiry.compare(select_patterns(self._opened, self._selected), store)

    def _render(self, store: DigestStore) -> None:
        """What the table is to hold: every row's items, less those that lost their key to an earlier row."""
        with progress_bar("rendered", shown=self._progress) as bar:
            for result in self._opened.iter_rendered(self._workers, store.rendered()):
                if result.complete:
                    store.add(result.records, segment=result.number)
                bar.update(result.read)
        self._check_stop()
        if self._opened.needs_proof():
            # Each step may have been done by an earlier part, and leaves what it did as it is.
            losers = found_losers(store, self._opened.labels()) or self._opened.losers(store)
            keep_repeats(store)
            losers.remove_from_store()

    def _scan(self, actual: ActualStore) -> None:
        client = create_raw_client(self._opened.plan.target)
        with progress_bar("scanned", shown=self._progress) as bar:
            for number, table in self._tables.items():
                for page in scan_in_parallel(client, table, SCAN_SEGMENTS, self._ask, actual.scanned(number)):
                    actual.add_page(number, page)
                    bar.update(len(page.found))
                    self._check_stop()

    def _fits(self, table_number: int, text: str) -> int | None:
        key = key_from_text(text, self._tables[table_number])
        for entity in self._selected.values():
            if entity.table_number == table_number and entity.fits(texts := entity.texts_of(key)):
                if not self._left_out.claims(entity, texts):
                    return entity.number
                self._unjudged += 1
                return None
        return None

    def _get_sample(self, store: DigestStore, actual: ActualStore) -> None:
        for number, keys in groupby(iter_sampled_keys(store), lambda sampled: sampled[0]):
            texts = (text for _, text in keys)
            for items in get_items(self._opened.client(), self._tables[number], texts, self._ask):
                self._check_stop()
                actual.add(number, [(key, digest(item)) for key, item in items])

    def _check_stop(self) -> None:
        _is_stopped(self._workers)

    def _counts(
        self, comparison: Comparison, expected: dict[int, int], compared: dict[int, int]
    ) -> list[EntityComparison]:
        found = comparison.counts()
        return [
            _entity_comparison(entity, found.get(number, {}), expected, compared, sampled=comparison.foreign is None)
            for number, entity in self._selected.items()
        ]


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
