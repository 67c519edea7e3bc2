"""One consistent view of a SQLite file for all who read it, without a trace left beside it.

A file with a rollback journal is read where it is. Reading a WAL file would put -wal and -shm beside it, and a
hot journal would be played back into it, so these are copied into a private folder and recovered there.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from migrator.errors import SourceError
from migrator.source.failure import (
    DAMAGED,
    NOT_SQLITE,
    UNREADABLE,
    Failure,
    source_failure,
    source_path,
    to_source_error,
)
from migrator.source.storage import copy_files, neighbours, read_header, read_state, sync_file
from migrator.source.text import decode_text

__all__ = [
    "Snapshot",
    "check_unchanged",
    "connect",
    "is_still_there",
    "keep",
    "release",
    "take_snapshot",
    "to_source_error",
]

_FOLDER_PREFIX = "snapshot-"
_CACHE_KIB = 32 * 1024
_RETRY_S = 0.1

MISSING = Failure(
    "source_missing", "there is no such file", "check the path; in a plan, it starts at the plan's folder"
)
FOLDER = Failure("source_folder", "this is a folder", "name the SQLite file in it")
NO_FILE = Failure("source_not_sqlite", "this is not a regular file", "name a SQLite 3 database")
EMPTY = Failure("source_empty", "the file is empty (zero bytes)", "check how it was made: a copy may have failed")
CHANGED = Failure("source_changed", "the file has changed since the run began", "begin afresh with --restart")
COPY_GONE = Failure("source_changed", "the run's private copy of the file is gone or changed", "begin with --restart")
NO_ROOM = Failure("source_copy_failed", "no private copy could be made", "free some space where the copy goes")
BUSY_COPY = Failure(
    "source_locked",
    "it is written all the time, no consistent copy could be taken",
    "run again in a quieter moment",
    retryable=True,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    path: str  #: the file as the user knows it, absolute
    read_path: str  #: what is opened: the file itself or a private copy
    fingerprint: str  #: of the file, its -wal and -journal when the snapshot was taken
    read_fingerprint: str = ""  #: of a private copy

    @property
    def is_copy(self) -> bool:
        return bool(self.read_fingerprint)


def take_snapshot(path: str | Path, scratch: Path | None = None, *, wait_s: float = 30) -> Snapshot:
    """Look at the file and copy it if it has to be; `scratch` is where a copy goes (default: the temporary folder).

    Waits up to `wait_s` seconds for a lock. Raises SourceError; never creates or changes anything beside the file.
    """
    known = os.path.abspath(path)
    real = _existing_file(known)
    try:
        if _uses_wal(real) or not _readable_in_place(real, known, wait_s):
            return _take_copy(real, known, scratch, wait_s)
        return Snapshot(known, real, read_state(real).fingerprint())
    except (sqlite3.Error, OSError) as error:
        raise to_source_error(error, known) from error


def _existing_file(known: str) -> str:
    """The real path, as SQLite looks for -wal beside what a symbolic link points to."""
    try:
        info = os.stat(known)
        if stat.S_ISDIR(info.st_mode):
            raise source_failure(FOLDER, known)
        if not stat.S_ISREG(info.st_mode):
            raise source_failure(NO_FILE, known)
        if info.st_size == 0:
            raise source_failure(EMPTY, known)
        if not read_header(known).is_sqlite:
            raise source_failure(NOT_SQLITE, known)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise source_failure(MISSING, known) from error
    except OSError as error:
        raise to_source_error(error, known) from error
    return os.path.realpath(known)


def _uri(path: str, query: str) -> str:
    """A file: URI; `as_uri` escapes ?, #, % and everything beyond ASCII."""
    return f"{Path(path).as_uri()}?{query}"


def _uses_wal(real: str) -> bool:
    """SQLite plays a -wal back whatever the header says."""
    return read_header(real).is_wal or os.path.exists(real + "-wal")


def _readable_in_place(real: str, known: str, wait_s: float) -> bool:
    """False where a hot journal waits to be played back."""
    with closing(sqlite3.connect(_uri(real, "mode=ro"), uri=True, timeout=wait_s, isolation_level=None)) as connection:
        try:
            _read_schema(connection, real, known)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
                return False
            raise
    return True


def _read_schema(connection: sqlite3.Connection, path: str, known: str) -> None:
    """Read what every later statement needs, and compare the page count with the size under the same lock."""
    connection.text_factory = bytes
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT count(*), sum(length(sql)) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        _check_size(path, known)
        raise error
    _check_size(path, known)
    connection.execute("COMMIT")


def _check_size(path: str, known: str) -> None:
    expected, size_bytes = read_header(path).size_bytes, os.stat(path).st_size
    if expected is not None and expected > size_bytes:
        raise source_failure(DAMAGED, known, f"truncated, {size_bytes} of {expected} bytes are there")


# ---- the private copy


