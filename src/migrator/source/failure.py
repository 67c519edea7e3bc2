"""What SQLite's errors mean to a person: the one place that turns them into SourceError.

A result code says what happened more reliably than its message, which is only quoted.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping

from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from migrator.errors import SourceError


class Failure(Struct, frozen=True):
    code: str
    what: str
    advice: str
    retryable: bool = False


DAMAGED = Failure(
    "source_damaged",
    "the file is damaged",
    "restore it from a backup, or rescue what can be read: sqlite3 FILE .recover | sqlite3 NEW",
)
NOT_SQLITE = Failure(
    "source_not_sqlite",
    "this is not a SQLite file, or it is encrypted",
    "name a SQLite 3 database; decrypt it first if it is an encrypted one",
)
LOCKED = Failure(
    "source_locked",
    "another program holds the file locked",
    "run again when it is done",
    retryable=True,
)
UNREADABLE = Failure(
    "source_unreadable",
    "the file cannot be read",
    "check the permissions of the file and its folder, and the disk",
)
TEMP_FULL = Failure(
    "source_temp_full",
    "there is no room for SQLite's temporary files",
    "free some disk space, or point SQLITE_TMPDIR at a larger disk",
    retryable=True,
)
OTHER = Failure("source_error", "SQLite refused to read", "mend the file or leave out what cannot be read")

#: by primary result code, https://www.sqlite.org/rescode.html
FAILURES: Mapping[int, Failure] = {
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: NOT_SQLITE,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_CANTOPEN: UNREADABLE,
    sqlite3.SQLITE_IOERR: UNREADABLE,
    sqlite3.SQLITE_PERM: UNREADABLE,
    sqlite3.SQLITE_AUTH: UNREADABLE,
    sqlite3.SQLITE_READONLY: UNREADABLE,
    sqlite3.SQLITE_FULL: TEMP_FULL,
}


def source_failure(failure: Failure, path: str | os.PathLike[str], detail: str = "") -> SourceError:
    """Where, what and what to do.

    >>> print(source_failure(LOCKED, "shop.sqlite"))
    shop.sqlite: another program holds the file locked
      run again when it is done
    """
    what = f"{failure.what}: {detail}" if detail else failure.what
    message = f"{os.fspath(path)}: {what}\n  {failure.advice}"
    return SourceError(message, code=failure.code, retryable=failure.retryable)


def result_code(error: BaseException) -> int | None:
    """SQLite's primary result code, also of an error wrapped by SQLAlchemy."""
    original = error.orig if isinstance(error, DBAPIError) else error
    extended = getattr(original, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def message_of(error: BaseException) -> str:
    """SQLite's own words, without SQLAlchemy's wrapping."""
    return str(error.orig if isinstance(error, DBAPIError) else error)


def is_about_the_file(error: BaseException) -> bool:
    """The file or its disk is at fault, not the statement: nothing else will read either."""
    return result_code(error) in FAILURES


def to_source_error(error: BaseException, path: str | os.PathLike[str]) -> SourceError:
    """Any error that reading raised, as a SourceError; one that is one already passes through."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, OSError):
        return source_failure(UNREADABLE, path, error.strerror or str(error))
    code = result_code(error)
    failure = OTHER if code is None else FAILURES.get(code, OTHER)
    return source_failure(failure, path, message_of(error))


def source_path(connection: Connection) -> str:
    """The file behind a connection, as the user knows it."""
    known = connection.info.get("source_path")
    return str(known or connection.exec_driver_sql("PRAGMA database_list").fetchone()[2])  # type: ignore[index]  # main is always listed
