"""`migrator runs`: the past runs of a plan, from the reports in its state folder and its checkpoint.

Reports are read as a stranger's: one that is damaged is told, and hides no other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, to_builtins

from migrator.errors import StoppedError
from migrator.run.aligned import aligned
from migrator.run.checkpoint import Done, SavedRun, open_checkpoint
from migrator.run.history import RunFolder, run_folder, run_folders, state_file
from migrator.run.jsonfile import timestamp
from migrator.run.lock import is_locked
from migrator.run.plan import Plan

#: unfinished: it was cut off, and `migrator run` goes on with it; given up: --restart began another one instead;
#: rollback unfinished: `migrator rollback` was cut off, and goes on when it is run again
State = Literal["ended", "running", "unfinished", "given up", "rolled back", "rollback unfinished"]

#: As the checkpoint says it; it knows nothing of dry runs and retries.
_STATES: Mapping[str, State] = {"finished": "ended", "abandoned": "given up", "rolled_back": "rolled back"}


class PastRun(Struct, frozen=True):
    """A run, as its report tells of it; of one that has none yet, as its checkpoint does."""

    run_id: str
    kind: Literal["run", "dry run", "retry"]
    state: State
    status: str | None
    exit_code: int | None
    resumed: bool
    started_at: str
    duration_s: float
    read: int
    written: int
    unchanged: int
    deleted: int
    rejected: int
    failed: int
    report: str | None  #: its path
    rollback: str | None  #: the path of its rollback's report, where that came to an end of any kind


class PastRuns(Struct, frozen=True):
    """Newest first, and what could not be read of them."""

    plan: str
    runs: Sequence[PastRun]
    damaged: Sequence[str]
    locked: bool  #: a command is at work on the plan: a run, a dry run or a retry

    def to_json(self) -> dict[str, Any]:
        return {
            "plan": self.plan,
            "locked": self.locked,
            "runs": [to_builtins(run) for run in self.runs],
            "damaged": list(self.damaged),
        }

    def to_text(self) -> str:
        if self.runs:
            lines = aligned([_HEADINGS, *map(_cells, self.runs)])
        else:
            lines = [f"plan {self.plan} has not been run yet"]
        return "\n".join([*lines, *["a command is at work on this plan"] * self.locked])


_COUNTS = ("read", "written", "unchanged", "deleted", "rejected", "failed")
_HEADINGS = ("run", "kind", "started", "seconds", "status", "exit", *_COUNTS, "report")


def _cells(run: PastRun) -> tuple[str, ...]:
    status = run.status if run.state == "ended" else run.state
    return (
        run.run_id,
        run.kind,
        run.started_at,
        f"{run.duration_s:.1f}",
        f"{(status or '').replace('_', ' ')}{', resumed' * run.resumed}",
        "" if run.exit_code is None else str(run.exit_code),
        *(str(getattr(run, name)) for name in _COUNTS),
        run.report or "",
    )


def past_runs(plan: Plan) -> PastRuns:
    """All runs that are kept, dry runs and retries among them."""
    locked = is_locked(plan.settings.state_dir, plan.name)
    damaged: list[str] = []
    found: dict[str, PastRun] = {}
    states: dict[str, State] = {}
    try:
        states, found = _recorded_runs(plan, "running" if locked else "unfinished")
    except StoppedError as error:
        damaged.append(str(error))
    folders = run_folders(plan)
    for folder in (run_folder(plan, path.name, 0) for path in folders):
        try:
            reported = _reported(folder, _state(folder, states))
        except StoppedError as error:
            damaged.append(str(error))
        else:
            found |= {reported.run_id: reported} if reported else {}
    # One that has no folder yet, or no report in it, is the newest.
    places = {folder.name: place for place, folder in enumerate(folders)}
    runs = sorted(found.values(), key=lambda run: places.get(run.run_id, -1) if run.report else -1)
    return PastRuns(plan.name, runs, damaged, locked)


def _state(folder: RunFolder, recorded: Mapping[str, State]) -> State:
    """Of a run that has a folder. One that a rollback has begun with is known by the file of what was left alone."""
    state = recorded.get(folder.run_id)
    if state in ("ended", "given up") and folder.left_alone.exists():
        return "rollback unfinished"
    return state or "ended"


def _recorded_runs(plan: Plan, unfinished: State) -> tuple[dict[str, State], dict[str, PastRun]]:
    """How each run ended, and the one that has not, as the checkpoint knows them. Raises StoppedError."""
    if not state_file(plan).exists():
        return {}, {}
    with open_checkpoint(state_file(plan)) as checkpoint:
        states = {run_id: _STATES.get(status, unfinished) for run_id, status in checkpoint.statuses().items()}
        saved = checkpoint.unfinished()
        if saved is None:
            return states, {}
        return states, {saved.run_id: _recorded(saved, checkpoint.segments(saved.run_id).values(), unfinished)}


def _recorded(saved: SavedRun, segments: Collection[Done], state: State) -> PastRun:
    """A run that has no report yet."""
    counts = {name: int(sum(done.counts.get(name, 0) for done in segments)) for name in _COUNTS}
    return PastRun(
        run_id=saved.run_id,
        kind="run",
        state=state,
        status=None,
        exit_code=None,
        resumed=False,
        started_at=timestamp(saved.started_at),
        duration_s=saved.totals.worked_s,
        report=None,
        rollback=None,
        **counts,
    )


def _reported(folder: RunFolder, state: State) -> PastRun | None:
    """A run by its report; None where it has none, as one that was killed. Raises StoppedError."""
    try:
        report = json.loads(folder.report.read_bytes())
        return PastRun(
            run_id=folder.run_id,
            kind="dry run" if report["dry_run"] else "retry" if "retry" in report else "run",
            state=state,
            status=str(report["status"]),
            exit_code=int(report["exit_code"]),
            resumed=bool(report["resumed"]),
            started_at=str(report["started_at"]),
            duration_s=float(report["duration_s"]),
            report=str(folder.report),
            rollback=str(folder.rollback_report) if folder.rollback_report.exists() else None,
            # Reports of versions that kept no ledger count nothing of the kind.
            **{name: int(({"unchanged": 0, "deleted": 0} | report["totals"])[name]) for name in _COUNTS},
        )
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise unreadable(folder.report, error) from error


def unreadable(path: Path, error: Exception) -> StoppedError:
    return StoppedError(
        f"{path}: the report cannot be read: {error}\n  Restore it, or remove its folder.", code="report_unreadable"
    )
