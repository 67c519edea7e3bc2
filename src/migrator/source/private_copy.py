"""A copy of one state of a SQLite file, whoever is writing it: under a lock, or taken again until nothing moved."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from migrator.source.driver import open_file
from migrator.source.failure import Failure, source_failure
from migrator.source.readlock import bounded, read_schema
from migrator.source.storage import copy_files, copy_main, read_state

_RETRY_S = 0.1

NO_ROOM = Failure(
    "source_copy_failed",
    "no private copy could be made",
    "free some space where the copy goes; a file that nobody may write (chmod a-w), unless WAL, is read where it is",
)
BUSY_COPY = Failure(
    "source_locked",
    "it is written all the time, no consistent copy could be taken",
    "run again in a quieter moment",
    retryable=True,
)


def copy_locked(real: str, known: str, copy: str) -> str:
    """Under a read lock: writers wait as long as a copy takes, not as long as a run does."""
    # A journal that is there belongs to a writer that has changed nothing yet.
    copy_alone(real, known, copy)
    return read_state(real).fingerprint()


def copy_alone(real: str, known: str, copy: str) -> None:
    """What nobody writes meanwhile, without its neighbours."""
    with _naming_no_room(known, copy):
        copy_main(real, copy)


def copy_settled(real: str, known: str, copy: str, wait_s: float) -> str:
    """Copy until nothing moved meanwhile."""
    deadline = time.monotonic() + wait_s
    while True:
        before = read_state(real)
        settled = before.is_settled()
        with _naming_no_room(known, copy):
            copy_files(real, copy)
        if (settled and before.still_holds(read_state(real))) or _back_up_live(real, copy):
            return before.fingerprint()
        if time.monotonic() > deadline:
            raise source_failure(BUSY_COPY, known)
        time.sleep(_RETRY_S)


@contextmanager
def _naming_no_room(known: str, copy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise source_failure(NO_ROOM, known, f"{error.strerror}, {copy}") from error


def _back_up_live(real: str, copy: str) -> bool:
    """SQLite's own backup of a WAL file in use, by locks of its readers alone; False where it cannot.

    With readonly_shm the -shm of the writers is read and never written, and as both neighbours are there
    already, nothing is created.
    """
    if not (os.path.exists(real + "-shm") and os.path.exists(real + "-wal")):
        return False
    for stale in (copy, copy + "-wal", copy + "-journal"):
        Path(stale).unlink(missing_ok=True)
    try:
        with (
            closing(open_file(real, "mode=ro&readonly_shm=1", wait_s=1)) as live,
            closing(sqlite3.connect(copy)) as target,
        ):
            live.backup(target)
    except sqlite3.OperationalError:
        return False
    return True


def recover(copy: str, known: str) -> None:
    """Play back the journal or the WAL, and leave one plain file."""
    with closing(open_file(copy, "mode=rw")) as connection:
        with bounded(connection, known):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode=DELETE").fetchall()
        read_schema(connection, copy, known)
