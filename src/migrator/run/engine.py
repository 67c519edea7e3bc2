"""The run: prove keys, write segments, account for everything.

A dry run takes the same way with a sink that sends nothing, and without a checkpoint. Whatever stops a run, the report
says what was done: it is written on every way out but a usage error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from migrator.errors import MigratorError
from migrator.run import hooks
from migrator.run.accounts import Accounts
from migrator.run.collisions import Losers
from migrator.run.crew import crew_of
from migrator.run.deleting import delete_missing, items_to_delete
from migrator.run.ending import report_of, stopped_by, write_reports
from migrator.run.forecast import forecast_run
from migrator.run.history import RunFolder, progress_file, remember_start
from migrator.run.incremental import Increment, distrust_ledger, open_increment
from migrator.run.increments import ByHash, ByWatermark
from migrator.run.lifetime import Lifetime
from migrator.run.lock import plan_lock
from migrator.run.opened import OpenRun, open_run
from migrator.run.outset import pacing
from migrator.run.plan import Plan
from migrator.run.progress import progress_bar
from migrator.run.progress_file import ProgressFile, Share
from migrator.run.proof import proof
from migrator.run.recorder import Recorder
from migrator.run.rejects import FailedFile, RejectFile
from migrator.run.report import RunReport, check_accounts
from migrator.run.telling import told
from migrator.run.verify import verify_opened
from migrator.run.verify_report import VerifyReport
from migrator.run.watermark import Clock, Watermarks, open_watermarks
from migrator.run.ways import way_of
from migrator.run.workers import Workers, working
from migrator.run.writing_pass import WritingPass
from migrator.target.prices import Prices

#: Items of each entity that `verify: sample` compares.
VERIFY_SAMPLE = 1_000


def run_plan(
    plan: Plan,
    *,
    dry_run: bool = False,
    entities: Sequence[str] = (),
    restart: bool = False,
    progress: bool = False,
    report_file: Path | None = None,
    prices: Prices | None = None,
) -> RunReport:
    """Run the plan, or go on with a run of it that was cut off, and report.

    Raises UsageError; every other end is in the report. `restart` gives an unfinished run up and begins afresh.
    A dry run forecasts at `prices`, or at those that the package brings.
    """
    with (
        told(plan, silent=dry_run) as ending,
        working(crew_of(plan, pacing(plan)), max_duration_s=plan.settings.max_duration_s) as workers,
        ExitStack() as held,
    ):
        run = _Run(plan, workers, dry_run=dry_run, progress=progress, prices=prices)
        report = run.report_of(lambda: run.execute(held, entities, restart=restart))
        write_reports(report, filter(None, (run.folder.report, report_file)))
        run.end(report)
        ending.report(report, run.folder.report)
    return report


class _Run:
    """One execution: what was counted so far."""

    def __init__(self, plan: Plan, workers: Workers, *, dry_run: bool, progress: bool, prices: Prices | None) -> None:
        self._plan = plan
        self._workers = workers
        self._stop = workers.stop
        self._dry = dry_run
        self._progress = progress
        self._way = way_of(plan, workers, dry_run=dry_run, progress=progress)
        self._prices = prices
        self._life = Lifetime(plan)
        self._progress_file = ProgressFile(progress_file(plan))
        self._is_locked = False
        self._opened: OpenRun | None = None
        self._increment: Increment | None = None
        self._watermarks: Watermarks | None = None
        self._accounts = Accounts(plan.settings)
        self._error: MigratorError | None = None
        self._verification: VerifyReport | None = None

    @property
    def folder(self) -> RunFolder:
        return self._life.folder

    def end(self, report: RunReport) -> None:
        if not self._is_locked:
            return
        if report.has_ended and not self._dry:
            if self._increment:
                self._increment.take_over(self.folder.run_id)
            if self._watermarks:
                self._watermarks.save(report)
        self._life.end(report)

    def report_of(self, execute: Callable[[], None]) -> RunReport:
        self._error = stopped_by(execute, self._stop) or self._error
        way = self._plan.settings.incremental
        report = report_of(
            self._plan,
            self.folder,
            self._opened,
            self._error,
            started_at=self._life.started,
            duration_s=self._life.worked_s,
            entities=tuple(self._accounts.entities.values()),
            sources=self._accounts.file_results(),
            requests=self._accounts.requests,
            dry_run=self._dry,
            resumed=self._life.saved is not None,
            timeline=self._accounts.timeline,
            verification=self._verification,
            incremental=way.name if way else None,
            via=self._way.told,
        )
        check_accounts(report)
        if not self._dry or report.error:
            return report
        return replace(report, forecast=forecast_run(self._plan, report.entities, report.region, self._prices))

    def execute(self, held: ExitStack, names: Sequence[str], *, restart: bool) -> None:
        """`held` keeps the lock and the checkpoint until the report is on disk."""
        settings = self._plan.settings
        held.enter_context(plan_lock(settings.state_dir, self._plan.name, settings.lock_wait_s))
        self._is_locked = True
        self._workers.require()
        if not self._dry:
            self._life.take_up(held, names, restart=restart)
        saved = self._life.saved
        if saved is not None:
            self._accounts.restore(saved, self._life.done.values())
        held.enter_context(self._progress_file.of_run(self.folder.run_id, dry_run=self._dry))
        if not self._dry:
            hooks.start(self._plan, self.folder, self._stop)
        with open_run(
            self._plan,
            names,
            now_s=self.folder.now_s,
            integrity=settings.integrity_check == "full" and saved is None,
            folder=None if self._dry else self.folder.snapshots,
            saved=saved,
            stop=self._stop.flag.is_set,
        ) as opened:
            self._opened = opened
            self._accounts.open_files(opened, self._life.done)
            if saved is None:
                self._accounts.open(opened.names())
            self._begin(opened, names)
            self._look_back(held, opened, names, restart=restart)
            self._migrate(opened)

    def _look_back(self, held: ExitStack, opened: OpenRun, names: Sequence[str], *, restart: bool) -> None:
        """What the last run left, where the plan says that only what changed is to be sent."""
        way, has_parts = self._plan.settings.incremental, bool(self._life.done)
        if isinstance(way, ByHash):
            ledger = open_increment(opened, self.folder, names, dry_run=self._dry, restart=restart, has_parts=has_parts)
            self._increment = held.enter_context(ledger)
        elif self._way.fills_tables and not self._dry:
            distrust_ledger(self._plan, opened.client())
        if isinstance(way, ByWatermark):
            self._watermarks = open_watermarks(opened, way, restart=restart, has_parts=has_parts, clock=Clock.read())

    def _begin(self, opened: OpenRun, names: Sequence[str]) -> None:
        self._way.prepare(opened, self._life)
        if self._life.saved is None and not self._dry:
            self._life.begin(opened, names, *self._way.place(opened))

    def _migrate(self, opened: OpenRun) -> None:
        for number, repeats in opened.iter_repeats():
            self._accounts.warn(number, repeats)
        if error := self._accounts.over_limit(self.folder.rejects):
            raise error
        with proof(opened, self._workers, kept=not self._dry) as losers:
            if not self._stop.flag.is_set():
                self._write_all(opened, losers)
        if self._increment and not self._error and not self._stop.flag.is_set():
            self._delete_missing(opened, self._increment)
        verifies = self._plan.settings.verify != "none" and self._way.fills_tables
        if verifies and not self._dry and not self._stop.flag.is_set():
            self._verify(opened)

    def _verify(self, opened: OpenRun) -> None:
        self._progress_file.enter("verifying", self._accounts)
        sample = VERIFY_SAMPLE if self._plan.settings.verify == "sample" else None
        self._verification = verify_opened(opened, self._workers, sample=sample, progress=self._progress)

    def _delete_missing(self, opened: OpenRun, increment: Increment) -> None:
        self._progress_file.enter("deleting", self._accounts)
        items = items_to_delete(increment)
        if not self._dry:
            delete_missing(opened, increment, self._workers, self._life.undo, progress=self._progress)
        if not self._stop.flag.is_set():
            self._accounts.delete(items)

    def _write_all(self, opened: OpenRun, losers: Losers | None) -> None:
        if not self._dry:
            remember_start(self._plan, self.folder)
        writing = self._writing_pass(opened, losers)
        share = Share(len(opened.segments), opened.segment_rows, self._life.done)
        self._progress_file.enter("writing", self._accounts, share)
        with (
            RejectFile(self.folder.rejects, self._life.totals.rejects_bytes) as rejects,
            FailedFile(self.folder.failed, self._life.totals.failed_bytes) as failed,
        ):
            recorder = Recorder(self._accounts, rejects, failed, self._life)
            with progress_bar("written" if not self._dry else "rendered", shown=self._progress) as bar:
                for results in writing.write(recorder):
                    bar.update(sum(result.read for result in results))
                    self._progress_file.update(self._accounts, results)
            self._error = self._error or writing.error
            recorder.close()
            if not self._stop.flag.is_set():
                for result in self._way.finish(opened, self._life, self._accounts, losers):
                    recorder.book(result)

    def _writing_pass(self, opened: OpenRun, losers: Losers | None) -> WritingPass:
        options = self._way.options(opened, self._life)
        if self._increment:  # its parts are no larger than they are to be in memory
            options = replace(options, in_parts=True, ledger=self._increment.use())
        return WritingPass(
            segments=opened.segments,
            done=self._life.done,
            options=options,
            workers=self._workers,
            accounts=self._accounts,
            rejects=self.folder.rejects,
            losers=losers,
            increment=self._increment,
            watermarks=self._watermarks,
        )
