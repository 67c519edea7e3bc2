"""`migrator rollback`: take back what one run wrote, item by item, and leave alone what somebody changed since.

Each item is judged by what is at its key now, never by what an earlier try noted: a rollback that was cut off is run
again and goes on by itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from migrator.errors import UsageError
from migrator.mapping.canonical import key_from_text
from migrator.mapping.model import Attributes, TableDefinition
from migrator.run.checkpoint import Checkpoint, SavedRun, open_checkpoint
from migrator.run.ending import stopped_by
from migrator.run.history import last_start, remember_start, run_folder, state_file
from migrator.run.incremental import distrust_ledger, note_in_ledger
from migrator.run.lock import plan_lock
from migrator.run.plan import Plan
from migrator.run.progress import progress_bar
from migrator.run.rejects import LineFile, attributes_json
from migrator.run.report import RunError, write_json
from migrator.run.reversible import Way, rendered_again, require_same_tables, run_to_roll_back, way_back
from migrator.run.rollback_report import RollbackReport
from migrator.run.scan import BATCH_GET_KEYS, get_items
from migrator.run.tables import tables_of
from migrator.run.undo import WrittenLine, iter_written
from migrator.run.watermark import forget_marks
from migrator.run.workers import Workers, working
from migrator.target.backoff import REAL_TIME, Timing, ask
from migrator.target.session import create_client
from migrator.target.undo import Fate, Undo, Written

#: Items of a table that are taken back at once.
_AT_ONCE = 16


def roll_back(
    plan: Plan,
    run_id: str,
    *,
    progress: bool = False,
    report_file: Path | None = None,
    clock: Callable[[], float] = time.time,
    timing: Timing = REAL_TIME,
) -> RollbackReport:
    """Take the run back. Raises UsageError where it cannot be; what stops it on the way is in the report."""
    settings = plan.settings
    if not state_file(plan).exists():
        raise UsageError(f"--run: plan {plan.name} has no runs in {settings.state_dir}", code="run_unknown")
    with (
        working(1) as workers,  # one thread: the table is what takes the time
        plan_lock(settings.state_dir, plan.name, settings.lock_wait_s),
        open_checkpoint(state_file(plan)) as checkpoint,
    ):
        status, saved = run_to_roll_back(plan, run_id, checkpoint)
        rollback = _Rollback(plan, saved, checkpoint, workers, clock=clock, timing=timing, progress=progress)
        report = rollback.report_of(partial(rollback.take_back, status))
        for path in filter(None, (rollback.folder.rollback_report, report_file)):
            write_json(path, report.to_json())
        if report.error is None:
            rollback.end()
    return report


class _Rollback:
    """One rollback under way."""

    def __init__(
        self,
        plan: Plan,
        saved: SavedRun,
        checkpoint: Checkpoint,
        workers: Workers,
        *,
        clock: Callable[[], float],
        timing: Timing,
        progress: bool,
    ) -> None:
        self.folder = run_folder(plan, saved.run_id, saved.now_s)
        self._plan = plan
        self._saved = saved
        self._checkpoint = checkpoint
        self._workers = workers
        self._clock = clock
        self._progress = progress
        self._started = datetime.fromtimestamp(clock(), UTC)
        self._counts: dict[str, Counter[Fate]] = {name: Counter() for name in saved.tables}
        self._ask = partial(ask, policy=plan.settings.retry_policy, timing=timing, stop=workers.stop.flag.is_set)

    def report_of(self, work: Callable[[], None]) -> RollbackReport:
        error = stopped_by(work, self._workers.stop)
        return RollbackReport(
            run_id=self._saved.run_id,
            plan=self._plan.name,
            started_at=self._started,
            finished_at=datetime.fromtimestamp(self._clock(), UTC),
            tables=self._counts,
            changed=str(self.folder.left_alone.absolute()),
            error=RunError.of(error) if error else None,
        )

    def take_back(self, status: str) -> None:
        client = create_client(self._plan.target)
        require_same_tables(self._plan, self._saved, client)
        way = way_back(self._plan, status, self._saved, self.folder, self._checkpoint)
        with self._lines(way) as lines:
            if status == "unfinished":
                # From here on it must not go on.
                self._checkpoint.end(self._saved.run_id, "abandoned", self._plan.settings.keep_runs)
            self._tell_ledger(client, way)
            self._take_all(client, lines)

    def _tell_ledger(self, client: Any, way: Way) -> None:
        """What the run wrote or deleted is not as the ledger says any more."""
        distrust_ledger(self._plan, client)
        forget_marks(self._plan, client)
        if way == "kept":
            keys = ((line.table, line.item.key) for line in iter_written(self.folder.undo))
            note_in_ledger(self._plan, client, keys)

    def end(self) -> None:
        """With the report on disk."""
        self._checkpoint.end(self._saved.run_id, "rolled_back", self._plan.settings.keep_runs)
        self.folder.remove_snapshots()
        standing = self._checkpoint.last_standing(self._saved.target)
        if standing is not None and last_start(self._plan) == self._saved.now_s:
            # `{now: …}` is what the run before made of it: its items are there again.
            remember_start(self._plan, run_folder(self._plan, standing.run_id, standing.now_s))

    @contextmanager
    def _lines(self, way: Way) -> Iterator[Iterator[WrittenLine]]:
        if way == "source":
            with rendered_again(self._plan, self._saved, self._workers) as lines:
                yield lines
            return
        for _ in iter_written(self.folder.undo):
            pass  # so that a file that cannot be read is met before anything is taken back
        yield iter_written(self.folder.undo)

    def _take_all(self, client: Any, lines: Iterable[WrittenLine]) -> None:
        tables = tables_of(self._plan)
        with (
            LeftAloneFile(self.folder.left_alone, 0) as left_alone,
            ThreadPoolExecutor(min(_AT_ONCE, self._plan.target.connections)) as threads,
            progress_bar("taken back", shown=self._progress, unit="items") as bar,
        ):
            for name, of_table in groupby(lines, lambda line: line.table):
                undo = Undo(client, tables[name], self._ask, self._clock())
                while batch := [line.item for line in islice(of_table, BATCH_GET_KEYS)]:
                    if self._workers.stop.signal_number:
                        return  # `report_of` tells it
                    found = self._read(client, tables[name], batch)
                    fates = list(threads.map(undo.take_back, batch, (found.get(item.key) for item in batch)))
                    self._counts[name].update(fates)
                    left_alone.append(_left_alone(tables[name], batch, fates))
                    bar.update(len(batch))

    def _read(self, client: Any, table: TableDefinition, batch: Sequence[Written]) -> dict[str, Attributes]:
        pages = get_items(client, table, (item.key for item in batch), self._ask)
        return dict(pair for page in pages for pair in page)


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """An item of the run that somebody changed or deleted since."""

    table: str
    key: Attributes

    def to_json(self) -> dict[str, Any]:
        return {"table": self.table, "key": attributes_json(self.key)}


class LeftAloneFile(LineFile):
    def append(self, lines: Iterable[LeftAlone]) -> int:
        return self._append(lines)


def _left_alone(table: TableDefinition, batch: Sequence[Written], fates: Sequence[Fate]) -> Iterator[LeftAlone]:
    for item, fate in zip(batch, fates, strict=True):
        if fate == "changed":
            yield LeftAlone(table.name, key_from_text(item.key, table))
