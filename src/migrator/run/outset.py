"""Before the first item is sent: how the workers are to write, and how fast they begin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from migrator.run.comparing import LedgerUse
from migrator.run.opened import OpenRun
from migrator.run.sinks import WriteOptions
from migrator.target.endpoint import resolve_endpoint
from migrator.target.governor import Governor, write_capacity
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
        target=target,
        endpoint=None if dry_run else resolve_endpoint(target, opened.client()),
        on_existing=settings.on_existing,
        batch_size=settings.batch_size,
        policy=settings.retry_policy,
        resumed=resumed,
        in_parts=in_parts,
        undo=undo,
        ledger=ledger,
    )


def set_paces(opened: OpenRun, governors: Mapping[str, Governor]) -> None:
    """Each table begins at what it says that it takes."""
    for table in opened.tables.values():
        description = describe(opened.client(), table.name) or {}
        governors[table.name].begin_at(write_capacity(description))
