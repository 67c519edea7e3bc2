"""One consistent view of a SQLite file for all who read it, without a trace left beside it.

Reading a WAL file would put -wal and -shm beside it, and a hot journal would be played back into it, so these are
copied into a private folder and recovered there. A file with a rollback journal can be read where it is, by who is
done soon or stops at its first change: its writers wait while a row is read. A run takes a copy of that, too.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from migrator.errors import SourceError
from migrator.source.failure import (
    NOT_SQLITE,
    UNREADABLE,
    Failure,
    source_failure,
    to_source_error,
)
from migrator.source.private_copy import NO_ROOM, copy_alone, copy_locked, copy_settled, recover
from migrator.source.readlock import read_lock
from migrator.source.storage import is_writable, read_header, read_state, sync_file

_FOLDER_PREFIX = "snapshot-"

MISSING = Failure(
    "source_missing", "there is no such file", "check the path; in a plan, it starts at the plan's folder"
)
FOLDER = Failure("source_folder", "this is a folder", "name the SQLite file in it")
NO_FILE = Failure("source_not_sqlite", "this is not a regular file", "name a SQLite 3 database")
EMPTY = Failure("source_empty", "the file is empty (zero bytes)", "check how it was made: a copy may have failed")
CHANGED = Failure("source_changed", "the file has changed since the run began", "begin afresh with --restart")
COPY_GONE = Failure("source_changed", "the run's private copy of the file is gone or changed", "begin with --restart")


class Snapshot(Struct, frozen=True):
    path: str  #: the file as the user knows it, absolute; or its s3:// URL
    read_path: str  #: what is opened: the file itself or a private copy
    fingerprint: str  #: of the file, its -wal and -journal when the snapshot was taken
    read_fingerprint: str = ""  #: of a private copy
    etag: str = ""  #: of an object in S3, whose fingerprint it is

    @property
    def is_copy(self) -> bool:
        return bool(self.read_fingerprint)


def take_snapshot(
    path: str | Path, scratch: Path | None = None, *, wait_s: float = 30, outlives_writers: bool = False
) -> Snapshot:
    """Look at the file and copy it if it has to be; `scratch` is where a copy goes (default: the temporary folder).

    With `outlives_writers` every file is copied that anyone may write, so that nobody waits for its reader and the
    reader is not stopped by a write. Waits up to `wait_s` seconds for a lock. Raises SourceError; never creates or
    changes anything beside the file.
    """
    known = os.path.abspath(path)
    real = _existing_file(known, known)
    try:
        if not _uses_wal(real):
            with read_lock(real, known, wait_s) as is_held:
                if is_held and outlives_writers and is_writable(real):
                    return _take_copy(real, known, scratch, copy_locked)
                if is_held:
                    return Snapshot(known, real, read_state(real).fingerprint())
        return _take_copy(real, known, scratch, partial(copy_settled, wait_s=wait_s))
    except (sqlite3.Error, OSError) as error:
        raise to_source_error(error, known) from error


def adopt(fetched: Path, known: str, etag: str, scratch: Path) -> Snapshot:
    """A file that was fetched for us as the private copy, without another one: by a second name, in `scratch`.

    So it stays whatever becomes of the first name. Raises SourceError.
    """
    real = _existing_file(str(fetched), known)
    try:
        return replace(_take_copy(real, known, scratch, partial(_link, etag=etag)), etag=etag)
    except (sqlite3.Error, OSError) as error:
        raise to_source_error(error, known) from error


def _link(real: str, known: str, copy: str, etag: str) -> str:
    """A file that says WAL is made a plain one, and so has to be another file."""
    if read_header(real).is_wal:
        copy_alone(real, known, copy)
        return etag
    try:
        os.link(real, copy)
    except OSError:  # not every file system can
        copy_alone(real, known, copy)
    return etag


def _existing_file(path: str, known: str) -> str:
    """The real path, as SQLite looks for -wal beside what a symbolic link points to. `known` is for messages."""
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise source_failure(FOLDER, known)
        if not stat.S_ISREG(info.st_mode):
            raise source_failure(NO_FILE, known)
        if info.st_size == 0:
            raise source_failure(EMPTY, known)
        # A hot journal may hold the first page.
        if not read_header(path).is_sqlite and not os.path.exists(os.path.realpath(path) + "-journal"):
            raise source_failure(NOT_SQLITE, known)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise source_failure(MISSING, known) from error
    except OSError as error:
        raise to_source_error(error, known) from error
    return os.path.realpath(path)


def _uses_wal(real: str) -> bool:
    """SQLite plays a -wal back whatever the header says."""
    return read_header(real).is_wal or os.path.exists(real + "-wal")


# ---- the private copy


def _take_copy(real: str, known: str, scratch: Path | None, copy_file: Callable[[str, str, str], str]) -> Snapshot:
    """`copy_file` takes the real path, the known one and the copy's, and gives the fingerprint of what it copied."""
    try:
        if scratch is not None:
            scratch.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=scratch)
    except OSError as error:
        raise source_failure(NO_ROOM, known, str(error)) from error
    try:
        copy = os.path.join(os.path.realpath(folder), "copy.sqlite")
        fingerprint = copy_file(real, known, copy)
        recover(copy, known)
        return Snapshot(known, copy, fingerprint, read_state(copy).fingerprint())
    except BaseException:  # nothing is left behind, whatever ends it; the error goes on
        shutil.rmtree(folder, ignore_errors=True)
        raise


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
    """Whether a run that was cut off can go on with it: what it reads is whole, and its source as it was.

    The writers of a WAL file are not asked to stop; only there may a copy be older than its source. What became of an
    object in S3, S3 tells.
    """
    try:
        check_unchanged(snapshot)
        if snapshot.etag:
            return True
        if not snapshot.is_copy:
            return os.path.realpath(snapshot.path) == snapshot.read_path
        real = os.path.realpath(snapshot.path)
        return read_header(real).is_wal or read_state(real).fingerprint() == snapshot.fingerprint
    except (SourceError, OSError):
        return False


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
