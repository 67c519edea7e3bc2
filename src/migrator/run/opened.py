"""A plan opened: sources looked into, mappings fitted to them, and the work cut into segments.

`run`, `verify` and `check` all begin here, so that they see the same rows in the same segments.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from migrator.errors import UsageError
from migrator.run.binding import BoundEntity, bind_entities, may_collide
from migrator.run.collisions import Losers, find_losers
from migrator.run.digests import DigestStore
from migrator.run.plan import Plan
from migrator.run.records import ItemRecord, Labels
from migrator.run.segment import Segment, Unit, prove_segment
from migrator.run.workers import Workers
from migrator.source.integrity import check_integrity
from migrator.source.relation import quote
from migrator.source.rows import iter_ranges
from migrator.source.snapshot import Snapshot, connect, release, take_snapshot
from migrator.target.session import create_client

SEGMENT_ROWS = 20_000

log = logging.getLogger(__name__)


class OpenRun:
    """The entities of a run, in the order of duplicates, and what is done with all of them."""

    def __init__(self, plan: Plan, entities: Sequence[BoundEntity], snapshots: Sequence[Snapshot], scratch: Path):
        self.plan = plan
        self.entities = tuple(entities)
        self.snapshots = tuple(snapshots)
        self.scratch = scratch
        self.tables = {entity.table_number: entity.table for entity in entities}
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
        return list(self._cut())

    def _cut(self) -> Iterator[Segment]:
        numbers = itertools.count()
        for unit in (unit for entity in self.entities for unit in entity.units):
            if unit.read is None or unit.snapshot is None:
                yield Segment(next(numbers), unit)
                continue
            with connect(unit.snapshot) as connection:
                for part in iter_ranges(connection, unit.read.relation, SEGMENT_ROWS):
                    yield Segment(next(numbers), unit, part)

    def needs_proof(self) -> bool:
        """Whether only the data can tell that no two rows give one key."""
        return not all(entity.proved for entity in self.entities) or any(
            may_collide(a, b) for a, b in itertools.combinations(self.entities, 2)
        )

    def render_all(
        self, workers: Workers, progress: Callable[[int], object] | None = None
    ) -> Iterator[list[ItemRecord]]:
        """Records of every item of every row that is not rejected for itself."""
        tasks = ((segment,) for segment in self.segments if not workers.stop.flag.is_set())
        for result in workers.map(prove_segment, tasks):
            if progress:
                progress(result.read)
            yield result.records

    @contextmanager
    def proof(self, workers: Workers) -> Iterator[Losers | None]:
        """Which rows lose their key to an earlier one; None where the schema proves that none can."""
        if not self.needs_proof():
            yield None
            return
        with DigestStore(self.scratch / "proof.sqlite") as store:
            for records in self.render_all(workers):
                store.add(records)
            yield self.losers(store)

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
        )

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
    plan: Plan, entities: Sequence[str] = (), *, now_s: int | None = None, integrity: bool = False
) -> Iterator[OpenRun]:
    """Open the sources and fit the mappings to them.

    `entities` narrows the run to these names; `now_s` is the run's start, for `{now: …}`; with `integrity` each
    file passes SQLite's integrity check first.
    Raises SourceError, and DocumentError with all that does not fit.
    """
    scratch = Path(tempfile.mkdtemp(prefix="migrator-", dir=_state_dir(plan)))
    try:
        snapshots = []
        with ExitStack() as stack:
            for path in plan.sources:
                snapshots.append(take_snapshot(path, scratch))
                stack.callback(release, snapshots[-1])
                if integrity:
                    _check_integrity(snapshots[-1])
            bound = bind_entities(plan, entities, snapshots, int(time.time()) if now_s is None else now_s)
            yield OpenRun(plan, bound, snapshots, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check_integrity(snapshot: Snapshot) -> None:
    with connect(snapshot) as connection:
        for finding in check_integrity(connection):
            log.warning("%s: %s: %s", snapshot.path, finding.subject, finding.message)


def _state_dir(plan: Plan) -> Path:
    path = Path(plan.settings.state_dir)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the state folder cannot be made: {error.strerror}") from error
    return path
