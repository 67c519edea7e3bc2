"""`migrator table clear`: empty one table of a plan within its `write_rate`, while no run of the plan is at work."""

from __future__ import annotations

from msgspec import Struct

from migrator.run.incremental import distrust_ledger
from migrator.run.lock import plan_lock
from migrator.run.outset import pacing
from migrator.run.plan import Plan
from migrator.run.progress import progress_bar
from migrator.run.tables import require_table
from migrator.run.watermark import forget_marks
from migrator.target.clear import count_items, delete_items, require_clearable
from migrator.target.paced import Turns
from migrator.target.session import create_client

INCOMPLETE = 1


class Cleared(Struct, frozen=True):
    """How many items were deleted, and how many a look afterwards still met: somebody wrote them meanwhile."""

    table: str
    deleted: int
    left: int

    @property
    def exit_code(self) -> int:
        return INCOMPLETE if self.left else 0

    def to_text(self) -> str:
        done = f"{self.table}: {self.deleted} items deleted"
        if not self.left:
            return f"{done}, none is left"
        return f"{done}, {self.left} are in it now: they were written meanwhile"


def clear_table(plan: Plan, name: str, *, progress: bool = False) -> Cleared:
    """Delete all items of one of the plan's tables. Raises UsageError, LockHeldError and TargetError."""
    table = require_table(plan, name)
    settings = plan.settings
    with plan_lock(settings.state_dir, plan.name, settings.lock_wait_s):
        client = create_client(plan.target)
        require_clearable(client, table)
        distrust_ledger(plan, client)
        forget_marks(plan, client)
        with progress_bar("deleted", shown=progress, unit="items") as bar:
            turns = Turns(pacing(plan)(None)[name])
            deleted = delete_items(client, table, settings.retry_policy, turns, bar.update)
        return Cleared(name, deleted, count_items(client, table, settings.retry_policy))
