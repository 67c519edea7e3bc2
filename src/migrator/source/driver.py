"""How sqlite3 opens a file whose content is not to be trusted.

SQLite quotes names of the file in its messages. Where one is not UTF-8, sqlite3 fails to decode the message and raises
that instead of the error, which no handler of SQLite's errors meets (CPython, Modules/_sqlite/util.c).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

#: prepare.c, corruptSchema: with the name of what is malformed
_MALFORMED = b"malformed database schema"

_PROGRESS_STEPS = 100_000


def open_file(path: str, mode: str, *, wait_s: float = 0) -> sqlite3.Connection:
    """`mode` is the query of a file: URI. Nothing is read of the file yet."""
    # as_uri escapes ?, #, % and everything beyond ASCII.
    uri = f"{Path(path).as_uri()}?{mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False, factory=_Connection
    )
    # security.html, "Untrusted SQLite Database Files". It also asks for trusted_schema=0, which takes the functions of
    # JSON away from generated columns.
    connection.execute("PRAGMA cell_size_check=1")
    return connection


@contextmanager
def time_limit(connection: sqlite3.Connection, limit_s: float | None) -> Iterator[Callable[[], bool]]:
    """Interrupt the statement when time is up; tells whether it is."""
    deadline = None if limit_s is None else time.monotonic() + limit_s

    def is_over() -> bool:
        return deadline is not None and time.monotonic() > deadline

    if deadline is not None:
        connection.set_progress_handler(is_over, _PROGRESS_STEPS)
    try:
        yield is_over
    finally:
        connection.set_progress_handler(None, 0)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        return self.cursor().execute(sql, parameters)  # sqlite3's own does not come by the cursor's


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:
            raise _legible(error) from error


def _legible(undecoded: UnicodeDecodeError) -> sqlite3.DatabaseError:
    """SQLite's error, its message escaped; of its code it is only known whether the file is at fault."""
    error = sqlite3.DatabaseError(undecoded.object.decode(errors="backslashreplace"))
    is_damage = undecoded.object.startswith(_MALFORMED)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT if is_damage else sqlite3.SQLITE_ERROR
    return error
