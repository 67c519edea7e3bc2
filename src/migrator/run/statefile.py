"""The file that a plan's checkpoint is kept in: made whole, looked through before it is believed, never guessed about.

A file that is damaged, or of a newer version, may hold an unfinished run. To begin afresh in silence would lose it, so
the run is refused, and `--restart` puts the file aside. No credential is ever in it: what it says of documents and
targets is digests.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from migrator.errors import StoppedError
from migrator.source.storage import sync_file

#: Of the schema, as the file's `user_version`.
VERSION = 1
_WAIT_S = 30.0
_PRAGMAS = ("PRAGMA journal_mode = DELETE", "PRAGMA synchronous = FULL")
_SCHEMA = f"""
PRAGMA auto_vacuum = FULL;
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, status TEXT NOT NULL, started_at TEXT NOT NULL, now_s INTEGER NOT NULL,
    guards TEXT NOT NULL, target TEXT NOT NULL, snapshots TEXT NOT NULL,
    tables TEXT NOT NULL, entities TEXT NOT NULL, segment_rows INTEGER NOT NULL,
    rejects_bytes INTEGER NOT NULL, failed_bytes INTEGER NOT NULL,
    requests TEXT NOT NULL, worked_s REAL NOT NULL);
CREATE UNIQUE INDEX one_unfinished ON runs (status) WHERE status = 'unfinished';
CREATE TABLE segments (
    run_id TEXT NOT NULL, number INTEGER NOT NULL, entity INTEGER NOT NULL, rows_done INTEGER NOT NULL,
    position TEXT, complete INTEGER NOT NULL, counts TEXT NOT NULL, PRIMARY KEY (run_id, number)) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
#: What a disk, its permissions or another program say; anything else is said of the file's content.
_IN_THE_WAY = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
    }
)

log = logging.getLogger(__name__)


@contextmanager
def open_state(path: Path, *, restart: bool = False) -> Iterator[sqlite3.Connection]:
    """The file open, made where there is none.

    Raises StoppedError: checkpoint_unreadable, checkpoint_newer or state_unwritable. With `restart` a file that
    cannot be used is put aside, and another one made.
    """
    with state_errors(path):
        if path.exists():
            _examine(path, restart=restart)
        if not path.exists():
            _create(path)
        connection = _connect(path)
    with closing(connection):
        yield connection


@contextmanager
def state_errors(path: Path) -> Iterator[None]:
    """What can be wrong with the file, in words that say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _IN_THE_WAY:
            raise _unwritable(path, str(error)) from error
        raise _unreadable(path, str(error)) from error
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    except (ValueError, TypeError, KeyError) as error:  # what stands in its columns is not what was written
        raise _unreadable(path, repr(error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", _WAIT_S, uri=True, isolation_level=None)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Beside, and put in place when it is whole: a file that is there but empty was not made by us."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
    _journal(path).unlink(missing_ok=True)  # of a file that is gone; it would be played back into this one
    draft.replace(path)
    sync_file(str(path))


def _examine(path: Path, *, restart: bool) -> None:
    """Refuse a file that cannot be used, or put it aside."""
    try:
        with state_errors(path), closing(_connect(path)) as connection:
            _check(path, connection)
    except StoppedError as error:
        if not restart or error.code == "state_unwritable":
            raise
        log.warning("%s", _put_aside(path))


def _check(path: Path, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoppedError(
            f"{path}: this checkpoint is of a newer version of migrator\n"
            "  Go on with that version, or begin afresh: --restart puts the file aside.",
            code="checkpoint_newer",
        )
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if version != VERSION or found != "ok":
        raise _unreadable(path, found if version == VERSION else "it is not a checkpoint")


def _put_aside(path: Path) -> str:
    aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.aside")
    if _journal(path).exists():
        _journal(path).replace(_journal(aside))
    path.replace(aside)
    return f"{path} cannot be used; it lies in {aside.name} now, and the run begins afresh"


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _unreadable(path: Path, detail: str) -> StoppedError:
    return StoppedError(
        f"{path}: the checkpoint cannot be read: {' '.join(detail.split())}\n"
        "  Restore the file, or begin afresh: --restart puts it aside.",
        code="checkpoint_unreadable",
    )


def _unwritable(path: Path, detail: str) -> StoppedError:
    return StoppedError(
        f"{path}: the checkpoint cannot be written: {detail}\n  Make room or give access, and run again to go on.",
        code="state_unwritable",
        retryable=True,
    )
