"""Both answers to each question, side by side on disk: what is expected of the source, what the table answered.

They are sets of keys in the file of the rendered items (`run.digests`), so a question may match a whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Literal

from msgspec import Struct, field

from migrator.run.digests import DigestStore, disk_errors, key_columns, key_marks, key_shape, transaction
from migrator.source.text import SqliteValue

#: missing: from the answer; unexpected: in it, though no row says so
Fault = Literal["missing", "unexpected"]
FAULTS: tuple[Fault, ...] = ("missing", "unexpected")

_PICKED_AT_ONCE = 1_000

_TABLES = (
    "CREATE TABLE expected (question INTEGER, key TEXT, expires INTEGER)",
    "CREATE TABLE answered (question INTEGER, key TEXT, fits INTEGER)",
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS expected_key ON expected (question, key)",
    "CREATE INDEX IF NOT EXISTS answered_key ON answered (question, key)",
)
_REPEATS = """CREATE TABLE IF NOT EXISTS repeats AS SELECT * FROM items
    WHERE (entity, segment, row_no, item) IN (SELECT entity, segment, row_no, item FROM skipped)"""
#: The columns of the picked rows' keys and the comparisons with those of items are put in.
_EXPECT_ROWS = """
    INSERT INTO expected SELECT :question, i.key, i.expires FROM picked p CROSS JOIN {items} i
    ON i.entity = :entity AND {same} WHERE i.segment BETWEEN :first AND :last AND i.item IN ({positions})"""
_EXPECT_ITEM = """
    INSERT INTO expected SELECT ?, key, expires FROM items WHERE tbl = ? AND key = ? AND digest = ?"""
_BOTH = """
    SELECT e.key, coalesce(e.expires <= :now, 0) AS past,
           EXISTS (SELECT 1 FROM answered a WHERE a.question = :question AND a.key = e.key) AS present
    FROM (SELECT DISTINCT key, expires FROM expected WHERE question = :question) e"""
_SURPLUS = """
    SELECT a.key, i.entity, a.fits
    FROM (SELECT DISTINCT key, fits FROM answered WHERE question = :question) a
    LEFT JOIN items i ON i.tbl = :table AND i.key = a.key
    WHERE NOT EXISTS (SELECT 1 FROM expected e WHERE e.question = :question AND e.key = a.key)"""
# What no row gives but fits the entity may only be its own; what another entity gave is that one's.
_UNEXPECTED = "entity IS :entity OR (entity IS NULL AND fits)"

_FAULTY: Mapping[Fault, str] = {
    "missing": f"SELECT key FROM ({_BOTH}) WHERE NOT present AND NOT past ORDER BY key LIMIT :most",
    "unexpected": f"SELECT key FROM ({_SURPLUS}) WHERE {_UNEXPECTED} ORDER BY key LIMIT :most",
}


class Tally(Struct, frozen=True):
    """The two answers to one question, counted."""

    expected: int = 0  #: items
    due: int = 0  #: of these, not past their time to live
    matched: int = 0  #: expected and answered
    missing: int = 0  #: due and not answered
    expired: int = 0  #: past their time to live and not answered
    unexpected: int = 0
    others: Mapping[int, int] = field(default_factory=dict)  #: answered, given by other entities: number -> items
    foreign: int = 0  #: answered, given by nobody, and not of this entity's shape

    def wanted(self, limit: int | None) -> int:
        """How many items the answer should have."""
        return self.expected if limit is None else min(limit, self.expected)

    def faults(self, limit: int | None) -> Mapping[Fault, int]:
        """How many items are wrong. Of more than the limit any so many will do: it is SQL that can name the first."""
        any_will_do = limit is not None and self.expected > limit
        missing = max(0, min(limit or 0, self.due) - self.matched) if any_will_do else self.missing
        return {"missing": missing, "unexpected": self.unexpected}

    def agrees(self, limit: int | None) -> bool:
        return not any(self.faults(limit).values())


class AnswerStore:
    """The questions' answers. Repeated items are to be kept (`keep_repeats`) before the store is rid of them."""

    def __init__(self, store: DigestStore) -> None:
        self._store = store
        self._connection = store.connection
        store.index_keys()
        with disk_errors(store.path):
            for statement in _TABLES:
                self._connection.execute(statement)

    def expect_rows(
        self,
        question: int,
        entity: int,
        segments: tuple[int, int],
        positions: Sequence[int],
        keys: Iterable[tuple[SqliteValue, ...]],
    ) -> None:
        """Expect what the rows with these source keys gave, in segments from the first to the last."""
        width = self._pick(keys)
        if not 0 < width <= self._store.key_width:
            return  # no row was picked, or no item has a source key of that many values
        with disk_errors(self._store.path), transaction(self._connection):
            same = " AND ".join(f"i.{column} IS p.{column}" for column in key_columns(width))
            for items in ("items", "repeats") if self._has_repeats() else ("items",):
                columns = ", ".join(("entity", *key_columns(width)))
                self._connection.execute(f"CREATE INDEX IF NOT EXISTS {items}_row_{width} ON {items} ({columns})")
                self._connection.execute(
                    _EXPECT_ROWS.format(items=items, same=same, positions=", ".join(map(str, positions))),
                    {"question": question, "entity": entity, "first": segments[0], "last": segments[1]},
                )

    def expect_items(self, matches: Iterable[tuple[int, int, str, bytes]]) -> None:
        """Expect items (question, table, key, digest), as far as the tables are to hold them."""
        with disk_errors(self._store.path), transaction(self._connection):
            self._connection.executemany(_EXPECT_ITEM, matches)

    def answer(self, question: int, keys: Iterable[tuple[str, bool]]) -> None:
        """Add to the table's answer: keys, and whether they are of the entity's shape."""
        with disk_errors(self._store.path), transaction(self._connection):
            self._connection.executemany("INSERT INTO answered VALUES (?, ?, ?)", ((question, *key) for key in keys))

    def forget_answer(self, question: int) -> None:
        with disk_errors(self._store.path):
            self._connection.execute("DELETE FROM answered WHERE question = ?", (question,))

    def tally(self, question: int, entity: int, table: int, now_s: int) -> Tally:
        values = {"question": question, "entity": entity, "table": table, "now": now_s}
        both = f"""SELECT count(*), total(NOT past), total(present), total(NOT present AND NOT past),
                   total(NOT present AND past) FROM ({_BOTH})"""
        surplus = f"SELECT entity, {_UNEXPECTED} AS wrong, count(*) FROM ({_SURPLUS}) GROUP BY entity, wrong"
        with disk_errors(self._store.path):
            for statement in _INDEXES:
                self._connection.execute(statement)
            expected, due, matched, missing, expired = map(int, self._connection.execute(both, values).fetchone())
            rest = self._connection.execute(surplus, values).fetchall()
        unexpected = sum(number for _, wrong, number in rest if wrong)
        others = {given: number for given, wrong, number in rest if not wrong and given is not None}
        foreign = sum(number for given, wrong, number in rest if not wrong and given is None)
        return Tally(expected, due, matched, missing, expired, unexpected, others, foreign)

    def iter_faults(self, fault: Fault, question: int, entity: int, table: int, now_s: int, most: int) -> Iterator[str]:
        """The first keys of that fault."""
        values = {"question": question, "entity": entity, "table": table, "now": now_s, "most": most}
        with disk_errors(self._store.path):
            for (key,) in self._connection.execute(_FAULTY[fault], values):
                yield key

    def _pick(self, keys: Iterable[tuple[SqliteValue, ...]]) -> int:
        """Write source keys down for a join. Gives their width, 0 where there are none."""
        width, source = 0, iter(keys)
        # Drawn outside of the transaction: an error of the source is none of the scratch file.
        while chunk := list(islice(source, _PICKED_AT_ONCE)):
            with disk_errors(self._store.path), transaction(self._connection):
                if not width:
                    width = len(chunk[0])
                    self._connection.execute("DROP TABLE IF EXISTS picked")
                    self._connection.execute(f"CREATE TABLE picked ({', '.join(key_columns(width))})")
                for shape, group in groupby(chunk, key_shape):
                    self._connection.executemany(f"INSERT INTO picked VALUES ({', '.join(key_marks(shape))})", group)
        return width

    def _has_repeats(self) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE name = 'repeats'"
        return self._connection.execute(query).fetchone() is not None


def keep_repeats(store: DigestStore) -> None:
    """Remember the items that an earlier row gave alike: SQL may name the later row. To be asked of found losers."""
    with disk_errors(store.path):
        store.connection.execute(_REPEATS)
