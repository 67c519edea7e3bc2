"""Connections to a snapshot: read-only, and of raw values."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from migrator.source.driver import open_file
from migrator.source.failure import source_path, to_source_error
from migrator.source.fetch import QUICK_FILE
from migrator.source.quick import QuickFile
from migrator.source.snapshot import Snapshot
from migrator.source.storage import is_writable, neighbours, read_header
from migrator.source.text import decode_text

_CACHE_KIB = 32 * 1024


@contextmanager
def connect(snapshot: Snapshot, *, wait_s: float = 30) -> Iterator[Connection]:
    """A read-only connection that gives raw values, text that is not UTF-8 as InvalidText.

    What SQLite has against a statement, then or while its rows are read, is a SourceError.
    """
    try:
        with (
            _connection(snapshot.read_path, snapshot.path, "mode=ro", wait_s) as connection,
            closing(QuickFile(snapshot.read_path)) as quick,
        ):
            if snapshot.is_copy or not is_writable(snapshot.read_path):
                connection.info[QUICK_FILE] = quick
            yield connection
    except (DBAPIError, sqlite3.Error) as error:
        raise to_source_error(error, snapshot.path) from error


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


#: Opens the file that this thread is about to read.
_opening: ContextVar[Callable[[], sqlite3.Connection]] = ContextVar("opening")
# One for all files: of thousands, each would pay for an engine of its own.
_engine = create_engine("sqlite://", creator=lambda: _opening.get()(), poolclass=NullPool)


@contextmanager
def _connection(read_path: str, known: str, mode: str, wait_s: float) -> Iterator[Connection]:
    def opened() -> sqlite3.Connection:
        raw = open_file(read_path, mode, wait_s=wait_s)
        raw.text_factory = decode_text
        raw.execute("PRAGMA query_only=1")
        raw.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        return raw

    _opening.set(opened)
    try:
        connection = _engine.connect()
    except (DBAPIError, sqlite3.Error) as error:
        raise to_source_error(error, known) from error
    with connection:
        connection.info["source_path"] = known
        yield connection
