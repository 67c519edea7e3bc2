"""A SQLite file opened for reading only, and the lock that keeps its writers waiting meanwhile."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from migrator.source.driver import open_file, time_limit
from migrator.source.failure import DAMAGED, result_code, source_failure
from migrator.source.storage import read_header

_RETRY_S = 0.002
#: Thousands of tables take a second.
SCHEMA_LIMIT_S = 30.0


@contextmanager
def read_lock(real: str, known: str, wait_s: float) -> Iterator[bool]:
    """Nobody writes the file meanwhile, and its schema can be read. False: a hot journal waits to be played back."""
    with closing(open_file(real, "mode=ro")) as connection:
        try:
            _await_schema(connection, real, known, time.monotonic() + wait_s)
            is_held = True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
            is_held = False
        yield is_held


def _await_schema(connection: sqlite3.Connection, real: str, known: str, deadline: float) -> None:
    """SQLite itself asks for a lock ten times a second, which finds no gap between a busy writer's transactions."""
    while True:
        try:
            read_schema(connection, real, known)
            return
        except sqlite3.OperationalError as error:
            if result_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        connection.rollback()
        time.sleep(_RETRY_S)


def read_schema(connection: sqlite3.Connection, path: str, known: str) -> None:
    """Read what every later statement needs, and compare the page count with the size under the same lock.

    The lock lasts as long as the transaction, which is left open.
    """
    connection.text_factory = bytes
    connection.execute("BEGIN")
    try:
        with bounded(connection, known):
            connection.execute("SELECT count(*), sum(length(sql)) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        # What a hot journal is about to restore tells nothing of the size.
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            _check_size(path, known)
        raise
    _check_size(path, known)


@contextmanager
def bounded(connection: sqlite3.Connection, known: str) -> Iterator[None]:
    """For whatever reads the schema first: in a few pages that point at each other it may have no end."""
    with time_limit(connection, SCHEMA_LIMIT_S) as is_over:
        try:
            yield
        except sqlite3.OperationalError as error:
            if is_over():
                detail = f"its schema is not read in {SCHEMA_LIMIT_S:g} s"
                raise source_failure(DAMAGED, known, detail) from error
            raise


def _check_size(path: str, known: str) -> None:
    expected, size_bytes = read_header(path).size_bytes, os.stat(path).st_size
    if expected is not None and expected > size_bytes:
        raise source_failure(DAMAGED, known, f"truncated, {size_bytes} of {expected} bytes are there")
