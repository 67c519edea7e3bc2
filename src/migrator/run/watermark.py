"""Runs that read only the rows whose column says that they are new.

The mark is the latest moment that a finished run saw, and no later than its own clock, so that one row from the future
hides none. Reading begins an overlap before it, for transactions that were open while the run read. Whatever makes the
mark doubtful (another mapping or table, a clock that went back, a column that did) is met by reading everything once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from migrator.errors import StoppedError, UsageError, known_names
from migrator.run.comparing import unit_name
from migrator.run.fingerprint import plan_guards, table_identity, target_digest
from migrator.run.history import marks_file
from migrator.run.increments import ByWatermark
from migrator.run.jsonfile import write_json
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.run.report import RunReport
from migrator.run.segment import Segment, Unit
from migrator.source.connection import connect
from migrator.source.instants import greatest, not_before
from migrator.target.tablefound import describe

#: Moments are compared as floating-point seconds, and SQLite's julianday() is exact to the millisecond.
_ROUNDING_S = 1.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


class Clock(Struct, frozen=True):
    """The time, and what tells whether it was put back."""

    now_s: float
    since_boot_s: float
    boot: str

    @classmethod
    def read(cls) -> Clock:
        boot = _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""
        kind = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return cls(time.time(), time.clock_gettime(kind), boot)

    def went_back(self, before: Clock, overlap_s: float) -> bool:
        """By more than the overlap, which makes up for the rest. Over a restart only a time before the last is seen."""
        if self.boot and self.boot == before.boot:
            # The two are read one after the other.
            return self.now_s - self.since_boot_s < before.now_s - before.since_boot_s - overlap_s - _ROUNDING_S
        return self.now_s < before.now_s


class Mark(Struct, frozen=True):
    """What a finished run saw of one unit."""

    greatest_s: float  #: the latest moment in the column
    mark_s: float  #: the same, but not later than the run's clock
    guard: str  #: digest of the mapping and the table


class Outset(Struct, frozen=True):
    """What a run begins with; it goes on with the same when it was cut off."""

    since_s: Mapping[str, float]  #: by unit: older rows are not read; of a unit that is not here, all are
    marks: Mapping[str, Mark]  #: what the next run may begin with
    clock: Clock

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Outset:
        marks = {unit: Mark(**mark) for unit, mark in document["marks"].items()}
        return cls(document["since_s"], marks, Clock(**document["clock"]))


class Watermarks:
    """The rows that a run reads, and the marks that it leaves."""

    def __init__(self, opened: OpenRun, way: ByWatermark, path: Path, outset: Outset) -> None:
        self._way = way
        self._path = path
        self._outset = outset
        self._sole_source = len(opened.paths) == 1

    def narrow(self, segment: Segment) -> Segment:
        """What of the segment is to be read."""
        unit = segment.unit
        since_s = self._outset.since_s.get(_name(unit, sole_source=self._sole_source))
        if since_s is None or unit.read is None:
            return segment
        column = unit.read.relation.column(self._way.column)
        assert column is not None
        condition = not_before(column.name, since_s)
        where = f"({unit.read.where}) AND {condition}" if unit.read.where else condition
        return replace(segment, unit=replace(unit, read=replace(unit.read, where=where)))

    def save(self, report: RunReport) -> None:
        """With the report on disk. Where rows were rejected or items failed, the mark stays where it was."""
        open_ends = {entity.entity for entity in report.entities if entity.rejected or entity.failed}
        marks = {unit: mark for unit, mark in self._outset.marks.items() if json.loads(unit)[0] not in open_ends}
        kept = _load(self._path)
        if kept is None or self._outset.clock.went_back(kept.clock, self._way.overlap_s):
            kept = Outset({}, {}, self._outset.clock)
        write_json(self._path, to_builtins(replace(kept, marks={**kept.marks, **marks}, clock=self._outset.clock)))


def open_watermarks(opened: OpenRun, way: ByWatermark, *, restart: bool, has_parts: bool, clock: Clock) -> Watermarks:
    """`has_parts`: parts of the run are recorded, so that it goes on as it began.

    Raises StoppedError, and UsageError where no source has the column.
    """
    path = marks_file(opened.plan, target_digest(opened.plan.target, opened.client()))
    begun = opened.scratch / "watermark.json"
    outset = _load(begun)
    if outset is None and has_parts:
        raise StoppedError(
            f"{begun} is gone, and with it where the run began to read\n  Begin afresh with --restart.",
            code="resume_refused",
        )
    if outset is None:
        outset = _outset(opened, way, None if restart else _load(path), clock)
        write_json(begun, to_builtins(outset))
    log.warning("by watermark, rows that are gone are not seen: their items stay")
    return Watermarks(opened, way, path, outset)


def forget_marks(plan: Plan, client: Any) -> None:
    """After this, everything is read once."""
    marks_file(plan, target_digest(plan.target, client)).unlink(missing_ok=True)


def _outset(opened: OpenRun, way: ByWatermark, kept: Outset | None, clock: Clock) -> Outset:
    units = [unit for entity in opened.entities for unit in entity.units if unit.read is not None]
    _require_column(units, way)
    if kept is not None and clock.went_back(kept.clock, way.overlap_s):
        log.warning("the clock went back since the last run: everything is read once")
        kept = None
    since_s: dict[str, float] = {}
    marks: dict[str, Mark] = {}
    for unit in units:
        name = _name(unit, sole_source=len(opened.paths) == 1)
        mark = _mark(opened, unit, way, clock)
        before = kept.marks.get(name) if kept else None
        if mark is not None:
            marks[name] = mark
            if before and before.guard == mark.guard and before.greatest_s <= mark.greatest_s:
                since_s[name] = before.mark_s - way.overlap_s - _ROUNDING_S
        _tell(unit, way)
    return Outset(since_s, marks, clock)


def _mark(opened: OpenRun, unit: Unit, way: ByWatermark, clock: Clock) -> Mark | None:
    assert unit.read is not None
    assert unit.snapshot is not None
    column = unit.read.relation.column(way.column)
    if column is None:
        return None
    with connect(unit.snapshot) as connection:
        latest = greatest(connection, unit.read.relation, column.name)
    return None if latest is None else Mark(latest, min(latest, clock.now_s), _guard(opened, unit))


def _guard(opened: OpenRun, unit: Unit) -> str:
    mappings = [digest for what, digest in plan_guards(opened.plan, ()).items() if what.startswith("the ")]
    table = table_identity(describe(opened.client(), unit.table.name) or {})
    return hashlib.sha256(repr((mappings, table)).encode()).hexdigest()


def _require_column(units: list[Unit], way: ByWatermark) -> None:
    columns = list(dict.fromkeys(column.name for unit in units if unit.read for column in unit.read.relation.columns))
    if not any(unit.read.relation.column(way.column) for unit in units if unit.read):
        raise UsageError(
            f'settings.incremental.watermark.column: no source has a column "{way.column}"\n'
            f"  {known_names('columns', columns, way.column)}"
        )


def _tell(unit: Unit, way: ByWatermark) -> None:
    """What of an entity the column does not say."""
    assert unit.read is not None
    if unit.read.relation.column(way.column) is None:
        log.warning("%s: its source has no column %s, so that all of its rows are read", unit.name, way.column)
    elif unit.read.children:
        children = ", ".join(dict.fromkeys(child.relation.label for child in unit.read.children))
        log.warning("%s: a change in %s is seen only where %s of its own row changes", unit.name, children, way.column)


def _name(unit: Unit, *, sole_source: bool) -> str:
    return json.dumps(unit_name(unit, sole_source=sole_source))


def _load(path: Path) -> Outset | None:
    """Raises StoppedError where it cannot be read."""
    try:
        return Outset.of_json(json.loads(path.read_bytes())) if path.exists() else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoppedError(
            f"{path}: cannot be read: {error!r}\n  Remove it: everything is read once then.", code="marks_unreadable"
        ) from error
