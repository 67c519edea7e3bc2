"""Go on with a run that was cut off, or say what stands against it, before anything is written.

A run goes on under its own id, with its start, its snapshot and its counts. It is refused where what it began with is
not there any more: half a table of one source, mapping or target and half of another would be a table of none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrator.errors import StoppedError
from migrator.run.checkpoint import Checkpoint, Done, SavedRun, TableState
from migrator.run.fingerprint import changed, plan_guards, table_identity, target_digest
from migrator.run.history import RunFolder, run_folder
from migrator.run.opened import OpenRun, Saved
from migrator.run.plan import Plan
from migrator.run.segment import Segment
from migrator.run.sources import SourceFile, find_sources
from migrator.source.read import Range
from migrator.source.snapshot import is_still_there
from migrator.target.tablefound import describe

log = logging.getLogger(__name__)


def run_to_resume(plan: Plan, names: Sequence[str], checkpoint: Checkpoint, *, restart: bool) -> SavedRun | None:
    """The plan's unfinished run; None where a new one begins. Raises StoppedError, code resume_refused.

    With `restart` the unfinished run is given up. So it is where only the source has changed and the plan says
    `on_changed: restart`.
    """
    saved = checkpoint.unfinished()
    if saved is None:
        return None
    documents = changed(saved.guards, plan_guards(plan, names))
    sources = list(changed_sources(saved, plan))
    if restart:
        log.info("run %s is given up: --restart", saved.run_id)
    elif sources and not documents and plan.settings.on_changed == "restart":
        log.warning("run %s is given up, as on_changed: restart says: changed: %s", saved.run_id, ", ".join(sources))
    elif differing := documents + sources or list(_cut_files(saved, folder_of(plan, saved))):
        raise _refused(saved, differing)
    else:
        return saved
    checkpoint.end(saved.run_id, "abandoned", plan.settings.keep_runs)
    return None


def folder_of(plan: Plan, saved: SavedRun) -> RunFolder:
    return run_folder(plan, saved.run_id, saved.now_s)


def require_same_target(saved: SavedRun, opened: OpenRun) -> None:
    """Refuse to go on in another place, or in a table that was made anew."""
    client = opened.client()
    if target_digest(opened.plan.target, client) != saved.target:
        raise _refused(saved, ["the target: its endpoint or region"])
    if tables := list(changed_tables(saved.tables, client)):
        raise _refused(saved, tables)


def rest_of(segment: Segment, done: Done | None) -> Segment | None:
    """What is left of a segment; None where nothing is."""
    if done is None:
        return segment
    if done.complete:
        return None
    part = segment.part if done.position is None else Range(done.position, segment.part.high)
    return segment.after(done.rows_done, part)


def changed_sources(saved: Saved, plan: Plan) -> Iterator[str]:
    """What was read and cannot be read again as it was, in words. Raises StoppedError where nobody can say."""
    now = {file.path: file for file in find_sources(plan)}
    left_out = {each.path for each in saved.set_aside}
    if gone := [each.path for each in saved.snapshots if each.etag and _etag(now, each.path) is None]:
        yield from (f"the source {path}, which is gone" for path in gone)
        return
    if [each.path for each in saved.snapshots] != [path for path in now if path not in left_out]:
        yield "the plan's list of source files"
        return
    for snapshot in saved.snapshots:
        if not is_still_there(snapshot):
            yield f"{'the private copy of ' * snapshot.is_copy}the source {snapshot.path}"
        elif snapshot.etag and snapshot.etag != _etag(now, snapshot.path):
            yield f"the source {snapshot.path}, which has another ETag"


def _etag(files: Mapping[str, SourceFile], path: str) -> str | None:
    file = files.get(path)
    return file.remote.etag if file and file.remote else None


def _cut_files(saved: SavedRun, folder: RunFolder) -> Iterator[str]:
    for path, size in ((folder.rejects, saved.totals.rejects_bytes), (folder.failed, saved.totals.failed_bytes)):
        if size > (path.stat().st_size if path.exists() else 0):
            yield f"{path}, which has lost lines"


def changed_tables(tables: Mapping[str, TableState], client: Any) -> Iterator[str]:
    """Those of the tables that are not there any more, or are others, in words."""
    for name, table in tables.items():
        description = describe(client, name)
        if description is None:
            yield f"table {name}, which is gone"
        elif table_identity(description) != table.identity:
            yield f"table {name}, which was made anew"


def _refused(saved: SavedRun, differing: Sequence[str]) -> StoppedError:
    lines = "".join(f"\n    {what}" for what in differing)
    return StoppedError(
        f"run {saved.run_id} was cut off and cannot go on. Changed since it began:{lines}\n"
        "  Put back what was there and run again, or begin afresh with --restart. Nothing was written.",
        code="resume_refused",
    )
