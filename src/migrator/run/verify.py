"""Prove the move: render every source row again, and compare with what the table holds, both ways.

Both sides are summed first (`run.sums`), which tells whether they are equal. Only where they are not are digests laid
side by side on disk (`run.comparison`) and the attributes that differ looked up, for the first differences
(`run.particulars`). Then the mapping's access patterns are asked (`run.inquiry`). What is rendered and read is kept
until the verification ends, so that one that is cut off goes on (`run.unfinished`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from migrator.mapping.canonical import key_from_text
from migrator.run.binding import BoundEntity
from migrator.run.comparison import Comparison, agreed, compare, compare_sample, take_sample
from migrator.run.crew import crew_of
from migrator.run.digests import DigestStore
from migrator.run.history import last_start
from migrator.run.inquiry import Inquiry, select_patterns
from migrator.run.jsonfile import write_json
from migrator.run.leftout import LeftOut
from migrator.run.opened import OpenRun, open_run
from migrator.run.particulars import Particulars
from migrator.run.pattern_report import PatternComparison
from migrator.run.plan import Plan
from migrator.run.sides import Sides, check_stop
from migrator.run.tables import require_as_defined
from migrator.run.unfinished import Unfinished, unfinished
from migrator.run.verify_report import EntityComparison, VerifyReport
from migrator.run.workers import Workers, working
from migrator.target.backoff import REAL_TIME, Timing, ask

#: What stands for itself in the digests' file; the rest is worked out from it, and again where one goes on.
_RENDERED = ("point", "sums", "items", "rendered", "contested", "held", "rejected", "skipped", "repeats")
_READ = ("pages", "scanned")


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
    check_stop(workers)
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
        self._patterns = select_patterns(opened, self._selected)
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
            sides = Sides(self._opened, self._tables, self._workers, store, self._ask, progress=self._progress)
            if sample is None:
                expected, equal = sides.read(one_by_one=bool(self._patterns) or self._opened.needs_proof())
                compared = expected
                comparison = agreed(store) if equal else self._compare(sides, clock())
            else:
                expected = sides.render().counts()
                compared = take_sample(store, self._selected, sample)
                sides.get_sample()
                comparison = compare_sample(store, sides.actual, self._selected, clock())
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
        check = partial(check_stop, self._workers)
        inquiry = Inquiry(self._opened, self._ask, self._workers, check, timing, now_s, self._left_out)
        return inquiry.compare(self._patterns, store)

    def _compare(self, sides: Sides, now_s: float) -> Comparison:
        return compare(sides.store, sides.actual, self._selected, now_s, self._fits)

    def _fits(self, table_number: int, text: str) -> int | None:
        key = key_from_text(text, self._tables[table_number])
        for entity in self._selected.values():
            if entity.table_number == table_number and entity.fits(texts := entity.texts_of(key)):
                if not self._left_out.claims(entity, texts):
                    return entity.number
                self._unjudged += 1
                return None
        return None

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
