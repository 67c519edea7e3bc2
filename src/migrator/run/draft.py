"""The ledger of a run under way: what each part of a segment gave, before the checkpoint says that the part is done.

A part that is repeated takes the place of what was noted of it, and of what came after: parts of a segment follow each
other, so that only its last one can have been noted and not recorded.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import astuple

from migrator.run.ledger import NAMELESS, LedgerPart, UnitName
from migrator.run.ledgerfile import LEDGER, LedgerFile, Stray
from migrator.run.rejects import sqlite_value_json
from migrator.run.statefile import open_state
from migrator.source.text import SqliteValue

_AT_ONCE = 10_000


class DraftPart(Struct, frozen=True):
    """A part of a segment, as its worker brought it back."""

    unit: UnitName
    segment: int
    done_before: int
    high: tuple[SqliteValue, ...] | None  #: its last row's rowid or key; None where it goes on to the end
    content: LedgerPart


class Draft(LedgerFile):
    """A ledger that is being written."""

    def name_units(self, walks: Mapping[UnitName, str]) -> None:
        """The units of the run, and the columns that their rows are walked by."""
        with self.transaction() as connection:
            rows = [(*name, walk) for name, walk in walks.items()]
            connection.executemany("INSERT OR IGNORE INTO units (entity, source, tbl, walk) VALUES (?, ?, ?, ?)", rows)

    def add(self, parts: Iterable[DraftPart]) -> None:
        numbers = {name: unit.number for name, unit in self.units().items()}
        with self.transaction() as connection:
            for part in parts:
                _remove_from(connection, part.segment, part.done_before)
                _insert(connection, numbers[part.unit], part)

    def parts_of_segment(self, segment: int) -> list[int]:
        return [part for (part,) in self._all("SELECT part FROM parts WHERE segment = ? AND carried IS NULL", segment)]

    def carried(self) -> set[int]:
        """Parts of the last run's ledger that are as they were."""
        return {part for (part,) in self._all("SELECT carried FROM parts WHERE carried IS NOT NULL")}

    # ---- what is missing of the last run

    def clear_missing(self, *, held: bool = True) -> None:
        """All of it, or, without `held`, what is to go."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM missing WHERE held <= ?", (held,))

    def add_missing(self, items: Iterable[Stray]) -> None:
        with self.transaction() as connection:
            rows = map(astuple, items)
            insert = "INSERT OR IGNORE INTO missing (tbl, key, entity, source, name) VALUES (?, ?, ?, ?, ?)"
            connection.executemany(insert, rows)

    def missing_by(self, column: Literal["tbl", "entity"], *, held: bool = False) -> dict[str, int]:
        """How many are missing, by table or entity: those that are to go, or those that are held."""
        return dict(self._all(f"SELECT {column}, count(*) FROM missing WHERE held = ? GROUP BY {column}", held))

    def missing_keys(self, table: str, after: str, count: int) -> list[str]:
        """The keys that are to go, in their order."""
        query = "SELECT key FROM missing WHERE tbl = ? AND key > ? AND NOT held ORDER BY key LIMIT ?"
        return [key for (key,) in self._all(query, table, after, count)]

    def iter_missing(self) -> Iterator[Sequence[Stray]]:
        """What is to go, some thousands at a time."""
        query = "SELECT tbl, key, entity, source, name FROM missing WHERE NOT held"
        items = self._iter(query, Stray)
        while together := list(islice(items, _AT_ONCE)):
            yield together

    def remove_missing(self, table: str, keys: Iterable[str]) -> None:
        with self.transaction() as connection:
            connection.executemany("DELETE FROM missing WHERE tbl = ? AND key = ?", ((table, key) for key in keys))

    def hold_rejected(self) -> None:
        """What a row gave that is rejected now stays, until the row is mended or gone. Of rows without a name, or items
        of which the row is not known, nobody can tell.
        """
        with self.transaction() as connection:
            connection.execute(
                """UPDATE missing SET held = 1 WHERE EXISTS (
                   SELECT 1 FROM rejected r WHERE r.entity = missing.entity AND r.source = missing.source
                   AND (r.name = missing.name OR ? IN (r.name, missing.name)))""",
                (NAMELESS,),
            )

    def hold_all(self) -> None:
        with self.transaction() as connection:
            connection.execute("UPDATE missing SET held = 1")


@contextmanager
def open_draft(path: Path) -> Iterator[Draft]:
    with open_state(path, LEDGER) as connection:
        yield Draft(path, connection)


def _remove_from(connection: sqlite3.Connection, segment: int, done: int) -> None:
    parts = "SELECT part FROM parts WHERE segment = ? AND done >= ?"
    connection.execute(f"DELETE FROM pages WHERE part IN ({parts})", (segment, done))
    connection.execute("DELETE FROM parts WHERE segment = ? AND done >= ?", (segment, done))


def _insert(connection: sqlite3.Connection, unit: int, part: DraftPart) -> None:
    content = part.content
    high = None if part.high is None else json.dumps([sqlite_value_json(value) for value in part.high])
    items = sum(map(len, content.pages))
    cursor = connection.execute(
        "INSERT INTO parts (unit, segment, done, high, items, carried) VALUES (?, ?, ?, ?, ?, ?)",
        (unit, part.segment, part.done_before, high, items, content.carried),
    )
    pages = [(cursor.lastrowid, n, p.rows, p.digests, p.names, p.keys) for n, p in enumerate(content.pages)]
    connection.executemany("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?)", pages)
    rejected = [(part.unit.entity, part.unit.source, name) for name in content.rejected]
    connection.executemany("INSERT OR IGNORE INTO rejected VALUES (?, ?, ?)", rejected)
