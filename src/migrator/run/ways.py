"""How a run's items get into their tables: sent to them, or through files that are imported (`run.via`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from migrator.extras import require_extra
from migrator.run.accounts import Accounts
from migrator.run.checkpoint import TableState
from migrator.run.collisions import Losers
from migrator.run.fingerprint import target_digest
from migrator.run.lifetime import Lifetime
from migrator.run.opened import OpenRun
from migrator.run.outset import set_paces, write_options
from migrator.run.plan import Plan
from migrator.run.results import ViaFiles
from migrator.run.resume import require_same_target
from migrator.run.segment import SegmentResult
from migrator.run.sinks import WriteOptions
from migrator.run.tables import back_up, prepare_tables, table_states
from migrator.run.workers import Workers


class Way(Protocol):
    """What a run asks of the way that its items take, in this order."""

    @property
    def fills_tables(self) -> bool:
        """Else there is nothing to verify after it."""

    @property
    def told(self) -> ViaFiles | None:
        """For the report."""

    def prepare(self, opened: OpenRun, life: Lifetime) -> None:
        """Before anything is rendered. Raises UsageError or StoppedError for what stands in the way."""

    def place(self, opened: OpenRun) -> tuple[str, Mapping[str, TableState]]:
        """What a later part of the run must find as it is: a digest of the place, and the tables."""

    def options(self, opened: OpenRun, life: Lifetime) -> WriteOptions:
        """How the workers are to write."""

    def finish(
        self, opened: OpenRun, life: Lifetime, accounts: Accounts, losers: Losers | None
    ) -> Iterator[SegmentResult]:
        """When all is written: what else it takes. Gives what turns out to have failed; a later part asks again."""


class Sending:
    """Items are sent to their tables."""

    fills_tables = True
    told = None

    def __init__(self, workers: Workers, *, dry_run: bool) -> None:
        self._governors = workers.governors
        self._dry = dry_run

    def prepare(self, opened: OpenRun, life: Lifetime) -> None:
        if life.saved is not None:
            require_same_target(life.saved, opened)
        prepare_tables(opened, opened.plan, dry_run=self._dry)
        if life.saved is None and opened.plan.settings.backup and not self._dry:
            back_up(opened, opened.plan, life.started)

    def place(self, opened: OpenRun) -> tuple[str, Mapping[str, TableState]]:
        return target_digest(opened.plan.target, opened.client()), table_states(opened)

    def options(self, opened: OpenRun, life: Lifetime) -> WriteOptions:
        if self._dry:  # it records nothing, so it needs no parts
            return write_options(opened, dry_run=True, resumed=False, in_parts=False)
        set_paces(opened, self._governors)
        return write_options(opened, dry_run=False, resumed=life.saved is not None, in_parts=True, undo=life.undo)

    def finish(
        self, opened: OpenRun, life: Lifetime, accounts: Accounts, losers: Losers | None
    ) -> Iterator[SegmentResult]:
        return iter(())


def way_of(plan: Plan, workers: Workers, *, dry_run: bool, progress: bool) -> Way:
    """The way that the command line asks for. Raises UsageError where the plan cannot go it."""
    if plan.via is None:
        return Sending(workers, dry_run=dry_run)
    require_extra("s3", "--via", "isal")
    from migrator.run.via import Via  # of the extra

    return Via(plan, workers.stop.flag.is_set, dry_run=dry_run, progress=progress)
