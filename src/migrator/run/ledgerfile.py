"""The file of a ledger: what the last run left in the tables, or, of a run under way, what it is about to leave.

The ledger of the last run is read by the workers and does not change while a run is under way. What the run finds goes
into a draft beside its snapshots, part by part, each before the checkpoint records the part. At the end of the run the
draft is taken over in one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from migrator.run.ledger import Page, UnitName
from migrator.run.rejects import sqlite_value_from_json
from migrator.run.statefile import Kind, open_state, state_errors
from migrator.source.text import SqliteValue

T = TypeVar("T")

LEDGER = Kind(
    "ledger",
    1,
    """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tables (name TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE units (
    unit INTEGER PRIMARY KEY, entity TEXT NOT NULL, source TEXT NOT NULL, tbl TEXT NOT NULL, walk TEXT NOT NULL,
    UNIQUE (entity, source, tbl));
CREATE TABLE parts (
    part INTEGER PRIMARY KEY, unit INTEGER NOT NULL, segment INTEGER NOT NULL, done INTEGER NOT NULL,
    high TEXT, items INTEGER NOT NULL, carried INTEGER);
CREATE INDEX parts_in_order ON parts (unit, segment, done);
CREATE TABLE pages (
    part INTEGER NOT NULL, place INTEGER NOT NULL, rows INTEGER NOT NULL,
    digests BLOB NOT NULL, names BLOB NOT NULL, keys BLOB NOT NULL, PRIMARY KEY (part, place));
CREATE TABLE strays (
    tbl TEXT, key TEXT, entity TEXT NOT NULL, source TEXT NOT NULL, name BLOB NOT NULL,
    PRIMARY KEY (tbl, key)) WITHOUT ROWID;
CREATE TABLE rejected (
    entity TEXT, source TEXT, name BLOB, PRIMARY KEY (entity, source, name)) WITHOUT ROWID;
CREATE TABLE missing (
    tbl TEXT, key TEXT, entity TEXT NOT NULL, source TEXT NOT NULL, name BLOB NOT NULL,
    held INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tbl, key)) WITHOUT ROWID;
""",
    looked_through=False,
)


class UnitRow(Struct, frozen=True):
    """A unit by its number in this file."""

    number: int
    walk: str  #: the columns that its rows were walked by


class PartRow(Struct, frozen=True):
    """A range of rows by its number in this file; it begins where the part before it ends."""

    number: int
    segment: int
    high: tuple[SqliteValue, ...] | None  #: its last row's rowid or key; None where it goes on to the end
    items: int
    carried: int | None  #: in a draft: it is the same as this part of the last run's ledger


class Stray(Struct, frozen=True):
    """An item that is in the table, or may be, while no part of the ledger has it."""

    table: str
    key: str
    entity: str
    source: str
    row: bytes


class LedgerFile:
    """A ledger, open."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection

    # ---- reading

    def run_id(self) -> str | None:
        """The run that left it so."""
        found = self._all("SELECT value FROM facts WHERE name = 'run_id'")
        return str(found[0][0]) if found else None

    def identities(self) -> dict[str, str]:
        """What told the tables apart from others of their names."""
        return dict(self._all("SELECT name, identity FROM tables"))

    def units(self) -> dict[UnitName, UnitRow]:
        rows = self._all("SELECT unit, entity, source, tbl, walk FROM units")
        return {UnitName(*name): UnitRow(number, walk) for number, *name, walk in rows}

    def parts(self, unit: UnitRow) -> list[PartRow]:
        """In the order of their rows."""
        query = "SELECT part, segment, high, items, carried FROM parts WHERE unit = ? ORDER BY segment, done"
        rows = self._all(query, unit.number)
        return [PartRow(part, segment, _high(high), items, carried) for part, segment, high, items, carried in rows]

    def iter_page_rows(self, parts: Iterable[int]) -> Iterator[tuple[int, int, int]]:
        """The pages of these parts: part, place in it, and how many rows were read for it."""
        query = "SELECT part, place, rows FROM pages WHERE part = ? ORDER BY place"
        return (page for part in parts for page in self._all(query, part))

    def page(self, part: int, place: int) -> Page:
        (found,) = self._all("SELECT rows, digests, names, keys FROM pages WHERE part = ? AND place = ?", part, place)
        return Page(*found)

    def iter_pages(self, part: int) -> Iterator[Page]:
        """One at a time in memory."""
        return (self.page(part, place) for _, place, _ in self.iter_page_rows([part]))

    def iter_strays(self) -> Iterator[Stray]:
        return self._iter("SELECT tbl, key, entity, source, name FROM strays", Stray)

    def _all(self, query: str, *values: object) -> list[Any]:
        with state_errors(self.path, LEDGER):
            return self.connection.execute(query, values).fetchall()

    def _iter(self, query: str, kind: Callable[..., T], *values: object) -> Iterator[T]:
        with state_errors(self.path, LEDGER):
            yield from (kind(*row) for row in self.connection.execute(query, values))

    # ---- writing

    def distrust(self) -> None:
        """Believe nothing of what the tables hold; the keys stay known."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE pages SET digests = zeroblob(length(digests)) WHERE digests <> zeroblob(length(digests))"
            )

    def doubt(self, keys: Mapping[str, frozenset[bytes]], *, spare: Collection[UnitName] = ()) -> None:
        """Believe nothing of items with these keys, by table: someone else may have written them. But of `spare`."""
        with self.transaction() as connection:
            for part, place, *name in self._all(_PAGES_OF_UNITS):
                unit = UnitName(*name)
                own = keys.get(unit.table)
                page = self.page(part, place).unsure_of(own) if own and unit not in spare else None
                if page is not None:
                    values = (page.digests, part, place)
                    connection.execute("UPDATE pages SET digests = ? WHERE part = ? AND place = ?", values)

    def note_strays(self, strays: Sequence[Stray]) -> None:
        """Any of these may be in the table, as someone else has written it: neither item nor absence is believed."""
        self.doubt(keys_of(strays))
        with self.transaction() as connection:
            rows = [astuple(stray) for stray in strays]
            connection.executemany("INSERT OR IGNORE INTO strays VALUES (?, ?, ?, ?, ?)", rows)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with state_errors(self.path, LEDGER):
            self.connection.execute("BEGIN IMMEDIATE")
            with self.connection:  # commits, or rolls back
                yield self.connection


_PAGES_OF_UNITS = """SELECT part, place, entity, source, tbl
    FROM pages JOIN parts USING (part) JOIN units USING (unit)"""


def keys_of(strays: Iterable[Stray]) -> dict[str, frozenset[bytes]]:
    """Their keys by table."""
    keys: dict[str, set[bytes]] = {}
    for stray in strays:
        keys.setdefault(stray.table, set()).add(stray.key.encode("ascii"))
    return {table: frozenset(own) for table, own in keys.items()}


@contextmanager
def open_ledger(path: Path, *, restart: bool = False) -> Iterator[LedgerFile]:
    """The ledger, made where there is none, as `statefile.open_state` gives it."""
    with state_errors(path, LEDGER):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # keys are what people put into them
    with open_state(path, LEDGER, restart=restart) as connection:
        yield LedgerFile(path, connection)


@contextmanager
def reading_ledger(path: Path) -> Iterator[LedgerFile]:
    """For a worker: nobody writes to it while a run is under way, so that no lock is asked for."""
    with state_errors(path, LEDGER):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    with closing(connection):
        yield LedgerFile(path, connection)


def _high(text: str | None) -> tuple[SqliteValue, ...] | None:
    return None if text is None else tuple(map(sqlite_value_from_json, json.loads(text)))
