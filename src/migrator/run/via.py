"""A run by way of files: rendered into a folder or a bucket, and from a bucket imported into new tables.

The items are those of any run: rows rejected, duplicates settled, sizes kept within the limits, since an import bills
what it refuses, and of two items with one key keeps one without a word.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from migrator.errors import StoppedError, TargetError, UsageError
from migrator.limits import IMPORT_FILES
from migrator.mapping.canonical import item_size
from migrator.mapping.model import TableDefinition
from migrator.run.accounts import Accounts
from migrator.run.checkpoint import SavedRun, TableState
from migrator.run.collisions import Losers
from migrator.run.failed import name_failed
from migrator.run.fingerprint import target_digest
from migrator.run.lifetime import Lifetime
from migrator.run.opened import OpenRun
from migrator.run.outset import target_for_workers, write_options
from migrator.run.plan import Plan
from migrator.run.progress import progress_bar
from migrator.run.results import ViaFiles
from migrator.run.resume import require_same_target
from migrator.run.segment import SegmentResult
from migrator.run.sinks import WriteOptions
from migrator.run.tables import tables_of
from migrator.run.viasink import segment_of
from migrator.target.importfiles import Bucket, Files, place_of
from migrator.target.importlog import log_error, refused_items
from migrator.target.imports import Import, Imports, table_exists
from migrator.target.outcome import FailedItem, WriteResult
from migrator.target.session import create_service_client
from migrator.target.table import complete_imported, create_table, describe
from migrator.target.tablefound import stand_together

log = logging.getLogger(__name__)


class Via:
    """The way of one run."""

    def __init__(self, plan: Plan, is_stopped: Callable[[], bool], *, dry_run: bool, progress: bool) -> None:
        assert plan.via is not None
        self._place = place_of(plan.via, plan.target)
        self._is_stopped = is_stopped
        self._dry = dry_run
        self._progress = progress
        self.fills_tables = isinstance(self._place, Bucket)
        self.told = ViaFiles(str(self._place))
        _require_importable(plan, starts_import=self.fills_tables)
        if plan.settings.verify != "none" and not self.fills_tables:
            log.warning("settings.verify: files have no table to compare with; run `migrator verify` after the import")

    def prepare(self, opened: OpenRun, life: Lifetime) -> None:
        if life.saved is not None:
            self._go_on(opened, life, life.saved)
            return
        if full := [name for name in _names(opened) if self._place.sizes(name)]:
            raise UsageError(
                f"--via {self._place}: there are files for {', '.join(full)} already, and an import would read them\n"
                "  Empty that place, or name another. Nothing was written."
            )
        _cut_for_import(opened)
        for name in _names(opened) if self.fills_tables else ():
            if describe(opened.client(), name) is not None:
                raise table_exists(name)

    def _go_on(self, opened: OpenRun, life: Lifetime, saved: SavedRun) -> None:
        """What is recorded as written must be there still, and nothing else. Raises StoppedError."""
        if self.fills_tables:
            require_same_target(saved, opened)
        there: set[int | None] = set()
        for name in _names(opened):
            self._place.sweep(name)
            there |= set(map(segment_of, self._place.sizes(name)))
        gone = [number for number, done in life.done.items() if done.counts["written"] and number not in there]
        if gone or None in there:
            what = f"{len(gone)} of its files are gone from" if gone else "other files than its own are in"
            raise StoppedError(
                f"run {saved.run_id} was cut off and cannot go on: {what} {self._place}\n"
                "  Put back what was there and run again, or begin afresh with --restart in an empty place.",
                code="resume_refused",
            )

    def place(self, opened: OpenRun) -> tuple[str, Mapping[str, TableState]]:
        """The tables are made in the end, so there are none to be found again."""
        return target_digest(opened.plan.target, opened.client()) if self.fills_tables else "", {}

    def options(self, opened: OpenRun, life: Lifetime) -> WriteOptions:
        # A part of a segment would be a file of its own, so that segments are written in one go.
        options = write_options(opened, dry_run=True, resumed=life.saved is not None, in_parts=False)
        return options if self._dry else replace(options, files=self._files(opened))

    def _files(self, opened: OpenRun) -> Files:
        if not isinstance(self._place, Bucket):
            return Files(self._place, opened.scratch)
        place = replace(self._place, target=target_for_workers(opened))
        # Another host has room of its own, and not necessarily in the state folder.
        return Files(place, None if opened.plan.cluster else opened.scratch)

    def finish(
        self, opened: OpenRun, life: Lifetime, accounts: Accounts, losers: Losers | None
    ) -> Iterator[SegmentResult]:
        if self._dry:
            return
        sizes = {table: self._place.sizes(table.name) for table in opened.tables.values()}
        files = [size for found in sizes.values() for size in found.values()]
        self.told = replace(self.told, files=len(files), bytes=sum(files))
        if not isinstance(self._place, Bucket):
            return
        filled = {table: _written(accounts, table.name) for table, found in sizes.items() if found}
        imports = Imports(opened.client(), life.folder.path / "imports.json")
        for table in filled:
            log.info("table %s is imported from %s", table.name, self._place)
            imports.begin(table, self._place)
        for table, items in filled.items():
            if (found := self._watch(imports, table.name, items)) is None:
                return
            if found.errors:
                yield from _refused(opened, losers, found, table, self._place)
        for table in sizes:
            _complete(opened.client(), table, imported=table in filled)

    def _watch(self, imports: Imports, table: str, items: int) -> Import | None:
        """None where the run is stopped before the import is through."""
        with progress_bar(f"imported {table}", shown=self._progress, unit="items", total=items) as bar:
            # The service tells of its progress when it is at its end, other engines on the way.
            found = imports.watch(table, lambda now: bar.update(now.processed - bar.n), stop=self._is_stopped)
        if found is None:
            log.info("the import of table %s goes on; run again to see its end", table)
            return None
        self.told = replace(self.told, imports=(*self.told.imports, found.arn))
        log.info("table %s: %d of %d items imported", table, found.imported, items)
        if found.processed != items:
            raise TargetError(
                f'the import of table "{table}" read {found.processed:,} items, and {items:,} are in its files\n'
                f"  `migrator verify` names those that are missing, and `run --restart` without --via writes them."
                f" The import: {found.arn}",
                code="import_incomplete",
            )
        return found


def _written(accounts: Accounts, table: str) -> int:
    return sum(entity.written for entity in accounts.entities.values() if entity.table == table)


def _cut_for_import(opened: OpenRun) -> None:
    """Into no more segments than an import reads files: each table's grow with it. Raises UsageError."""
    files = _most_files(opened)
    while files > IMPORT_FILES:
        before = files
        opened.cut_coarser()
        files = _most_files(opened)
        if files == before:  # as many sources, each of which is one segment at least
            raise UsageError(
                f"a table would take {files:,} files, and an import reads {IMPORT_FILES:,}\n"
                "  Name fewer source files, and run the rest without --via. Nothing was written."
            )


