"""One key from two rows: which row keeps it, found on disk in bounded memory.

DynamoDB lets the last put win in silence. Here the first row in order keeps the key, whatever order the
segments are written in. Only rows that share a key with another item are walked, so most files cost one index.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby

from msgspec import Struct

from migrator.run.digests import DigestStore, disk_errors, key_columns, transaction
from migrator.run.records import UNIQUE_RULES, Labels

DUPLICATE_KEY = "duplicate_key"

_TABLES = (
    # Keys that more than one item has.
    "CREATE TABLE contested (tbl INTEGER, key TEXT, PRIMARY KEY (tbl, key)) WITHOUT ROWID",
    # Contested keys that a row has taken; `first` is the rowid of its item.
    "CREATE TABLE held (tbl INTEGER, key TEXT, digest BLOB, first INTEGER, PRIMARY KEY (tbl, key)) WITHOUT ROWID",
    """CREATE TABLE rejected (entity INTEGER, segment INTEGER, row_no INTEGER, first INTEGER, own INTEGER,
       PRIMARY KEY (entity, segment, row_no)) WITHOUT ROWID""",
    """CREATE TABLE skipped (entity INTEGER, segment INTEGER, row_no INTEGER, item INTEGER,
       PRIMARY KEY (entity, segment, row_no, item)) WITHOUT ROWID""",
)
_CONTESTED = "INSERT INTO contested SELECT tbl, key FROM items GROUP BY tbl, key HAVING count(*) > 1"


class Loser(Struct, frozen=True):
    """A row that comes too late with a key: rejected whole, or without the items an earlier row gave alike."""

    reject: tuple[str, str, str | None] | None = None  #: code, detail and column
    skipped: frozenset[int] = frozenset()  #: positions in the row of items that are given already


class Losers:
    """The rows that lost, in the store's file: readable until the store is closed."""

    def __init__(self, store: DigestStore, labels: Labels) -> None:
        self._store = store
        self._labels = labels

    def of_segment(self, entity: int, segment: int) -> dict[int, Loser]:
        """Position of the row in the segment -> what becomes of it. Rows that are not named keep everything."""
        with disk_errors(self._store.path):
            losers = {row: Loser(reject=reject) for row, reject in self._rejected(entity, segment)}
            losers.update((row, Loser(skipped=items)) for row, items in self._skipped(entity, segment))
        return losers

    def counts(self) -> tuple[int, int]:
        """Rows rejected, items skipped."""
        with disk_errors(self._store.path):
            query = "SELECT (SELECT count(*) FROM rejected), (SELECT count(*) FROM skipped)"
            rejected, skipped = self._store.connection.execute(query).fetchone()
        return rejected, skipped

    def remove_from_store(self) -> None:
        """Leave in the store what the table is to hold: each key once."""
        with disk_errors(self._store.path), transaction(self._store.connection):
            for condition in (
                f"tbl = {UNIQUE_RULES}",
                "(entity, segment, row_no) IN (SELECT entity, segment, row_no FROM rejected)",
                "(entity, segment, row_no, item) IN (SELECT entity, segment, row_no, item FROM skipped)",
            ):
                self._store.connection.execute(f"DELETE FROM items WHERE {condition}")

    def _rejected(self, entity: int, segment: int) -> Iterator[tuple[int, tuple[str, str, str | None]]]:
        columns = "".join(f", i.{column}" for column in key_columns(self._store.key_width))
        rows = self._store.connection.execute(
            f"""SELECT r.row_no, r.own, i.tbl, i.key, i.entity, i.segment, i.width{columns}
                FROM rejected r JOIN items i ON i.rowid = r.first WHERE r.entity = ? AND r.segment = ?""",
            (entity, segment),
        )
        for row_no, own, table, key, first, segment_of_first, width, *values in rows:
            giver = "another item of this row" if own else self._labels.row(first, values[:width], segment_of_first)
            if table == UNIQUE_RULES:
                column, value, *_ = json.loads(key)
                yield row_no, ("unique", f"{value} is already in {giver}", column)
            else:
                given = f"{self._labels.key(table, key)} is already given, with other attributes, by {giver}"
                yield row_no, (DUPLICATE_KEY, given, None)

    def _skipped(self, entity: int, segment: int) -> Iterator[tuple[int, frozenset[int]]]:
        rows = self._store.connection.execute(
            "SELECT row_no, item FROM skipped WHERE entity = ? AND segment = ? ORDER BY row_no", (entity, segment)
        )
        for row_no, group in groupby(rows, lambda row: row[0]):
            yield row_no, frozenset(item for _, item in group)


def find_losers(store: DigestStore, labels: Labels | None = None) -> Losers:
    """Walk the contested rows in order: a row is kept whole or rejected whole, and a rejected row holds no key."""
    store.index_keys()
    connection = store.connection
    with disk_errors(store.path), transaction(connection):
        for statement in (*_TABLES, _CONTESTED):
            connection.execute(statement)
        walk = _Walk(connection)
        for row, items in groupby(_iter_contested(store), lambda item: item.row):
            walk.judge(row, items)
    return Losers(store, labels or Labels())


def found_losers(store: DigestStore, labels: Labels) -> Losers | None:
    """The losers of a kept store, where an earlier part of the run found them."""
    # All tables of the walk come in one transaction.
    with disk_errors(store.path):
        walked = store.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rejected'").fetchone()
    return Losers(store, labels) if walked else None


class _Contested(Struct, frozen=True):
    """An item whose key is not its alone."""

    row: tuple[int, int, int]  #: entity, segment, position in the segment
    item: int
    rowid: int
    key: tuple[int, str]
    digest: bytes


def _iter_contested(store: DigestStore) -> Iterator[_Contested]:
    order = ", ".join(("entity", *key_columns(store.key_width), "segment", "row_no", "item"))
    rows = store.connection.execute(
        f"""SELECT entity, segment, row_no, item, items.rowid, tbl, key, digest
            FROM contested JOIN items USING (tbl, key) ORDER BY {order}"""
    )
    for entity, segment, row_no, item, rowid, table, key, digest in rows:
        yield _Contested((entity, segment, row_no), item, rowid, (table, key), digest)


class _Walk:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def judge(self, row: tuple[int, int, int], items: Iterable[_Contested]) -> None:
        taken: dict[tuple[int, str], tuple[bytes, int]] = {}
        skipped: list[int] = []
        for item in items:
            held = self._held(item.key)
            first = held or taken.setdefault(item.key, (item.digest, item.rowid))
            if first[0] != item.digest:
                self._reject(row, first[1], own=held is None)
                return
            if first[1] != item.rowid:
                skipped.append(item.item)
        self._keep(row, taken, skipped)

    def _held(self, key: tuple[int, str]) -> tuple[bytes, int] | None:
        found: tuple[bytes, int] | None = self._connection.execute(
            "SELECT digest, first FROM held WHERE tbl = ? AND key = ?", key
        ).fetchone()
        return found

    def _reject(self, row: tuple[int, int, int], first: int, *, own: bool) -> None:
        self._connection.execute("INSERT INTO rejected VALUES (?, ?, ?, ?, ?)", (*row, first, own))

    def _keep(
        self, row: tuple[int, int, int], taken: dict[tuple[int, str], tuple[bytes, int]], skipped: list[int]
    ) -> None:
        self._connection.executemany(
            "INSERT INTO held VALUES (?, ?, ?, ?)", ((*key, digest, first) for key, (digest, first) in taken.items())
        )
        self._connection.executemany("INSERT INTO skipped VALUES (?, ?, ?, ?)", ((*row, item) for item in skipped))
