"""Which rows lose their key to an earlier one, found by rendering every row before the first is written.

What is proved is kept until the run ends, segment by segment: a run that is cut off goes on proving where it was, and
one that had proved everything goes on writing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrator.run.collisions import Losers, found_losers
from migrator.run.digests import DigestStore
from migrator.run.opened import OpenRun
from migrator.run.workers import Workers

log = logging.getLogger(__name__)


@contextmanager
def proof(opened: OpenRun, workers: Workers, *, kept: bool) -> Iterator[Losers | None]:
    """The rows that lose; None where the schema proves that none can, or the run was stopped on the way."""
    if not opened.needs_proof():
        yield None
        return
    with _open_store(opened.scratch / "proof.sqlite", kept=kept) as store:
        losers = found_losers(store, opened.labels())
        if losers is None:
            _render(opened, store, workers)
        yield None if workers.stop.flag.is_set() else losers or opened.losers(store)


def _open_store(path: Path, *, kept: bool) -> DigestStore:
    try:
        return DigestStore(path, kept=kept)
    except sqlite3.DatabaseError as error:
        # It follows from the source alone, so that nothing is lost by finding it again.
        log.warning("%s cannot be read (%s): the keys are proved again", path, error)
        path.unlink()
        return DigestStore(path, kept=kept)


def _render(opened: OpenRun, store: DigestStore, workers: Workers) -> None:
    for result in opened.iter_rendered(workers, store.rendered()):
        if result.complete:
            store.add(result.records, segment=result.number)