def _most_files(opened: OpenRun) -> int:
    """Of the table that has most."""
    return max(Counter(segment.unit.table.name for segment in opened.segments).values(), default=0)


def _names(opened: OpenRun) -> list[str]:
    return [table.name for table in opened.tables.values()]


def _complete(client: Any, table: TableDefinition, *, imported: bool) -> None:
    """What an import cannot give a table; one without items is made by hand."""
    for warning in (complete_imported if imported else create_table)(client, table).warnings:
        log.warning("%s", warning)


def _refused(
    opened: OpenRun, losers: Losers | None, found: Import, table: TableDefinition, bucket: Bucket
) -> Iterator[SegmentResult]:
    logs = create_service_client(opened.plan.target, "logs")
    if not stand_together(logs, opened.client()):
        raise log_error(found, told=0)
    for name, items in refused_items(logs, found, table, bucket):
        number = segment_of(name)
        assert number is not None  # the folder holds nothing else: `items` is what was processed
        segment = opened.segments[number]
        # They were counted as written when they were in their file.
        write = WriteResult(written=-len(items), failed=items, bytes=-sum(map(_size, items)))
        result = SegmentResult(segment.unit.number, segment.number, write=write)
        name_failed(segment, losers.of_segment(segment.unit.number, segment.number) if losers else {}, result)
        if result.error is not None:
            raise result.error
        yield result


def _size(item: FailedItem) -> int:
    return item_size(item.attributes)


# ---- what cannot be


def _require_importable(plan: Plan, *, starts_import: bool) -> None:
    """Raises UsageError, before anything is looked at, with everything that speaks against it."""
    settings = plan.settings
    local = [table.name for table in tables_of(plan).values() if table.local_indexes]
    against = {
        f"table {', '.join(local)} has local indexes: they can only be made with their table, and ImportTable, which"
        " makes it, has no parameter for them. Use a global index, or run without --via": bool(local),
        "settings.validate: false: an import bills each item that it refuses": not settings.validate,
        "settings.rollback: true: an import fills a new table, and is taken back by deleting it": settings.rollback,
        "settings.incremental: what is to be sent is what changed, and an import fills a new table with all of it": (
            settings.incremental is not None
        ),
        "settings.create_table: never: an import makes its table": starts_import and settings.create_table == "never",
    }
    if reasons := [reason for reason, holds in against.items() if holds]:
        raise UsageError("--via cannot be:\n  " + "\n  ".join(reasons) + "\n  Nothing was written.")
