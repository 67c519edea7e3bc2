"""A run that sends only what changed: the ledger of the last run, the draft of this one, and what becomes of both.

The ledger changes when the run has ended and its report is on disk, and not before: until then a run that is cut off
goes on from the same ledger, and what it finds to be gone it finds again. The checkpoint says only after that that the
run has ended, and `is_taken_over` tells of one that died in between.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from migrator.errors import StoppedError
from migrator.mapping.document import FIXED_ITEMS
from migrator.run.checkpoint import SavedRun
from migrator.run.comparing import LedgerUse, unit_name
from migrator.run.cutting import cut_again
from migrator.run.draft import Draft, DraftPart, open_draft
from migrator.run.fingerprint import table_identity, target_digest
from migrator.run.history import RunFolder, ledger_file
from migrator.run.increments import ByHash
from migrator.run.intents import iter_intents, note_deletes
from migrator.run.ledger import NAMELESS, UnitName
from migrator.run.ledgerfile import LedgerFile, Stray, UnitRow, keys_of, open_ledger
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.run.segment import SegmentResult, Unit
from migrator.run.takeover import take_over
from migrator.run.undo import part_file
from migrator.run.vanished import Scope, find_missing
from migrator.source.connection import connect
from migrator.source.read import WHOLE, Range
from migrator.source.rowsql import walked_by
from migrator.target.tablefound import describe

#: Lines of intents, some thousand items each, that are dealt with together.
_LINES_AT_ONCE = 50
_KEYS_AT_ONCE = 100_000

log = logging.getLogger(__name__)


class Increment:
    """The ledger's part in one run."""

    def __init__(
        self, opened: OpenRun, names: Sequence[str], way: ByHash, base: LedgerFile, draft: Draft, intents: Path | None
    ) -> None:
        self.way = way
        self.draft = draft
        self._opened = opened
        self._base = base
        self._intents = intents
        self._sole_source = len(opened.paths) == 1
        self._identities = dict(_identities(opened))
        known = base.identities()
        void = frozenset(name for name, identity in self._identities.items() if known.get(name, identity) != identity)
        self._before = {name: unit for name, unit in base.units().items() if name.table not in void}
        self._units = {self._name(unit): unit for entity in opened.entities for unit in entity.units}
        self._scope = _scope(opened, self._units, names, void)
        _tell_leftovers(base, self._before, self._scope)
        draft.name_units({name: _walk(unit) for name, unit in self._units.items()})
        opened.cut = self._cut

    def use(self) -> LedgerUse:
        """What the workers compare with."""
        return LedgerUse(self._base.path if self._before else None, self._intents, self._sole_source)

    def take(self, results: Iterable[SegmentResult]) -> None:
        """Note parts that are settled, before they are recorded."""
        self.draft.add(
            DraftPart(
                self._name(self._opened.segments[result.number].unit),
                result.number,
                result.done_before,
                result.rest.low if result.rest else self._opened.segments[result.number].part.high,
                result.ledger,
            )
            for result in results
            if result.ledger is not None
        )

    def _name(self, unit: Unit) -> UnitName:
        return unit_name(unit, sole_source=self._sole_source)

    def _cut(self, unit: Unit) -> Iterator[tuple[Range, tuple[int, ...]]]:
        before = self._before.get(self._name(unit))
        parts = self._base.parts(before) if before and before.walk == _walk(unit) else []
        if not parts:
            yield from self._opened.cut_evenly(unit)
        elif unit.read is None or unit.snapshot is None or not before or not before.walk:
            yield WHOLE, tuple(part.number for part in parts)
        else:
            with connect(unit.snapshot) as connection:
                yield from cut_again(connection, unit.read.relation, parts, self._opened.segment_rows)

    # ---- the end

    def find_missing(self) -> None:
        """What no row gives any more, once everything is written."""
        origins: dict[int, list[int]] = {}
        for segment in self._opened.segments:
            for part in segment.origins:
                origins.setdefault(part, []).append(segment.number)
        find_missing(self._base, self.draft, origins, self._scope)

    def items_before(self) -> int:
        """What the ledger has of the run's units; where that is nothing, what they give now."""
        before = [self._before[name] for name in self._before.keys() & self._scope.units]
        if before:
            return _count_items(self._base, before)
        return _count_items(self.draft, self.draft.units().values())

    def note_deletes(self) -> None:
        """Before the first of what is missing is deleted."""
        if self._intents is not None and self.draft.missing_by("tbl"):
            note_deletes(part_file(self._intents, len(self._opened.segments), 0), self.draft.iter_missing())

    def take_over(self, run_id: str) -> None:
        """With the report on disk: from here on this is what the tables hold."""
        if self._base.units().keys() - self._scope.units:
            self._doubt_others()
        take_over(self._base, self.draft, run_id, self._identities, self._scope)

    def _doubt_others(self) -> None:
        """Entities that the run left out may have had a key that it wrote or deleted."""
        for strays in _iter_together(self._intents) if self._intents else ():
            self._base.doubt(keys_of(strays), spare=self._scope.units)


