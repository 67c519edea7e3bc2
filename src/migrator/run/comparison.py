"""What the source gives and what the table holds, compared on disk: two walks along sorted keys.

missing     a row gives it, the table lacks it
expired     the same, but its time to live has passed
different   both have the key, with unequal attributes
extra       the table has it, no row gives it, and it fits a selected entity's key templates
foreign     the table has it, no row gives it, and it fits none: another application's, counted and left alone
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Literal

from msgspec import Struct

from migrator.run.actual import ActualStore
from migrator.run.digests import DigestStore, disk_errors, transaction

Kind = Literal["missing", "extra", "different", "expired"]
KINDS: tuple[Kind, ...] = ("missing", "extra", "different", "expired")

#: (number of a table, key text) -> the number of the selected entity whose key templates the key fits
Fits = Callable[[int, str], int | None]

_TABLES = (
    "CREATE TABLE selected (entity INTEGER PRIMARY KEY)",
    "CREATE TABLE differences (kind TEXT, entity INTEGER, tbl INTEGER, key TEXT, segment INTEGER, row_no INTEGER)",
)
_EXPECTED_SIDE = """
    INSERT INTO differences
    SELECT CASE WHEN a.key IS NOT NULL THEN 'different' WHEN e.expires <= :now THEN 'expired' ELSE 'missing' END,
           e.entity, e.tbl, e.key, e.segment, e.row_no
    FROM {expected} e LEFT JOIN actual a ON a.tbl = e.tbl AND a.key = e.key
    WHERE e.entity IN (SELECT entity FROM selected) AND a.digest IS NOT e.digest"""
_GIVEN_BY_NONE = """
    SELECT a.tbl, a.key FROM actual a LEFT JOIN items e ON e.tbl = a.tbl AND e.key = a.key WHERE e.key IS NULL"""
_EXTRA = "INSERT INTO differences VALUES ('extra', ?, ?, ?, NULL, NULL)"
_SAMPLED = "(SELECT * FROM items WHERE rowid IN (SELECT id FROM sampled))"


class Difference(Struct, frozen=True):
    """One item that is not as it should be. Where its row stands, unless no row gives it."""

    kind: Kind
    entity: int
    table: int
    key: str
    segment: int | None
    row: int | None


class Comparison:
    """The outcome, in the store's file: readable until the store is closed."""

    def __init__(self, store: DigestStore, foreign: int | None) -> None:
        self._store = store
        self.foreign = foreign  #: None where it was not looked for

    def counts(self) -> dict[int, dict[Kind, int]]:
        """Entity number -> how many of each kind; what is not named is none."""
        counts: dict[int, dict[Kind, int]] = {}
        query = "SELECT entity, kind, count(*) FROM differences GROUP BY entity, kind"
        with disk_errors(self._store.path):
            for entity, kind, count in self._store.connection.execute(query):
                counts.setdefault(entity, {})[kind] = count
        return counts

    def iter_differences(self, kind: Kind, limit: int = -1) -> Iterator[Difference]:
        """In the order of the source's segments, so that rendering their rows again reads few segments."""
        query = "SELECT * FROM differences WHERE kind = ? ORDER BY entity, segment, row_no, key LIMIT ?"
        with disk_errors(self._store.path):
            for row in self._store.connection.execute(query, (kind, limit)):
                yield Difference(*row)


def compare(store: DigestStore, actual: ActualStore, selected: Collection[int], now_s: float, fits: Fits) -> Comparison:
    """All that is expected against all that was found. Duplicates are to be out of the store (`Losers`)."""
    _compare_expected(store, actual, selected, now_s, "items")
    foreign = 0
    with disk_errors(store.path), transaction(store.connection):
        for table, key in store.connection.execute(_GIVEN_BY_NONE):
            entity = fits(table, key)
            if entity is None:
                foreign += 1
            else:
                store.connection.execute(_EXTRA, (entity, table, key))
    return Comparison(store, foreign)


def agreed(store: DigestStore) -> Comparison:
    """What comes of sides that are equal."""
    _make_tables(store)
    return Comparison(store, 0)


def compare_sample(store: DigestStore, actual: ActualStore, selected: Collection[int], now_s: float) -> Comparison:
    """What `take_sample` took against what was found of it: nothing is said of what else the table holds."""
    _compare_expected(store, actual, selected, now_s, _SAMPLED)
    return Comparison(store, None)


def _compare_expected(
    store: DigestStore, actual: ActualStore, selected: Collection[int], now_s: float, expected: str
) -> None:
    store.index_keys()
    actual.index_keys()
    connection = store.connection
    _make_tables(store)
    with disk_errors(store.path), transaction(connection):
        connection.executemany("INSERT INTO selected VALUES (?)", ((entity,) for entity in selected))
        connection.execute(_EXPECTED_SIDE.format(expected=expected), {"now": int(now_s)})


def _make_tables(store: DigestStore) -> None:
    with disk_errors(store.path), transaction(store.connection):
        for statement in _TABLES:
            store.connection.execute(statement)


def take_sample(store: DigestStore, selected: Collection[int], size: int) -> dict[int, int]:
    """Choose up to `size` items of each entity at random. Returns how many of each were chosen."""
    connection = store.connection
    with disk_errors(store.path), transaction(connection):
        connection.execute("CREATE TABLE sampled (id INTEGER PRIMARY KEY)")
        chosen = "INSERT INTO sampled SELECT rowid FROM items WHERE entity = ? ORDER BY random() LIMIT ?"
        return {entity: connection.execute(chosen, (entity, size)).rowcount for entity in selected}


def iter_sampled_keys(store: DigestStore) -> Iterator[tuple[int, str]]:
    """Table number and key text of the sample, table by table."""
    with disk_errors(store.path):
        yield from store.connection.execute(
            "SELECT tbl, key FROM items WHERE rowid IN (SELECT id FROM sampled) ORDER BY tbl"
        )
