"""A plan opened: sources looked into, mappings fitted to them, and the work cut into segments.

`run`, `verify` and `check` all begin here, so that they see the same rows in the same segments.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from migrator.errors import UsageError
from migrator.run.binding import BoundEntity, bind_entities, bind_fixed
from migrator.run.checkpoint import SavedEntity
from migrator.run.collisions import Losers, find_losers
from migrator.run.digests import DigestStore
from migrator.run.fitting import FittedFile
from migrator.run.fleet import fit_again, fit_files
from migrator.run.plan import Plan
from migrator.run.proving import prove_segment, sum_segment
from migrator.run.records import Labels, Records
from migrator.run.segment import Segment, SegmentResult, Unit
from migrator.run.setaside import SetAside
from migrator.run.sources import Stop, Taking
from migrator.run.sums import Buckets, Point, SegmentSum
from migrator.run.uniqueness import may_collide
from migrator.run.workers import Workers
from migrator.source.connection import connect
from migrator.source.ranges import iter_ranges
from migrator.source.read import WHOLE, Range
from migrator.source.relation import quote
from migrator.source.snapshot import Snapshot
from migrator.target.backoff import never
from migrator.target.session import create_client

SEGMENT_ROWS = 20_000
#: Its place in a page, and its cell with the sizes of payload and key: https://www.sqlite.org/fileformat2.html, 1.6
_ROW_BYTES_MIN = 4
#: The ranges of a unit's rows, each with the parts of a ledger that it comes of.
Cut = Callable[[Unit], Iterator[tuple[Range, tuple[int, ...]]]]
#: A segment gives a file, of which an import takes fewer the larger they are; a kill costs no more than these rows.
VIA_SEGMENTS = 5


class Saved(Protocol):
    """What was read by an earlier part of a run or of a verification, and how it was cut."""

    @property
    def snapshots(self) -> tuple[Snapshot, ...]: ...

    @property
    def set_aside(self) -> tuple[SetAside, ...]: ...

    @property
    def segment_rows(self) -> int: ...


class OpenRun:
    """The entities of a run, in the order of duplicates, and what is done with all of them."""

    def __init__(
        self,
        plan: Plan,
        entities: Sequence[BoundEntity],
        files: Sequence[FittedFile],
        set_aside: Sequence[SetAside],
        scratch: Path,
        segment_rows: int,
    ) -> None:
        self.plan = plan
        self.segment_rows = segment_rows
        self.entities = tuple(entities)
        self.files = tuple(files)
        self.set_aside = tuple(set_aside)  #: files that are left out
        self.snapshots = tuple(file.snapshot for file in files)
        self.paths = (*(s.path for s in self.snapshots), *(each.path for each in set_aside))  #: all that the plan names
        self.scratch = scratch
        self.tables = {entity.table_number: entity.table for entity in entities}
        self.cut: Cut = self.cut_evenly
        self._client: Any = None

    @property
    def has_client(self) -> bool:
        return self._client is not None

    def client(self) -> Any:
        """The coordinator's own client."""
        if self._client is None:
            self._client = create_client(self.plan.target)
        return self._client

    @cached_property
    def segments(self) -> list[Segment]:
        """The work, in order: cut on first use, since cutting walks the keys of every table."""
        numbers = itertools.count()
        units = (unit for entity in self.entities for unit in entity.units)
        return [
            Segment(next(numbers), unit, part, origins=origins, small=self._is_small(unit))
            for unit in units
            for part, origins in self.cut(unit)
        ]

    def cut_coarser(self) -> None:
        """Cut again, into segments of twice the rows."""
        self.segment_rows *= 2
        del self.segments

    @property
    def is_cut(self) -> bool:
        return "segments" in vars(self)

    def cut_evenly(self, unit: Unit) -> Iterator[tuple[Range, tuple[int, ...]]]:
        if unit.read is None or unit.snapshot is None:
            yield WHOLE, ()
            return
        if self._is_small(unit):
            yield WHOLE, ()
            return
        with connect(unit.snapshot) as connection:
            for part in iter_ranges(connection, unit.read.relation, self.segment_rows):
                yield part, ()

    def _is_small(self, unit: Unit) -> bool:
        """Whether a table is in so small a file that it has no more rows than a segment: it needs no look."""
        if unit.read is None or unit.snapshot is None or unit.read.relation.kind != "table":
            return False
        try:
            return os.stat(unit.snapshot.read_path).st_size < self.segment_rows * _ROW_BYTES_MIN
        except OSError:  # opening it tells what is wrong
            return False

    def names(self) -> tuple[SavedEntity, ...]:
        """How the report names the entities, in the order of their numbers."""
        return tuple(SavedEntity(e.name, e.table.name, e.source_name) for e in self.entities)

    def needs_proof(self) -> bool:
        """Whether only the data can tell that no two rows give one key."""
        return not all(entity.proved for entity in self.entities) or any(
            may_collide(a, b) for a, b in itertools.combinations(self.entities, 2)
        )

    def render_all(self, workers: Workers) -> Iterator[Records]:
        """Records of every item of every row that is not rejected for itself."""
        return (result.records for result in self.iter_rendered(workers))

    def iter_rendered(
        self, workers: Workers, done: Container[int] = (), buckets: Mapping[int, Buckets] | None = None
    ) -> Iterator[SegmentResult]:
        """Segments rendered for their records, less those that are `done`, by their numbers.

        With `buckets`, by the tables' numbers, nothing but the items in them.
        """
        tasks = (
            (s, None if buckets is None else buckets[s.unit.table_number])
            for s in self._iter_left(done, workers)
            if buckets is None or s.unit.table_number in buckets
        )
        return workers.map(prove_segment, tasks)

    def iter_sums(self, workers: Workers, point: Point, done: Container[int]) -> Iterator[SegmentSum]:
        """The same, for the sums of what they give."""
        return workers.map(sum_segment, ((s, point) for s in self._iter_left(done, workers)))

    def _iter_left(self, done: Container[int], workers: Workers) -> Iterator[Segment]:
        return (s for s in self.segments if s.number not in done and not workers.stop.flag.is_set())

    def iter_repeats(self) -> Iterator[tuple[int, int]]:
        """Entity number and how many rows repeat a value that a `unique` rule of severity warn watches."""
        for entity in self.entities:
            repeats = sum(_count_repeats(unit) for unit in entity.units)
            if repeats:
                yield entity.number, repeats

    def labels(self) -> Labels:
        """Names for the numbers in records."""
        return Labels(
            entities={entity.number: entity.name for entity in self.entities},
            key_columns={e.number: u.read.relation.key for e in self.entities for u in e.units if u.read},
            tables=self.tables,
            files=dict(self._files()) if len(self.snapshots) > 1 else {},
        )

    def _files(self) -> Iterator[tuple[int, str]]:
        return ((s.number, s.unit.snapshot.path) for s in self.segments if s.unit.snapshot)

    def losers(self, store: DigestStore) -> Losers:
        return find_losers(store, self.labels())


