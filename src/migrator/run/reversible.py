"""Which run can be taken back, and from what: what it kept, or the source once more where its table was empty.

Whatever stands against it is a UsageError that says so: nothing has been taken back by then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from migrator.errors import InterruptedRun, UsageError, known_names
from migrator.run.checkpoint import Checkpoint, SavedRun
from migrator.run.digests import DigestStore
from migrator.run.fingerprint import VIA, changed, plan_guards, target_digest
from migrator.run.history import RunFolder, run_folder
from migrator.run.opened import OpenRun, open_run
from migrator.run.plan import Plan
from migrator.run.resume import changed_tables
from migrator.run.tables import tables_of
from migrator.run.undo import WrittenLine
from migrator.run.workers import Workers
from migrator.source.snapshot import is_still_there
from migrator.target.tablecheck import fatal_differences, mismatch_error
from migrator.target.tablefound import describe
from migrator.target.undo import Written

#: What may differ in a plan that renders a run's items once more.
_NO_MATTER = frozenset({"settings.rollback", "settings.on_existing"})
#: From what a run is taken back: its own files, or the source.
Way = Literal["kept", "source"]


def run_to_roll_back(plan: Plan, run_id: str, checkpoint: Checkpoint) -> tuple[str, SavedRun]:
    """The run and its status."""
    found = checkpoint.find(run_id)
    if found is None:
        raise _unknown(plan, run_id, checkpoint)
    if found[0] == "rolled_back":
        told = run_folder(plan, run_id, found[1].now_s).rollback_report
        raise refused(run_id, "it was rolled back already", f"What came of it stands in {told}.")
    if VIA in found[1].guards:
        raise refused(run_id, "its items went through files", "Delete the table that was imported.")
    return found


def require_same_tables(plan: Plan, saved: SavedRun, client: Any) -> None:
    """The run's tables, in the place where it wrote to them. Raises TargetError, too, for keys that do not fit."""
    if target_digest(plan.target, client) != saved.target:
        raise refused(saved.run_id, "it was run against another endpoint or region", "Set target: as it was then.")
    if gone := [name for name in saved.tables if name not in tables_of(plan)]:
        raise refused(saved.run_id, f"the plan has no table {', '.join(gone)} any more", "Put its mapping back.")
    if differing := list(changed_tables(saved.tables, client)):
        raise refused(saved.run_id, f"changed since: {', '.join(differing)}", "What it wrote is gone with the table.")
    for name in saved.tables:
        table = tables_of(plan)[name]
        if fatal := fatal_differences(table, describe(client, name)):
            raise mismatch_error(table, fatal)


def way_back(plan: Plan, status: str, saved: SavedRun, folder: RunFolder, checkpoint: Checkpoint) -> Way:
    """From what the run can be taken back."""
    if folder.undo.is_dir():
        return "kept"
    if full := [name for name, table in saved.tables.items() if not table.found_empty]:
        raise refused(
            saved.run_id,
            f"it was run without settings: rollback: true, and was not seen to find table {', '.join(full)} empty",
            "What it replaced there is not known.",
        )
    if status == "abandoned" and checkpoint.run_ids()[-1] != saved.run_id:
        raise refused(
            saved.run_id,
            "it was given up, without settings: rollback: true, and a later run wrote to the table",
            "Whose the items are cannot be told.",
        )
    names = [entity.entity for entity in saved.entities]
    guards = (saved.guards, plan_guards(plan, names))
    if differing := [what for what in changed(*guards) if what not in _NO_MATTER]:
        raise _not_as_it_was(saved, differing)
    return "source"


@contextmanager
def rendered_again(plan: Plan, saved: SavedRun, workers: Workers) -> Iterator[Iterator[WrittenLine]]:
    """What the run wrote to tables that were empty, rendered from the source as it was. Raises SourceError."""
    names = [entity.entity for entity in saved.entities]
    kept = all(map(is_still_there, saved.snapshots))
    with (
        open_run(plan, names, now_s=saved.now_s, saved=saved if kept else None) as opened,
        DigestStore(opened.scratch / "rollback.sqlite") as store,
    ):
        _require_same_sources(saved, opened)
        for records in opened.render_all(workers):
            store.add(records)
        if workers.stop.signal_number:
            raise InterruptedRun(workers.stop.signal_number)
        if opened.needs_proof():
            opened.losers(store).remove_from_store()
        tables = {number: table.name for number, table in opened.tables.items()}
        yield (WrittenLine(tables[number], Written(key, digest)) for number, key, digest in store.iter_items())


def _require_same_sources(saved: SavedRun, opened: OpenRun) -> None:
    """The run read these files, and left out those: what it would make of another choice is not what it wrote."""
    before = {snapshot.path: snapshot.fingerprint for snapshot in saved.snapshots}
    now = {snapshot.path: snapshot.fingerprint for snapshot in opened.snapshots}
    if differing := changed(before, now):
        raise _not_as_it_was(saved, [f"the source {path}" for path in differing])


def refused(run_id: str, reason: str, advice: str) -> UsageError:
    return UsageError(
        f"run {run_id} cannot be rolled back: {reason}\n  {advice} Nothing was taken back.", code="rollback_refused"
    )


def _not_as_it_was(saved: SavedRun, differing: Sequence[str]) -> UsageError:
    return refused(
        saved.run_id,
        "it was run without settings: rollback: true, and what it wrote cannot be told any more.\n"
        f"  Changed since: {', '.join(differing)}",
        "Put back what was there.",
    )


def _unknown(plan: Plan, run_id: str, checkpoint: Checkpoint) -> UsageError:
    report = run_folder(plan, run_id, 0).report
    if report.exists():
        return refused(run_id, _why_nothing(report), "Only what runs wrote is taken back.")
    return UsageError(
        f"--run: plan {plan.name} knows no run {run_id}\n  {known_names('runs', checkpoint.run_ids(), run_id)}",
        code="run_unknown",
    )


def _why_nothing(path: Path) -> str:
    """Of a run that has a report and no place in the checkpoint."""
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return f"its report {path} cannot be read: {error}"
    if report.get("dry_run"):
        return "it was a dry run"
    if "retry" in report:
        return f"it is a retry of run {report['retry']['run_id']}, and is taken back with that"
    return "it stopped before it wrote anything"
