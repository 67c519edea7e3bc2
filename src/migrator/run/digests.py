"""Digests of items on disk, so that millions of keys are compared in bounded memory.

A scratch SQLite file: it begins empty, keeps no journal, and is removed when it is closed. What a run proves of its
keys, and what a verification has read, is kept until that ends, so that one that is cut off need not do it again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, groupby, repeat
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from migrator.errors import StoppedError
from migrator.run.records import ItemRecord, Records
from migrator.run.sums import Point, Sums, sums_of
from migrator.source.text import InvalidText, SqliteValue, decode_text

#: Enough for the upper levels of the indexes of some ten million keys.
CACHE_BYTES = 16 * 1024 * 1024

_INT64_MAX = 2**63 - 1

_PRAGMAS = ("PRAGMA temp_store = FILE", f"PRAGMA cache_size = -{CACHE_BYTES // 1024}")
_SCRATCH_PRAGMAS = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")
_KEPT_PRAGMAS = ("PRAGMA journal_mode = DELETE", "PRAGMA synchronous = FULL")
# The source's key values follow as typeless columns k0, k1, …, so that SQLite orders them as it does in the source.
_ITEMS = """CREATE TABLE IF NOT EXISTS items (
    entity INTEGER, segment INTEGER, row_no INTEGER, item INTEGER,
    tbl INTEGER, key TEXT, digest BLOB, expires INTEGER, width INTEGER)"""
_RENDERED = "CREATE TABLE IF NOT EXISTS rendered (segment INTEGER PRIMARY KEY)"
_COLUMNS = ("entity", "segment", "row_no", "item", "tbl", "key", "digest", "expires", "width")


class DigestStore:
    """The rendered items. One thread at a time. One that is `kept` is opened as it was left."""

    def __init__(self, path: str | Path, *, kept: bool = False) -> None:
        self.path = Path(path)
        self._kept = kept
        if not kept:
            self.path.unlink(missing_ok=True)
        with disk_errors(self.path):
            self.connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            self.connection.text_factory = decode_text
            for statement in (*_PRAGMAS, *(_KEPT_PRAGMAS if kept else _SCRATCH_PRAGMAS), _ITEMS, _RENDERED):
                self.connection.execute(statement)
            names = [name for _, name, *_ in self.connection.execute("PRAGMA table_info(items)")]
        self._key_width = len(names) - len(_COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()
        if not self._kept:
            self.path.unlink(missing_ok=True)

    @property
    def key_width(self) -> int:
        """How many values the widest source key has."""
        return self._key_width

    def add(self, records: Records, *, segment: int | None = None) -> None:
        """Add records; `segment` is noted as rendered, whole, together with them."""
        with disk_errors(self.path), transaction(self.connection):
            if segment is not None:
                self.connection.execute("INSERT INTO rendered VALUES (?)", (segment,))
            for shape, rows in _iter_rows(records):
                self._widen(len(shape))
                self.connection.executemany(_insert(shape), rows)

    def keep_only(self, tables: Collection[str]) -> None:
        """Drop what an earlier part worked out from these."""
        with disk_errors(self.path), transaction(self.connection):
            found = self.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            for name in {name for (name,) in found} - set(tables):
                self.connection.execute(f"DROP TABLE {name}")

    def rendered(self) -> set[int]:
        """The numbers of the segments that are here as a whole."""
        with disk_errors(self.path):
            return {number for (number,) in self.connection.execute("SELECT segment FROM rendered")}

    def _widen(self, width: int) -> None:
        for column in key_columns(width)[self._key_width :]:
            self.connection.execute(f"ALTER TABLE items ADD COLUMN {column}")
        self._key_width = max(self._key_width, width)

    def index_keys(self) -> None:
        """Once all is added: an index built at the end is sorted once, and one built on the way thrashes the disk."""
        with disk_errors(self.path):
            self.connection.execute("CREATE INDEX IF NOT EXISTS items_key ON items (tbl, key)")

    def sums_of(self, table: int, point: Point) -> Sums:
        """Of the items of one table."""
        with disk_errors(self.path):
            found = self.connection.execute("SELECT digest FROM items WHERE tbl = ?", (table,))
            return sums_of((digest for (digest,) in found), point)

    def iter_items(self) -> Iterator[tuple[int, str, bytes]]:
        """Table number, key text and digest of each item, table by table."""
        with disk_errors(self.path):
            yield from self.connection.execute("SELECT tbl, key, digest FROM items ORDER BY tbl, rowid")

    def counts(self) -> dict[int, int]:
        """Items of each entity."""
        with disk_errors(self.path):
            return dict(self.connection.execute("SELECT entity, count(*) FROM items GROUP BY entity"))


def is_whole(path: Path) -> bool:
    """Whether a kept store can be gone on with; so can one that is not there yet."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError:
        return False
    return bool(found == "ok")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """A scratch file that cannot be written (a full disk, above all) stops the run."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoppedError(
            f"{path}: the scratch file cannot be used: {error}\n"
            "  Free some space there and in the folder for temporary files (SQLITE_TMPDIR), and run again.",
            code="scratch_file",
            retryable=True,
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write for many statements. A scratch file that failed is thrown away; a kept one rolls back as it closes."""
    connection.execute("BEGIN")
    yield
    connection.execute("COMMIT")


def _iter_rows(records: Records) -> Iterator[tuple[tuple[bool, ...], Iterable[tuple[Any, ...]]]]:
    """The rows of an INSERT by the shape of their source keys, which nearly always is the same for all."""
    *fields, expires, keys = records.columns
    widths, types = set(map(len, keys)), set(map(type, chain.from_iterable(keys)))
    if len(widths) == 1 and InvalidText not in types and set(expires) == {None}:
        (width,) = widths
        yield (False,) * width, zip(*fields, expires, repeat(width, len(keys)), *zip(*keys, strict=True), strict=True)
        return
    for shape, group in groupby(records, lambda record: key_shape(record.source_key)):
        yield shape, map(_values, group)


def key_shape(source_key: Iterable[SqliteValue]) -> tuple[bool, ...]:
    """Which values are text that is not UTF-8."""
    return tuple([isinstance(value, InvalidText) for value in source_key])


def key_marks(shape: Iterable[bool]) -> list[str]:
    """The marks of a source key in an INSERT, by its `key_shape`.

    >>> key_marks((False, True))
    ['?', 'CAST(? AS TEXT)']
    """
    # Such text comes as bytes, and a BLOB would be sorted after all text and equal none.
    return ["CAST(? AS TEXT)" if invalid else "?" for invalid in shape]


def _insert(shape: tuple[bool, ...]) -> str:
    """
    >>> _insert((False, True)).split("width, ")[1]
    'k0, k1) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))'
    """
    names = ", ".join((*_COLUMNS, *key_columns(len(shape))))
    marks = ["?"] * len(_COLUMNS) + key_marks(shape)
    return f"INSERT INTO items ({names}) VALUES ({', '.join(marks)})"


def key_columns(width: int) -> tuple[str, ...]:
    """The columns that hold a source key of so many values.

    >>> key_columns(2)
    ('k0', 'k1')
    """
    return tuple(f"k{n}" for n in range(width))


def _values(record: ItemRecord) -> tuple[Any, ...]:
    *fields, expires, source_key = record
    if expires is not None:
        expires = max(-_INT64_MAX, min(expires, _INT64_MAX))
    return (*fields, expires, len(source_key), *source_key)
