"""`migrator retry`: the rejected rows and failed items of the last run, done again with today's source and mapping.

Rows are rendered anew; an item is never sent as it once was, since its row says what the table is to hold. What
passes is closed: its lines leave the run's files. What fails again stays there, with its new reason.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence, Set
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

from msgspec.structs import replace

from migrator.errors import MigratorError
from migrator.run.accounts import Accounts
from migrator.run.checkpoint import Done
from migrator.run.deadletters import DeadLetters, Letter, NewLetters
from migrator.run.ending import report_of, stopped_by
from migrator.run.history import RunFolder, new_run
from migrator.run.incremental import use_of_retry
from migrator.run.leftovers import folder_left, last_run, names_of, require_sources, require_tables
from migrator.run.lock import plan_lock
from migrator.run.opened import OpenRun, open_run
from migrator.run.outset import pacing, set_paces, write_options
from migrator.run.picking import Piece, iter_pieces
from migrator.run.plan import Plan
from migrator.run.pool import Pool
from migrator.run.progress import progress_bar
from migrator.run.proof import proof
from migrator.run.recorder import Recorder
from migrator.run.rejects import FailedFile, RejectFile
from migrator.run.report import RunReport, check_accounts
from migrator.run.results import Requests, Retried
from migrator.run.undo import new_layer
from migrator.run.workers import Workers, working
from migrator.run.writing import write_segment

log = logging.getLogger(__name__)


def retry_plan(
    plan: Plan, *, dry_run: bool = False, progress: bool = False, report_file: Path | None = None
) -> RunReport:
    """Retry what the plan's last run against this target left, and report. Raises UsageError."""
    settings = plan.settings
    with (
        working(Pool(settings.parallelism, pacing(plan)), max_duration_s=settings.max_duration_s) as workers,
        ExitStack() as held,
    ):
        retry = _Retry(plan, workers, dry_run=dry_run, progress=progress)
        report = retry.report(held)
        # A retry that found nothing to do is no event: many of them would push the runs out of the state folder.
        kept = retry.folder.report if retry.is_event else None
        for path in filter(None, (kept, report_file)):
            report.write(path)
        if retry.is_event:
            retry.prune()
    return report


