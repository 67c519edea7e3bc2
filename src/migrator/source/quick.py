"""Rows by APSW, in less than half the time that sqlite3 takes.

sqlite3 hands the interpreter's lock over for each single value (CPython, Modules/_sqlite/cursor.c), and its library
takes a mutex for each. APSW does neither; but it brings a SQLite of its own, built otherwise than the system's. So it
is asked only what every SQLite answers alike, columns of tables in the order of keys, and only of a file that nobody
writes: two libraries in one process do not see each other's locks. Whatever else comes up is left to sqlite3.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from migrator.source.read import ChildRead, Read
from migrator.source.relation import Relation

#: What sqlite3 is to look at: it has the words for what is wrong, and takes text that is not UTF-8.
ERRORS = (apsw.Error, UnicodeDecodeError)

_CACHE_KIB = 16 * 1024
_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOMUTEX


class QuickFile:
    """A file, opened when the first rows are asked of it. For one thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None

    def select(self, sql: str, parameters: tuple[Any, ...]) -> Callable[[int], list[Any]]:
        """A function that gives the next so many rows. It raises one of ERRORS, and so does this."""
        if self._connection is None:
            self._connection = apsw.Connection(f"{Path(self._path).as_uri()}?mode=ro", flags=_FLAGS)
            self._connection.execute("PRAGMA cell_size_check=1")
            self._connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        cursor = self._connection.execute(sql, parameters)
        return lambda count: list(islice(cursor, count))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close(force=True)


def is_plain(read: Read) -> bool:
    """Whether the read is of columns alone, in an order that leaves nothing open."""
    if read.where or read.conditions or not _is_plain(read.relation):
        return False
    return bool(read.relation.rowid or read.relation.key_walks) and all(map(_is_plain_child, read.children))


def _is_plain_child(child: ChildRead) -> bool:
    # Rows that are alike in every column may come in any order, unless they have child rows of their own.
    is_told_apart = child.relation.rowid or child.relation.key_walks or not child.children
    is_ordered = child.order_by is None or child.relation.column(child.order_by) is not None
    return bool(
        not child.where
        and is_ordered
        and is_told_apart
        and _is_plain(child.relation)
        and all(map(_is_plain_child, child.children))
    )


def _is_plain(relation: Relation) -> bool:
    return relation.kind == "table" and not any(column.generated for column in relation.columns)
