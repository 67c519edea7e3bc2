"""`migrator runs PLAN --follow`: a run under way in another process, from the file that it keeps in the state folder.

The lock says whether somebody is at work; a file without one is left by a run that was killed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from migrator.run.history import progress_file, run_folder
from migrator.run.lock import held_since, is_locked
from migrator.run.plan import Plan
from migrator.run.progress_file import Progress, read_progress
from migrator.run.runs import unreadable
from migrator.run.summary import summary_line
from migrator.target.forecast import duration_words

POLL_S = 0.5
#: Without news for so long, it is said how old they are.
_STALE_S = 10.0


def iter_progress(plan: Plan, sleep: Callable[[float], None] = time.sleep) -> Iterator[Progress | None]:
    """What one run tells, twice a second until it has ended; None where who holds the lock tells nothing."""
    run_id: str | None = None
    while is_locked(plan.settings.state_dir, plan.name):
        progress = _told(plan)
        if progress is not None:
            if run_id not in (None, progress.run_id):
                return  # the next one has begun
            run_id = progress.run_id
        yield progress
        sleep(POLL_S)


def _told(plan: Plan) -> Progress | None:
    progress = read_progress(progress_file(plan))
    since = held_since(plan.settings.state_dir, plan.name)
    # Older than the lock: left by a run that was killed, and another command is at work now.
    return None if progress is None or since is None or progress.updated_at < since.timestamp() else progress


def progress_line(progress: Progress | None, now: float) -> str:
    """
    >>> print(progress_line(Progress("20261121T100000Z-1a2b3c", dry_run=False, phase="writing", updated_at=60.0,
    ...     share=0.25, left_s=90.0, read=500, written=498, rejected=2, write_units=996.0,
    ...     write_units_per_s=50.0), now=60.5))
    run 20261121T100000Z-1a2b3c: writing, 25 %, 1 min 30 s left:
    500 rows read, 498 items written, 2 rejected, 0 failed, 996 write units (50 a second)
    """
    if progress is None:
        return "a command is at work on this plan and does not tell how far it is"
    stale_s = now - progress.updated_at
    ending = f" (as of {duration_words(stale_s)} ago)" if stale_s > _STALE_S else ""
    kind = "dry run" if progress.dry_run else "run"
    return f"{kind} {progress.run_id}: {_doing(progress)}{ending}"


def _doing(progress: Progress) -> str:
    if progress.phase != "writing":
        return progress.phase
    # A narrow terminal cuts the end off.
    left = "" if progress.left_s is None else f", {duration_words(progress.left_s)} left"
    unchanged = f", {progress.unchanged} unchanged" if progress.unchanged else ""
    return (
        f"writing, {progress.share * 100:.0f} %{left}: {progress.read} rows read, {progress.written} items written"
        f"{unchanged}, {progress.rejected} rejected, {progress.failed} failed, "
        f"{progress.write_units:.0f} write units ({progress.write_units_per_s:.0f} a second)"
    )


def end_of(plan: Plan, followed: Progress | None) -> tuple[str, dict[str, Any] | None]:
    """When nobody holds the lock: how what was `followed` ended, in words, and its report."""
    left = read_progress(progress_file(plan))
    if left is not None and (followed is None or left.run_id == followed.run_id):
        again = "" if left.dry_run else "; `migrator run` goes on with what it recorded"
        return f"run {left.run_id} was killed, or its machine went down{again}", None
    if followed is None:
        return f"no run of plan {plan.name} is under way", None
    path = run_folder(plan, followed.run_id, 0).report
    try:
        report: dict[str, Any] = json.loads(path.read_bytes())
        return summary_line(report), report
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, error) from error
