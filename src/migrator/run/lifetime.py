"""One run in the state folder: begun or gone on with, recorded, ended. A dry run has a folder for its report there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

from migrator.errors import StoppedError
from migrator.run.checkpoint import Checkpoint, Done, SavedRun, TableState, Totals, open_checkpoint
from migrator.run.fingerprint import plan_guards
from migrator.run.history import new_run, state_file
from migrator.run.incremental import is_taken_over, take_in_intents
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.run.report import RunReport
from migrator.run.results import Requests
from migrator.run.resume import folder_of, run_to_resume
from migrator.run.undo import make_folder
from migrator.source.snapshot import keep

log = logging.getLogger(__name__)


class Lifetime:
    """A new run, until `take_up` finds one that was cut off."""

    def __init__(self, plan: Plan) -> None:
        self.folder = new_run(plan)
        self.started = datetime.fromtimestamp(self.folder.now_s, UTC)  # one moment, which {now: …} means too
        self.saved: SavedRun | None = None  #: what an earlier part of the run left
        self.done: dict[int, Done] = {}  #: how far its segments are done
        self.totals = Totals()
        self._plan = plan
        self._clock = time.monotonic()
        self._checkpoint: Checkpoint | None = None
        self._is_recorded = False  #: the checkpoint knows of it

    @property
    def worked_s(self) -> float:
        """Over all parts of the run."""
        return self.totals.worked_s + time.monotonic() - self._clock

    @property
    def undo(self) -> Path | None:
        """Where what the run replaces is kept, if it is."""
        return self.folder.undo if self._plan.settings.rollback else None

    def take_up(self, held: ExitStack, names: Sequence[str], *, restart: bool) -> None:
        """Open the checkpoint for as long as `held` is, and go on with the run that it has unfinished.

        Only under the plan's lock. Raises StoppedError where that run cannot go on.
        """
        self._checkpoint = held.enter_context(open_checkpoint(state_file(self._plan), restart=restart))
        self._end_taken_over(restart=restart)
        self.saved = run_to_resume(self._plan, names, self._checkpoint, restart=restart)
        if self.saved is not None:
            log.info("run %s goes on", self.saved.run_id)
            self.folder = folder_of(self._plan, self.saved)
            self.started, self.totals = self.saved.started_at, self.saved.totals
            self.done = self._checkpoint.segments(self.saved.run_id)
            self._is_recorded = True
        take_in_intents(self._plan, self.folder, restart=restart)
        self.folder.sweep_snapshots()
        held.callback(self._tidy)

    def begin(self, opened: OpenRun, names: Sequence[str], target: str, tables: Mapping[str, TableState]) -> None:
        """From here on the run can be resumed; nothing is written before. `target` is a digest of the tables' place."""
        assert self._checkpoint is not None
        for snapshot in opened.snapshots:
            keep(snapshot)
        if self._plan.settings.rollback:
            make_folder(self.folder.undo)
        self._checkpoint.begin(
            SavedRun(
                run_id=self.folder.run_id,
                started_at=self.started,
                now_s=self.folder.now_s,
                guards=plan_guards(self._plan, names),
                target=target,
                snapshots=opened.snapshots,
                set_aside=opened.set_aside,
                tables=tables,
                entities=opened.names(),
                segment_rows=opened.segment_rows,
            )
        )
        self._is_recorded = True

    def record(self, parts: Iterable[tuple[int, Done]], rejects_bytes: int, failed_bytes: int, sent: Requests) -> None:
        """Parts of segments, with the sizes of the dead-letter files that they go with."""
        if self._checkpoint is not None:
            totals = Totals(rejects_bytes, failed_bytes, sent, self.worked_s)
            self._checkpoint.record(self.folder.run_id, parts, totals)

    def end(self, report: RunReport) -> None:
        """With the report on disk: the run is finished, or stopped until it goes on."""
        keep_runs = self._plan.settings.keep_runs
        if self._checkpoint is not None and self._is_recorded:
            if report.has_ended:
                self._checkpoint.end(self.folder.run_id, "finished", keep_runs)
                self._is_recorded = False
            else:
                # Figures only; where the disk is full, the report tells that already.
                with suppress(StoppedError):
                    self._checkpoint.pause(self.folder.run_id, report.requests, report.duration_s)
        self.folder.prune(keep_runs)

    def _end_taken_over(self, *, restart: bool) -> None:
        """The run that is unfinished has ended, if its ledger says so: it died just before the checkpoint did."""
        assert self._checkpoint is not None
        unfinished = self._checkpoint.unfinished()
        if unfinished is not None and is_taken_over(self._plan, unfinished, restart=restart):
            self._checkpoint.end(unfinished.run_id, "finished", self._plan.settings.keep_runs)

    def _tidy(self) -> None:
        if not self._is_recorded:
            self.folder.remove_snapshots()
