"""Before the first item is sent: how the workers are to write, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from migrator.run.comparing import LedgerUse
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.run.sinks import WriteOptions
from migrator.run.tables import tables_of
from migrator.target.endpoint import resolve_endpoint
from migrator.target.governor import Governor, Pacing, governors, write_capacity
from migrator.target.session import TargetSettings
from migrator.target.tablefound import describe


def write_options(
    opened: OpenRun,
    *,
    dry_run: bool,
    resumed: bool,
    in_parts: bool,
    undo: Path | None = None,
    ledger: LedgerUse | None = None,
) -> WriteOptions:
    """As the plan says; `resumed`, `in_parts`, `undo` and `ledger` as `WriteOptions` has them."""
    settings, target = opened.plan.settings, opened.plan.target
    return WriteOptions(
        target=target if dry_run else target_for_workers(opened),
        endpoint=None if dry_run else resolve_endpoint(target, opened.client()),
        on_existing=settings.on_existing,
        batch_size=settings.batch_size,
        policy=settings.retry_policy,
        resumed=resumed,
        may_be_repeated=resumed or opened.plan.cluster is not None,
        in_parts=in_parts,
        undo=undo,
        ledger=ledger,
    )


def target_for_workers(opened: OpenRun) -> TargetSettings:
    """The target as the coordinator found it: another host's environment may name another region or endpoint."""
    found = opened.client().meta
    return replace(opened.plan.target, region=found.region_name, endpoint_url=found.endpoint_url)


def pacing(plan: Plan) -> Pacing:
    """What the command's workers share: the plan's budget, and the pace of each of its tables."""
    return partial(governors, plan.settings.write_rate, tables_of(plan))


def set_paces(opened: OpenRun, by_table: Mapping[str, Governor]) -> None:
    """Each table begins at what it says that it takes. The embedded engine says so as well, and takes anything."""
    if opened.plan.target.local:
        return
    for table in opened.tables.values():
        description = describe(opened.client(), table.name) or {}
        by_table[table.name].begin_at(write_capacity(description))
