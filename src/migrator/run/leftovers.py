"""What the last run of a plan left, and whether it can be done again with today's plan, sources and tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from migrator.errors import StoppedError, TargetError, UsageError, known_names
from migrator.mapping.document import FIXED_ITEMS
from migrator.run.checkpoint import SavedRun, open_checkpoint
from migrator.run.deadletters import Letter
from migrator.run.fingerprint import target_digest
from migrator.run.history import RunFolder, state_file
from migrator.run.opened import OpenRun
from migrator.run.plan import Plan
from migrator.run.resume import changed_tables, folder_of
from migrator.run.setaside import bounded
from migrator.run.tables import require_as_defined, tables_of
from migrator.target.session import create_client


def last_run(plan: Plan) -> SavedRun | None:
    """The last run against this target that was not rolled back. Raises StoppedError where one is unfinished."""
    if not state_file(plan).exists():
        return None
    with open_checkpoint(state_file(plan)) as checkpoint:
        unfinished = checkpoint.unfinished()
        run = checkpoint.last_standing(target_digest(plan.target, create_client(plan.target)))
        statuses = checkpoint.statuses()
    if unfinished is not None:
        raise StoppedError(
            f"run {unfinished.run_id} was cut off, so it is not known yet what it leaves\n"
            "  Let `migrator run` go on with it, or begin afresh with --restart, and retry then.",
            code="run_unfinished",
        )
    return run if run and statuses[run.run_id] == "finished" else None


def require_tables(opened: OpenRun, run: SavedRun) -> None:
    """Raises TargetError: the leftovers alone would be half a table."""
    # An import makes its tables at its end: such a run found none, and goes by its target alone.
    other = [table.name for table in opened.tables.values() if table.name not in run.tables] if run.tables else []
    if other:
        raise TargetError(
            f"run {run.run_id} did not write to table {', '.join(other)}\n  Name its table again, or begin a new run.",
            code="table_changed",
        )
    for table in opened.tables.values():
        require_as_defined(opened, table)
    if changed := list(changed_tables(run.tables, opened.client())):
        raise TargetError(
            f"what run {run.run_id} wrote is not there any more: {', '.join(changed)}\n  Begin a new run.",
            code="table_changed",
        )


def folder_left(plan: Plan, run: SavedRun) -> RunFolder:
    folder = folder_of(plan, run)
    if not folder.path.exists():
        raise UsageError(
            f"{folder.path} is gone, so it is not known what run {run.run_id} left\n"
            "  Begin a new run; settings.keep_runs says how many are kept, dry runs included."
        )
    return folder


def names_of(plan: Plan, run: SavedRun, letters: Iterable[Letter]) -> tuple[str, ...]:
    """The entities that the run did. Raises UsageError where the plan has lost one that letters are of, or a table."""
    for letter in letters:
        _require_named(run, "entities", plan.entity_names, letter.entity)
        if letter.entity == FIXED_ITEMS:
            _require_named(run, "tables", tables_of(plan), letter.place)
    done = {entity.entity for entity in run.entities}
    return tuple(name for name in plan.entity_names if name in done)


def require_sources(opened: OpenRun, run: SavedRun, letters: Iterable[Letter]) -> None:
    """Raises UsageError where the plan has lost a file that letters are of, and StoppedError where it is set aside."""
    places = {letter.place for letter in letters if letter.entity != FIXED_ITEMS}
    for place in places:
        _require_named(run, "sources", opened.paths, place)
    if left_out := [each.line for each in opened.set_aside if each.path in places]:
        lines = "".join(f"\n  {line}" for line in bounded(left_out))
        raise StoppedError(
            f"run {run.run_id} left rows of files that cannot be read now:{lines}\n"
            "  Mend them, and retry. Nothing was closed.",
            code="source_set_aside",
        )


def _require_named(run: SavedRun, what: str, names: Collection[str], wanted: str) -> None:
    if wanted not in names:
        raise UsageError(
            f'run {run.run_id} left lines of "{wanted}", which the plan does not name any more\n'
            f"  {known_names(what, names, wanted)}\n"
            "  Name it again and retry, or begin a new run. Nothing was closed."
        )