@contextmanager
def open_increment(
    opened: OpenRun, folder: RunFolder, names: Sequence[str], *, dry_run: bool, restart: bool, has_parts: bool
) -> Iterator[Increment]:
    """For a run of these entities; with `restart` nothing is believed of what the tables hold.

    `has_parts`: parts of the run are recorded. Raises StoppedError.
    """
    target = target_digest(opened.plan.target, opened.client())
    path, draft_path = ledger_file(opened.plan, target), opened.scratch / "ledger.sqlite"
    if dry_run and not path.exists():
        path = opened.scratch / "none.sqlite"
    if has_parts and not draft_path.exists():
        raise StoppedError(
            f"{draft_path} is gone, and with it what the run has left in the tables so far\n"
            "  Put it back and run again, or begin afresh with --restart. Nothing was written.",
            code="resume_refused",
        )
    way = opened.plan.settings.incremental
    assert isinstance(way, ByHash)
    with open_ledger(path, restart=restart) as base, open_draft(draft_path) as draft:
        if restart and not dry_run:
            base.distrust()
        yield Increment(opened, names, way, base, draft, None if dry_run else folder.intents(target))


def is_taken_over(plan: Plan, run: SavedRun, *, restart: bool) -> bool:
    """Whether the run has ended, and died before its checkpoint said so. `restart` as `open_ledger` has it."""
    path = ledger_file(plan, run.target)
    if not path.exists():
        return False
    with open_ledger(path, restart=restart) as ledger:
        return ledger.run_id() == run.run_id


def take_in_intents(plan: Plan, folder: RunFolder, *, restart: bool) -> None:
    """Of runs that were given up, and of retries: what they may have left in the tables."""
    for target, left in folder.left_intents():
        with open_ledger(ledger_file(plan, target), restart=restart) as ledger:
            for strays in _iter_together(left):
                ledger.note_strays(strays)


def use_of_retry(opened: OpenRun, folder: RunFolder) -> LedgerUse | None:
    """What a retry writes is noted, and taken in when the next run begins."""
    if not isinstance(opened.plan.settings.incremental, ByHash):
        distrust_ledger(opened.plan, opened.client())
        return None
    intents = folder.intents(target_digest(opened.plan.target, opened.client()))
    return LedgerUse(None, intents, len(opened.paths) == 1)


def note_in_ledger(plan: Plan, client: Any, keys: Iterable[tuple[str, str]]) -> None:
    """Items, by table and key, that are there or not, whatever the ledger says; without one, nothing."""
    path = ledger_file(plan, target_digest(plan.target, client))
    if not path.exists():
        return
    strays = (Stray(table, key, "", "", NAMELESS) for table, key in keys)
    with open_ledger(path) as ledger:
        while together := list(islice(strays, _KEYS_AT_ONCE)):
            ledger.note_strays(together)


def distrust_ledger(plan: Plan, client: Any) -> None:
    """Before a command writes to the tables that keeps no ledger."""
    path = ledger_file(plan, target_digest(plan.target, client))
    if path.exists():
        with open_ledger(path) as ledger:
            ledger.distrust()


def _iter_together(folder: Path) -> Iterator[Sequence[Stray]]:
    lines = iter_intents(folder)
    while together := list(chain.from_iterable(islice(lines, _LINES_AT_ONCE))):
        yield together


def _scope(opened: OpenRun, units: Iterable[UnitName], names: Sequence[str], void: frozenset[str]) -> Scope:
    defined = {entity.name for mapping in opened.plan.mappings for entity in mapping.entities} | {FIXED_ITEMS}
    return Scope(frozenset(units), defined, frozenset(("", *opened.paths)), frozenset(names) or None, void)


def _tell_leftovers(ledger: LedgerFile, units: Mapping[UnitName, UnitRow], scope: Scope) -> None:
    """What the plan has lost is not deleted for that: it may be another plan's now."""
    for name, unit in units.items():
        if not scope.knows(name):
            of_source = f" of {name.source}" if name.source else ""
            count = _count_items(ledger, [unit])
            log.warning("%s%s is not in the plan any more: its %d items stay", name.entity, of_source, count)


def _count_items(ledger: LedgerFile, units: Iterable[UnitRow]) -> int:
    return sum(part.items for unit in units for part in ledger.parts(unit))


def _identities(opened: OpenRun) -> Iterator[tuple[str, str]]:
    for table in opened.tables.values():
        yield table.name, table_identity(describe(opened.client(), table.name) or {})


def _walk(unit: Unit) -> str:
    """The columns that its rows are walked by; nothing where they are only numbered, or fixed items."""
    return json.dumps(walked_by(unit.read.relation)) if unit.read and walked_by(unit.read.relation) else ""