def _count_repeats(unit: Unit) -> int:
    """Rows of one file that repeat a value."""
    if unit.entity is None or unit.read is None or unit.snapshot is None:
        return 0
    watched = [quote(rule.column) for rule in unit.entity.rules if rule.unique and rule.severity == "warn"]
    if not watched:
        return 0
    where = f" WHERE {unit.entity.where}" if unit.entity.where else ""
    counts = " + ".join(f"count({column}) - count(DISTINCT {column} COLLATE BINARY)" for column in watched)
    with connect(unit.snapshot) as connection:
        source = unit.read.relation.from_sql + (" AS query" if unit.read.relation.kind == "query" else "")
        repeats: int = connection.exec_driver_sql(f"SELECT {counts} FROM {source}{where}").scalar_one()
    return repeats


@contextmanager
def open_run(
    plan: Plan,
    entities: Sequence[str] = (),
    *,
    now_s: int | None = None,
    integrity: bool = False,
    reads_rows: bool = True,
    folder: Path | None = None,
    saved: Saved | None = None,
    stop: Stop = never,
) -> Iterator[OpenRun]:
    """Open the sources and fit the mappings to them.

    `entities` narrows the run to these names; `now_s` is the run's start, for `{now: …}`; with `integrity` each
    file passes SQLite's integrity check first. With `reads_rows` the sources' writers neither wait nor are seen.
    Private copies and scratch files lie in `folder`, which stays; without one they go in the end. What an earlier part
    of the run `saved` is read again, and cut into the same segments. Files that cannot be migrated are set aside.
    Raises SourceError, DocumentError with all that does not fit, and StoppedError when `stop` says so.
    """
    now_s = int(time.time()) if now_s is None else now_s
    fixed, problems = bind_fixed(plan, entities, now_s)
    with _folder(plan, folder) as scratch:
        if saved:
            files, left_out = fit_again(plan, saved.snapshots, now_s), saved.set_aside
        else:
            taking = Taking(scratch, integrity=integrity, reads_rows=reads_rows, stop=stop)
            files, left_out = fit_files(plan, taking, now_s, problems)
        bound = bind_entities(plan, entities, files, fixed)
        yield OpenRun(plan, bound, files, left_out, scratch, saved.segment_rows if saved else _segment_rows(plan))


def _segment_rows(plan: Plan) -> int:
    return SEGMENT_ROWS if plan.via is None else SEGMENT_ROWS * VIA_SEGMENTS


@contextmanager
def _folder(plan: Plan, folder: Path | None) -> Iterator[Path]:
    state_dir = _state_dir(plan)
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield folder
        return
    scratch = Path(tempfile.mkdtemp(prefix="migrator-", dir=state_dir))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _state_dir(plan: Plan) -> Path:
    path = Path(plan.settings.state_dir)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the state folder cannot be made: {error.strerror}") from error
    return path
