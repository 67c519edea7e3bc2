"""The files that a plan's checkpoint and ledger are kept in: made whole, looked at before they are believed, never
guessed about.

A file that is damaged, or of a newer version, may hold an unfinished run. To begin afresh in silence would lose it, so
the run is refused, and `--restart` puts the file aside. No credential is ever in it: what it says of documents and
targets is digests.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from migrator.errors import StoppedError
from migrator.source.storage import sync_file

_WAIT_S = 30.0
_PRAGMAS = ("PRAGMA journal_mode = DELETE", "PRAGMA synchronous = FULL")


class Kind(Struct, frozen=True):
    """A kind of state file."""

    name: str  #: as errors call it
    version: int  #: of the schema, as the file's `user_version`
    schema: str
    looked_through: bool  #: it is small enough to be read as a whole whenever it is opened


#: What is done of a run.
CHECKPOINT = Kind(
    "checkpoint",
    2,
    """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, status TEXT NOT NULL, started_at TEXT NOT NULL, now_s INTEGER NOT NULL,
    guards TEXT NOT NULL, target TEXT NOT NULL,
    tables TEXT NOT NULL, entities TEXT NOT NULL, segment_rows INTEGER NOT NULL,
    rejects_bytes INTEGER NOT NULL, failed_bytes INTEGER NOT NULL,
    requests TEXT NOT NULL, worked_s REAL NOT NULL);
CREATE UNIQUE INDEX one_unfinished ON runs (status) WHERE status = 'unfinished';
CREATE TABLE sources (run_id TEXT PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE segments (
    run_id TEXT NOT NULL, number INTEGER NOT NULL, entity INTEGER NOT NULL, rows_done INTEGER NOT NULL,
    position TEXT, complete INTEGER NOT NULL, counts TEXT NOT NULL, PRIMARY KEY (run_id, number)) WITHOUT ROWID;
""",
    looked_through=True,
)
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
def open_state(path: Path, kind: Kind = CHECKPOINT, *, restart: bool = False) -> Iterator[sqlite3.Connection]:
    """The file open, made where there is none.

    Raises StoppedError: checkpoint_unreadable, checkpoint_newer (ledger_… of a ledger) or state_unwritable. With
    `restart` a file that cannot be used is put aside, and another one made.
    """
    with state_errors(path, kind):
        if path.exists():
            _examine(path, kind, restart=restart)
        if not path.exists():
            _create(path, kind)
        connection = _connect(path)
    with closing(connection):
        yield connection


@contextmanager
def state_errors(path: Path, kind: Kind = CHECKPOINT) -> Iterator[None]:
    """What can be wrong with the file, in words that say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _IN_THE_WAY:
            raise _unwritable(path, kind, str(error)) from error
        raise _unreadable(path, kind, str(error)) from error
    except OSError as error:
        raise _unwritable(path, kind, error.strerror or str(error)) from error
    except (ValueError, TypeError, KeyError, zlib.error) as error:  # what stands in its columns is not what was written
        raise _unreadable(path, kind, repr(error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", _WAIT_S, uri=True, isolation_level=None)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _create(path: Path, kind: Kind) -> None:
    """Beside, and put in place when it is whole: a file that is there but empty was not made by us."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
        script = f"PRAGMA auto_vacuum = FULL; {kind.schema} PRAGMA user_version = {kind.version};"
        connection.executescript(script)
    _journal(path).unlink(missing_ok=True)  # of a file that is gone; it would be played back into this one
    draft.replace(path)
    sync_file(str(path))


def _examine(path: Path, kind: Kind, *, restart: bool) -> None:
    """Refuse a file that cannot be used, or put it aside."""
    try:
        with state_errors(path, kind), closing(_connect(path)) as connection:
            _check(path, kind, connection)
    except StoppedError as error:
        if not restart or error.code == "state_unwritable":
            raise
        log.warning("%s", _put_aside(path))


def _check(path: Path, kind: Kind, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > kind.version:
        raise StoppedError(
            f"{path}: this {kind.name} is of a newer version of migrator\n"
            "  Go on with that version, or begin afresh: --restart puts the file aside.",
            code=f"{kind.name}_newer",
        )
    found = "ok"
    if kind.looked_through:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if version != kind.version or found != "ok":
        raise _unreadable(path, kind, found if version == kind.version else f"it is not a {kind.name}")


def _put_aside(path: Path) -> str:
    aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.aside")
    if _journal(path).exists():
        _journal(path).replace(_journal(aside))
    path.replace(aside)
    return f"{path} cannot be used; it lies in {aside.name} now, and the run begins afresh"


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _unreadable(path: Path, kind: Kind, detail: str) -> StoppedError:
    return StoppedError(
        f"{path}: the {kind.name} cannot be read: {' '.join(detail.split())}\n"
        "  Restore the file, or begin afresh: --restart puts it aside.",
        code=f"{kind.name}_unreadable",
    )


def _unwritable(path: Path, kind: Kind, detail: str) -> StoppedError:
    return StoppedError(
        f"{path}: the {kind.name} cannot be written: {detail}\n  Make room or give access, and run again to go on.",
        code="state_unwritable",
        retryable=True,
    )
