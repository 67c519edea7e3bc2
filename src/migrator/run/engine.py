"""The run: prove keys, write segments, account for everything.

A dry run takes the same way with a sink that sends nothing. Whatever stops a run, the report says what was done:
it is written on every way out but a usage error.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from migrator.errors import InterruptedRun, MigratorError, RejectLimitError, StoppedError
from migrator.run.booking import book, book_requests, iter_failed_lines
from migrator.run.collisions import Loser, Losers
from migrator.run.history import RunFolder, endpoint_of_environment, new_run, remember_start
from migrator.run.lock import plan_lock
from migrator.run.opened import OpenRun, open_run
from migrator.run.plan import Plan
from migrator.run.progress import progress_bar
from migrator.run.rejects import FailedFile, RejectFile
from migrator.run.report import EntityResult, Requests, RunError, RunReport, check_accounts
from migrator.run.segment import Segment, SegmentResult
from migrator.run.tables import back_up, prepare_tables
from migrator.run.verify import verify_opened
from migrator.run.verify_report import VerifyReport
from migrator.run.workers import Workers, working
from migrator.run.writing import WriteOptions, write_segment
from migrator.target.backoff import RetryPolicy
from migrator.target.endpoint import resolve_endpoint
from migrator.target.governor import governors, write_capacity
from migrator.target.tablefound import describe

#: Items of each entity that `verify: sample` compares.
VERIFY_SAMPLE = 1_000

log = logging.getLogger(__name__)

T = TypeVar("T")


def run_plan(
    plan: Plan,
    *,
    dry_run: bool = False,
    entities: Sequence[str] = (),
    restart: bool = False,
    progress: bool = False,
    report_file: Path | None = None,
) -> RunReport:
    """Run the plan and report. Raises UsageError; every other end is in the report.

    `restart` asks for a run from the beginning, which every run is as long as there are no checkpoints.
    """
    folder = new_run(plan)
    tables = [mapping.table.name for mapping in plan.mappings]
    pacing = partial(governors, plan.settings.write_rate, tables)
    with working(plan.settings.parallelism, pacing=pacing, max_duration_s=plan.settings.max_duration_s) as workers:
        run = _Run(plan, folder, workers, dry_run=dry_run, progress=progress)
        report = run.report_of(lambda: run.execute(entities))
    for path in filter(None, (folder.report, report_file)):
        report.write(path)
    return report


class _Run:
    """One execution: what was counted so far."""

    def __init__(self, plan: Plan, folder: RunFolder, workers: Workers, *, dry_run: bool, progress: bool) -> None:
        self._plan = plan
        self._folder = folder
        self._workers = workers
        self._stop = workers.stop
        self._dry = dry_run
        self._progress = progress
        self._started = datetime.fromtimestamp(folder.now_s, UTC)  # one moment, which {now: …} means too
        self._clock = time.monotonic()
        self._opened: OpenRun | None = None
        self._entities: dict[int, EntityResult] = {}
        self._requests = Requests()
        self._error: MigratorError | None = None
        self._verification: VerifyReport | None = None

    def report_of(self, execute: Callable[[], None]) -> RunReport:
        try:
            execute()
        except MigratorError as error:
            if error.exit_code == 2:
                raise
            self._error = error
        except BrokenExecutor as error:
            self._error = StoppedError(
                f"a worker process died: {error}\n"
                "  It may have been killed for its memory: lower settings.parallelism, and run again.",
                code="worker_died",
                retryable=True,
            )
        if self._stop.signal_number:
            self._error = InterruptedRun(self._stop.signal_number)
        if self._error:
            log.debug("the run has stopped", exc_info=self._error)
        report = self._report()
        check_accounts(report)
        return report

    def execute(self, names: Sequence[str]) -> None:
        settings = self._plan.settings
        with (
            plan_lock(settings.state_dir, self._plan.name, settings.lock_wait_s),
            open_run(
                self._plan, names, now_s=self._folder.now_s, integrity=settings.integrity_check == "full"
            ) as opened,
        ):
            self._opened = opened
            self._migrate(opened)
            self._folder.prune(settings.keep_runs)

    def _migrate(self, opened: OpenRun) -> None:
        for entity in opened.entities:
            self._entities[entity.number] = EntityResult(entity.name, entity.table.name, entity.source_name)
        prepare_tables(opened, self._plan, dry_run=self._dry)
        if self._plan.settings.backup and not self._dry:
            back_up(opened, self._plan, self._started)
        for number, repeats in opened.iter_repeats():
            self._entities[number] = replace(self._entities[number], warnings=repeats)
        with opened.proof(self._workers) as losers:
            self._write_all(opened, losers)
        if self._plan.settings.verify != "none" and not self._dry and not self._stop.flag.is_set():
            self._verify(opened)

    def _verify(self, opened: OpenRun) -> None:
        sample = VERIFY_SAMPLE if self._plan.settings.verify == "sample" else None
        self._verification = verify_opened(opened, self._workers, sample=sample, progress=self._progress)

    def _write_all(self, opened: OpenRun, losers: Losers | None) -> None:
        if not self._dry:
            remember_start(self._plan, self._folder)
            self._set_paces(opened)
        options = self._options(opened)
        with (
            RejectFile(self._folder.rejects) as rejects,
            FailedFile(self._folder.failed) as failed,
            progress_bar("written" if not self._dry else "rendered", shown=self._progress) as bar,
        ):
            tasks = self._tasks(opened, losers, options)
            for result in self._workers.map(write_segment, tasks):
                self._settle(result, rejects, failed)
                bar.update(result.read)

    def _tasks(
        self, opened: OpenRun, losers: Losers | None, options: WriteOptions
    ) -> Iterator[tuple[Segment, dict[int, Loser], WriteOptions, int | None]]:
        for segment in spread(opened.segments):
            if self._stop.flag.is_set():
                return
            lost = losers.of_segment(segment.unit.number, segment.number) if losers else {}
            yield segment, lost, options, self._reject_room()

    def _options(self, opened: OpenRun) -> WriteOptions:
        settings, target = self._plan.settings, self._plan.target
        return WriteOptions(
            target=target,
            endpoint=None if self._dry else resolve_endpoint(target, opened.client()),
            on_existing=settings.on_existing,
            batch_size=settings.batch_size,
            policy=RetryPolicy(settings.max_attempts, settings.give_up_after_s),
        )

    def _set_paces(self, opened: OpenRun) -> None:
        """Each table begins at what it says that it takes."""
        for table in opened.tables.values():
            description = describe(opened.client(), table.name) or {}
            self._workers.governors[table.name].begin_at(write_capacity(description))

    def _reject_limit(self) -> int | None:
        settings = self._plan.settings
        return 0 if settings.on_reject == "stop" else settings.max_rejects

    def _rejected(self) -> int:
        return sum(entity.rejected for entity in self._entities.values())

    def _reject_room(self) -> int | None:
        """How many more rejects the plan allows."""
        limit = self._reject_limit()
        return None if limit is None else max(0, limit - self._rejected())

    def _settle(self, result: SegmentResult, rejects: RejectFile, failed: FailedFile) -> None:
        """Book a segment: its dead letters first, so that a counted reject can be read."""
        entity = self._entities[result.unit_number]
        rejects.append(result.rejects)
        failed.append(iter_failed_lines(entity, result.write))
        self._entities[result.unit_number] = book(entity, result)
        self._requests = book_requests(self._requests, result.write)
        self._stop_if_needed(result)

    def _stop_if_needed(self, result: SegmentResult) -> None:
        if (error := result.error or result.write.stopped) and self._error is None:
            self._error = error
            self._stop.stop()
        limit, rejected = self._reject_limit(), self._rejected()
        if limit is not None and rejected > limit and self._error is None:
            on_reject = self._plan.settings.on_reject
            self._error = _too_many_rejects(on_reject, rejected, limit, self._folder.rejects)
            self._stop.stop()

    def _report(self) -> RunReport:
        finished = datetime.now(UTC)
        opened, target = self._opened, self._plan.target
        return RunReport(
            run_id=self._folder.run_id,
            plan=self._plan.name,
            started_at=self._started,
            finished_at=finished,
            duration_s=time.monotonic() - self._clock,
            entities=tuple(self._entities.values()),
            requests=self._requests,
            dry_run=self._dry,
            sources=[(s.path, s.fingerprint) for s in opened.snapshots] if opened else [],
            region=opened.client().meta.region_name if opened and opened.has_client else target.region,
            endpoint_url=target.endpoint_url or endpoint_of_environment(),
            tables=list(dict.fromkeys(mapping.table.name for mapping in self._plan.mappings)),
            rejects=str(self._folder.rejects),
            failed=str(self._folder.failed),
            error=RunError.of(self._error) if self._error else None,
            verification=self._verification,
        )


def spread(segments: Sequence[T], places: int = 16) -> Iterator[T]:
    """The segments, from so many places in turn: neighbours may all give items of one partition.

    >>> list(spread(range(7), places=3))
    [0, 3, 6, 1, 4, 2, 5]
    """
    stride = -(-len(segments) // places)
    return itertools.chain.from_iterable(segments[start::stride] for start in range(stride))


def _too_many_rejects(on_reject: str, rejected: int, limit: int, path: Path) -> RejectLimitError:
    rule = "on_reject: stop" if on_reject == "stop" else f"max_rejects: {limit}"
    return RejectLimitError(
        f"{rejected} rows were rejected, and the plan says {rule}\n"
        f"  They are in {path}. Mend the rows or the mapping, and run again.",
        code="too_many_rejects",
    )
