"""`migrator rollback`: take back what one run wrote, item by item, and leave alone what somebody changed since.

Each item is judged by what is at its key now, never by what an earlier try noted: a rollback that was cut off is run
again and goes on by itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from msgspec import Struct

from migrator.errors import UsageError
from migrator.mapping.canonical import key_from_text
from migrator.mapping.model import Attributes, TableDefinition
from migrator.run.checkpoint import Checkpoint, SavedRun, open_checkpoint
from migrator.run.ending import stopped_by
from migrator.run.history import last_start, remember_start, run_folder, state_file
from migrator.run.incremental import distrust_ledger, note_in_ledger
from migrator.run.jsonfile import write_json
from migrator.run.lock import plan_lock
from migrator.run.outset import pacing
from migrator.run.plan import Plan
from migrator.run.pool import Pool
from migrator.run.progress import progress_bar
from migrator.run.rejects import LineFile, attributes_json
from migrator.run.results import RunError
from migrator.run.reversible import Way, rendered_again, require_same_tables, run_to_roll_back, way_back
from migrator.run.rollback_report import RollbackReport
from migrator.run.scan import BATCH_GET_KEYS, get_items
from migrator.run.tables import tables_of
from migrator.run.undo import WrittenLine, iter_written, layers
from migrator.run.watermark import forget_marks
from migrator.run.workers import Workers, working
from migrator.target.backoff import REAL_TIME, Timing, ask
from migrator.target.paced import PacedAsk
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
        working(Pool(1, pacing(plan))) as workers,  # one thread: the table is what takes the time
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
        self._is_stopped = workers.stop.flag.is_set
        self._timing = timing

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
        with self._layers(way) as layered:
            if status == "unfinished":
                # From here on it must not go on.
                self._checkpoint.end(self._saved.run_id, "abandoned", self._plan.settings.keep_runs)
            self._tell_ledger(client, way)
            self._take_all(client, layered)

    def _tell_ledger(self, client: Any, way: Way) -> None:
        """What the run wrote or deleted is not as the ledger says any more."""
        distrust_ledger(self._plan, client)
        forget_marks(self._plan, client)
        if folders := self._kept(way):
            lines = chain.from_iterable(map(iter_written, folders))
            note_in_ledger(self._plan, client, ((line.table, line.item.key) for line in lines))

    def _kept(self, way: Way) -> list[Path]:
        """Where what was written is kept, last first: by retries of the run, then by itself."""
        return [*layers(self.folder.undo_of_retries)[::-1], *[self.folder.undo] * (way == "kept")]

    def end(self) -> None:
        """With the report on disk."""
        self._checkpoint.end(self._saved.run_id, "rolled_back", self._plan.settings.keep_runs)
        self.folder.remove_snapshots()
        standing = self._checkpoint.last_standing(self._saved.target)
        if standing is not None and last_start(self._plan) == self._saved.now_s:
            # `{now: …}` is what the run before made of it: its items are there again.
            remember_start(self._plan, run_folder(self._plan, standing.run_id, standing.now_s))

    @contextmanager
    def _layers(self, way: Way) -> Iterator[Iterator[Iterable[WrittenLine]]]:
        """What was written, last first."""
        folders = self._kept(way)
        for _ in chain.from_iterable(map(iter_written, folders)):
            pass  # so that a file that cannot be read is met before anything is taken back
        kept = map(iter_written, folders)
        if way == "kept":
            yield kept
        else:
            with rendered_again(self._plan, self._saved, self._workers) as lines:
                yield chain(kept, [lines])

    def _take_all(self, client: Any, layered: Iterable[Iterable[WrittenLine]]) -> None:
        tables = tables_of(self._plan)
        undos = {name: self._undo(client, table) for name, table in tables.items()}
        with (
            LeftAloneFile(self.folder.left_alone, 0) as left_alone,
            ThreadPoolExecutor(min(_AT_ONCE, self._plan.target.connections)) as threads,
            progress_bar("taken back", shown=self._progress, unit="items") as bar,
        ):
            for name, batch in _iter_batches(layered):
                found = self._read(client, tables[name], batch)
                fates = list(threads.map(partial(self._take, undos[name], found), batch))
                self._counts[name].update(fate for fate in fates if fate)
                left_alone.append(_left_alone(tables[name], batch, fates))
                bar.update(len(batch))
                if self._workers.stop.signal_number:
                    return  # `report_of` tells it

    def _undo(self, client: Any, table: TableDefinition) -> Undo:
        writing = PacedAsk(self._ask, self._workers.governors[table.name], timing=self._timing, stop=self._is_stopped)
        return Undo(client, table, reading=self._ask, writing=writing, now_s=self._clock())

    def _read(self, client: Any, table: TableDefinition, batch: Sequence[Written]) -> dict[str, Attributes]:
        pages = get_items(client, table, (item.key for item in batch), self._ask)
        return dict(pair for page in pages for pair in page)

    def _take(self, undo: Undo, found: Mapping[str, Attributes], item: Written) -> Fate | None:
        """None where there is no time for it any more: a slow budget would hold a whole batch up."""
        return None if self._is_stopped() else undo.take_back(item, found.get(item.key))


def _iter_batches(layered: Iterable[Iterable[WrittenLine]]) -> Iterator[tuple[str, list[Written]]]:
    """By table, no more than are read at once. A key may be in several layers, but not twice in one."""
    for lines in layered:
        for name, of_table in groupby(lines, lambda line: line.table):
            while batch := [line.item for line in islice(of_table, BATCH_GET_KEYS)]:
                yield name, batch


class LeftAlone(Struct, frozen=True):
    """An item of the run that somebody changed or deleted since."""

    table: str
    key: Attributes

    def to_json(self) -> dict[str, Any]:
        return {"table": self.table, "key": attributes_json(self.key)}


class LeftAloneFile(LineFile):
    def append(self, lines: Iterable[LeftAlone]) -> int:
        return self._append(lines)


def _left_alone(table: TableDefinition, batch: Sequence[Written], fates: Sequence[Fate | None]) -> Iterator[LeftAlone]:
    for item, fate in zip(batch, fates, strict=True):
        if fate == "changed":
            yield LeftAlone(table.name, key_from_text(item.key, table))
