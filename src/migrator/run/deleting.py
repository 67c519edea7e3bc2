"""Items whose rows are gone: counted, held to the plan's limit, and deleted once everything else is written."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from migrator.errors import DeleteLimitError
from migrator.limits import BATCH_ITEMS
from migrator.mapping.canonical import key_from_text
from migrator.mapping.model import TableDefinition
from migrator.run.incremental import Increment
from migrator.run.increments import ByHash
from migrator.run.opened import OpenRun
from migrator.run.progress import progress_bar
from migrator.run.scan import BATCH_GET_KEYS, get_items
from migrator.run.segment import expires_at
from migrator.run.undo import WrittenFile, WrittenLine, part_file
from migrator.run.workers import Workers
from migrator.target.backoff import ask
from migrator.target.clear import DELETE_UNITS, delete_batch
from migrator.target.paced import Turns
from migrator.target.undo import DELETED, Written

log = logging.getLogger(__name__)


def items_to_delete(increment: Increment) -> Mapping[str, int]:
    """How many by entity, as the plan says. What is left in the draft of what is missing is to be deleted.

    Raises DeleteLimitError where there are too many; they wait for a run that may.
    """
    increment.find_missing()
    draft, way = increment.draft, increment.way
    if held := sum(draft.missing_by("entity", held=True).values()):
        log.warning("%d items stay: the rows that gave them are rejected now", held)
    gone = draft.missing_by("entity")
    if way.on_missing == "keep":
        if gone:
            log.info("%d items stay, whose rows are gone: on_missing: keep", sum(gone.values()))
        draft.clear_missing(held=False)
        return {}
    limit = way.max_deletes.of(increment.items_before())
    if sum(gone.values()) > limit:
        draft.hold_all()
        raise _too_many(gone, limit, way)
    return gone


def delete_missing(
    opened: OpenRun, increment: Increment, workers: Workers, undo: Path | None, *, progress: bool
) -> None:
    """Until a stop; in the folder `undo`, if there is one, what is deleted is kept first. Raises StoppedError."""
    increment.note_deletes()
    with ExitStack() as held:
        # No segment has this number: a file of its own, for the keys of all tables.
        kept = WrittenFile(part_file(undo, len(opened.segments), 0)) if undo else None
        if kept:
            held.enter_context(kept)
        bar = held.enter_context(progress_bar("deleted", shown=progress, unit="items"))
        for table in opened.tables.values():
            deletion = _Deletion(opened, table, workers, kept)
            after = ""
            while keys := increment.draft.missing_keys(table.name, after, BATCH_GET_KEYS):
                after = keys[-1]
                deletion.delete(keys)
                bar.update(len(keys))


class _Deletion:
    """Items of one table, deleted within the budget that the writers had."""

    def __init__(self, opened: OpenRun, table: TableDefinition, workers: Workers, kept: WrittenFile | None) -> None:
        self._client = opened.client()
        self._table = table
        self._stop = workers.stop.flag.is_set
        self._turns = Turns(workers.governors[table.name], stop=self._stop)
        self._kept = kept
        self._policy = opened.plan.settings.retry_policy

    def delete(self, keys: Sequence[str]) -> None:
        if self._kept and not self._stop():
            self._kept.append(self._lines(keys))
        for start in range(0, len(keys), BATCH_ITEMS):
            batch = [key_from_text(key, self._table) for key in keys[start : start + BATCH_ITEMS]]
            self._turns.take(DELETE_UNITS * len(batch))
            if self._stop():
                return
            delete_batch(self._client, self._table, batch, self._policy, stop=self._stop)

    def _lines(self, keys: Sequence[str]) -> Iterator[WrittenLine]:
        asking = partial(ask, policy=self._policy, stop=self._stop)
        for found in get_items(self._client, self._table, keys, asking):
            for key, item in found:
                expires = expires_at(item, self._table)
                yield WrittenLine(self._table.name, Written(key, DELETED, item, expires))


def _too_many(gone: Mapping[str, int], limit: int, way: ByHash) -> DeleteLimitError:
    named = ", ".join(f"{count} of {entity}" for entity, count in sorted(gone.items()))
    return DeleteLimitError(
        f"the rows of {sum(gone.values())} items are gone ({named}), and the plan lets a run delete {limit}"
        f" (max_deletes: {way.max_deletes.text})\n"
        "  Everything else was written, and nothing was deleted. If they are to go, raise max_deletes under"
        " settings.incremental.hash and run again; if not, mend the source or the mapping.",
        code="too_many_deletes",
    )