class _Retry:
    """One retry: what it was given, and what became of that so far."""

    def __init__(self, plan: Plan, workers: Workers, *, dry_run: bool, progress: bool) -> None:
        self._plan = plan
        self._workers = workers
        self._dry = dry_run
        self._progress = progress
        self.folder = new_run(plan)
        self._clock = time.monotonic()
        self._is_locked = False
        self._opened: OpenRun | None = None
        self._accounts = Accounts(plan.settings)
        self._error: MigratorError | None = None
        self._retried = Retried(None)
        self._touched: set[int] = set()  #: numbers of the entities that rows or items are retried of

    @property
    def is_event(self) -> bool:
        return bool(self._retried.sought or self._error)

    def prune(self) -> None:
        """Keep so many runs, and the one that is retried."""
        if self._is_locked:
            self.folder.prune(self._plan.settings.keep_runs, spare=filter(None, [self._retried.run_id]))

    def report(self, held: ExitStack) -> RunReport:
        self._error = stopped_by(lambda: self._execute(held), self._workers.stop) or self._error
        report = report_of(
            self._plan,
            self.folder,
            self._opened,
            self._error,
            started_at=datetime.fromtimestamp(self.folder.now_s, UTC),
            duration_s=time.monotonic() - self._clock,
            entities=tuple(entity for n, entity in self._accounts.entities.items() if n in self._touched),
            requests=self._accounts.requests,
            sources=self._accounts.file_results(),
            dry_run=self._dry,
            retry=self._retried,
        )
        check_accounts(report)
        return report

    def _execute(self, held: ExitStack) -> None:
        settings = self._plan.settings
        held.enter_context(plan_lock(settings.state_dir, self._plan.name, settings.lock_wait_s))
        self._is_locked = True
        run = last_run(self._plan)
        if run is None:
            return
        dead = DeadLetters(folder_left(self._plan, run))
        letters = dead.letters()
        self._retried = Retried(run.run_id, sought=len(letters), left=len(letters))
        if not letters:
            return
        names = names_of(self._plan, run, letters)
        integrity = settings.integrity_check == "full"
        # `{now: …}` stays what it was: the table is of one moment, and verified by it.
        stop = self._workers.stop.flag.is_set
        with open_run(self._plan, names, now_s=run.now_s, integrity=integrity, stop=stop) as opened:
            self._opened = opened
            self._accounts.open(opened.names())
            self._accounts.open_files(opened)
            require_sources(opened, run, letters)
            require_tables(opened, run)
            with proof(opened, self._workers, kept=False) as losers:
                pieces = list(iter_pieces(opened, letters, losers, self._workers.stop.flag.is_set))
            if not self._workers.stop.flag.is_set():
                self._do_again(opened, dead, letters, pieces)

    def _do_again(self, opened: OpenRun, dead: DeadLetters, letters: Set[Letter], pieces: Sequence[Piece]) -> None:
        ledger = _Ledger(pieces)
        gone = letters - ledger.open_letters()
        if gone:
            log.warning(
                "%d of the rows are not in their sources any more, or left out by `where`."
                " If it was their keys that were mended, they are new rows, which `migrator run` writes",
                len(gone),
            )
        self._touched = {e.number for e in opened.entities if e.name in {letter.entity for letter in letters}}
        self._touched |= {piece.segment.unit.number for piece in pieces}
        self._write(opened, pieces, ledger, self._undo(dead.folder))
        self._close(dead, letters, gone, ledger)

    def _undo(self, retried: RunFolder) -> Path | None:
        """Where what is replaced is kept: with the run, since they are taken back together."""
        return new_layer(retried.undo_of_retries) if self._plan.settings.rollback and not self._dry else None

    def _write(self, opened: OpenRun, pieces: Iterable[Piece], ledger: _Ledger, undo: Path | None) -> None:
        if not self._dry:
            set_paces(opened, self._workers.governors)
        # The run has written the other items of these rows, so one that is there already may be ours.
        noted = None if self._dry else use_of_retry(opened, self.folder)
        options = write_options(opened, dry_run=self._dry, resumed=True, in_parts=False, undo=undo, ledger=noted)
        # No more rows are rejected than there were before, so `max_rejects` has nothing to guard.
        left = takewhile(lambda _: not self._workers.stop.flag.is_set(), pieces)
        tasks = ((piece.segment, piece.losers, options, None) for piece in left)
        with (
            RejectFile(self.folder.rejects) as rejects,
            FailedFile(self.folder.failed) as failed,
            progress_bar("retried", shown=self._progress) as bar,
        ):
            recorder = Recorder(self._accounts, rejects, failed, ledger)
            for results in self._workers.map_together(write_segment, tasks, lambda _: None):
                recorder.take(results)
                bar.update(sum(result.read for result in results))
                errors = (result.error or result.write.stopped for result in results)
                self._error = self._error or next(filter(None, errors), None)
                if self._error is not None:
                    self._workers.stop.stop()
            recorder.close()

    def _close(self, dead: DeadLetters, letters: Set[Letter], gone: Set[Letter], ledger: _Ledger) -> None:
        new = NewLetters(self.folder, ledger.rejects_bytes, ledger.failed_bytes)
        again = new.letters()
        # A row that was rejected may have failed now, or the other way round: its old lines go in any case.
        closed = (letters - ledger.open_letters()) | again
        left = dead.count_left(closed, new)
        if not self._dry:
            dead.close(closed, new)
        passed = len((letters & closed) - again)
        self._retried = replace(self._retried, closed=passed, gone=len(gone), left=left)


class _Ledger:
    """Which letters are still open: those of the pieces that are not done."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._open = {piece.segment.number: piece.letters for piece in pieces}
        self.rejects_bytes = 0  #: sizes of the retry's own files, as far as they are settled
        self.failed_bytes = 0

    def record(self, parts: Iterable[tuple[int, Done]], rejects_bytes: int, failed_bytes: int, sent: Requests) -> None:
        for number, done in parts:
            if done.complete:
                del self._open[number]
        self.rejects_bytes, self.failed_bytes = rejects_bytes, failed_bytes

    def open_letters(self) -> set[Letter]:
        return set().union(*self._open.values())