def _take_copy(real: str, known: str, scratch: Path | None, wait_s: float) -> Snapshot:
    try:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=scratch)
    except OSError as error:
        raise source_failure(NO_ROOM, known, str(error)) from error
    try:
        copy = os.path.join(os.path.realpath(folder), "copy.sqlite")
        fingerprint = _copy_one_state(real, known, copy, wait_s)
        _recover(copy, known)
        return Snapshot(known, copy, fingerprint, read_state(copy).fingerprint())
    except BaseException:  # nothing is left behind, whatever ends it; the error goes on
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _copy_one_state(real: str, known: str, copy: str, wait_s: float) -> str:
    """Copy until nothing moved meanwhile; gives the fingerprint of what was copied."""
    deadline = time.monotonic() + wait_s
    while True:
        before = read_state(real)
        settled = before.is_settled()
        try:
            copy_files(real, copy)
        except OSError as error:
            raise source_failure(NO_ROOM, known, f"{error.strerror}, {copy}") from error
        if (settled and before.still_holds(read_state(real))) or _back_up_live(real, copy):
            return before.fingerprint()
        if time.monotonic() > deadline:
            raise source_failure(BUSY_COPY, known)
        time.sleep(_RETRY_S)


def _back_up_live(real: str, copy: str) -> bool:
    """SQLite's own backup of a WAL file in use, by locks of its readers alone; False where it cannot.

    With readonly_shm the -shm of the writers is read and never written, and as both neighbours are there
    already, nothing is created.
    """
    if not (os.path.exists(real + "-shm") and os.path.exists(real + "-wal")):
        return False
    for stale in (copy, copy + "-wal", copy + "-journal"):
        Path(stale).unlink(missing_ok=True)
    uri = _uri(real, "mode=ro&readonly_shm=1")
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=1, isolation_level=None)) as live,
            closing(sqlite3.connect(copy)) as target,
        ):
            live.backup(target)
    except sqlite3.OperationalError:
        return False
    return True


def _recover(copy: str, known: str) -> None:
    """Play back the journal or the WAL, and leave one plain file."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode=DELETE").fetchall()
        _read_schema(connection, copy, known)


# ---- reading


@contextmanager
def connect(snapshot: Snapshot, *, wait_s: float = 30) -> Iterator[Connection]:
    """A read-only connection that gives raw values, text that is not UTF-8 as InvalidText."""
    with _connection(snapshot.read_path, snapshot.path, "mode=ro", wait_s) as connection:
        yield connection


@contextmanager
def connect_for_check(connection: Connection, *, wait_s: float = 30) -> Iterator[tuple[Connection, bool]]:
    """A second connection to the same file, and whether CHECK constraints are seen through it.

    SQLite leaves CHECK out of the schema of a file opened read-only (sqlite3AddCheckConstraint), so this one is
    opened for writing and held by query_only. A file with a journal or a WAL beside it is not: opening could play
    it back.
    """
    path = str(connection.exec_driver_sql("PRAGMA database_list").one()[2])
    alone = not any(map(os.path.exists, neighbours(path))) and not read_header(path).is_wal
    sees_checks = alone and os.access(path, os.W_OK)
    mode = "mode=rw" if sees_checks else "mode=ro"
    with _connection(path, source_path(connection), mode, wait_s) as own:
        yield own, sees_checks


@contextmanager
def _connection(read_path: str, known: str, mode: str, wait_s: float) -> Iterator[Connection]:
    def open_file() -> sqlite3.Connection:
        uri = _uri(read_path, mode)
        raw = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False)
        raw.text_factory = decode_text
        raw.execute("PRAGMA query_only=1")
        raw.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        return raw

    engine = create_engine("sqlite://", creator=open_file, poolclass=NullPool)
    try:
        try:
            connection = engine.connect()
        except (DBAPIError, sqlite3.Error) as error:
            raise to_source_error(error, known) from error
        with connection:
            connection.info["source_path"] = known
            yield connection
    finally:
        engine.dispose()


def check_unchanged(snapshot: Snapshot) -> None:
    """What is read must be what it was: the private copy if there is one, else the file with its neighbours."""
    expected = snapshot.read_fingerprint or snapshot.fingerprint
    try:
        actual = read_state(snapshot.read_path).fingerprint()
    except OSError as error:
        raise source_failure(UNREADABLE, snapshot.path, str(error)) from error
    if actual != expected:
        raise source_failure(COPY_GONE if snapshot.is_copy else CHANGED, snapshot.path)


def is_still_there(snapshot: Snapshot) -> bool:
    """Whether a run that was cut off can go on with it: its private copy is whole, or the file is unchanged."""
    try:
        check_unchanged(snapshot)
    except SourceError:
        return False
    return snapshot.is_copy or os.path.realpath(snapshot.path) == snapshot.read_path


def keep(snapshot: Snapshot) -> None:
    """Put a private copy on disk, so that it outlives a power cut as the checkpoint does that counts on it."""
    if snapshot.is_copy:
        try:
            sync_file(snapshot.read_path)
        except OSError as error:
            raise source_failure(NO_ROOM, snapshot.path, str(error)) from error


def release(snapshot: Snapshot) -> None:
    """Remove a private copy. The user's file is never touched."""
    folder = Path(snapshot.read_path).parent
    if snapshot.is_copy and folder.name.startswith(_FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
