"""SQLite files that something has happened to, drawn from seeds: bytes lost, flipped, moved, or from another time.

A mutation knows the file format (https://www.sqlite.org/fileformat2.html) well enough to hit what matters; what
becomes of the file is not known beforehand, and SQLite itself is asked (`verdict_of`).
"""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from writers import SPILL, leave_behind

PAGE = 512
#: Ends of the names of the files that are one database.
PARTS = ("", "-wal", "-journal")
Files = dict[str, bytearray]  #: by the end of the name

# ---- whole files

_SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL, score REAL, photo BLOB);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id), placed TEXT, total NUMERIC);
CREATE TABLE lines (shop TEXT, number INTEGER, what, PRIMARY KEY (shop, number)) WITHOUT ROWID;
CREATE TABLE doubled (a INTEGER CHECK (a >= 0), b AS (a * 2));
CREATE TABLE old (k TEXT PRIMARY KEY, pad BLOB);
CREATE INDEX orders_by_customer ON orders (customer, placed);
CREATE INDEX early_orders ON orders (total) WHERE total < 50;
CREATE VIEW spent AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
"""
_NUMBERS = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {})"
_ROWS = f"""
{_NUMBERS.format(60)} INSERT INTO customers
    SELECT i, 'person' || i || '@example.org', 'Zoë ' || i, i / 8.0, zeroblob(i * 37 % 900) FROM n;
{_NUMBERS.format(120)} INSERT INTO orders SELECT i, i % 60 + 1, date('2024-01-01', i || ' days'), i * 3 % 100 FROM n;
{_NUMBERS.format(60)} INSERT INTO lines SELECT 'shop ' || (i % 4), i, CASE i % 3 WHEN 0 THEN i ELSE 'x' || i END FROM n;
{_NUMBERS.format(30)} INSERT INTO doubled (a) SELECT i FROM n;
{_NUMBERS.format(40)} INSERT INTO old SELECT 'key ' || i, zeroblob(700) FROM n;
"""
_CHANGES = "DELETE FROM old WHERE rowid % 3; UPDATE orders SET total = total + 1; DELETE FROM customers WHERE id > 50;"
_SEARCH = "CREATE VIRTUAL TABLE notes USING fts5 (body); INSERT INTO notes VALUES ('one two'), ('two three');"


@dataclass(frozen=True)
class Whole:
    """A file before anything happens to it. `earlier` is what its pages were some changes ago."""

    files: Files
    earlier: bytes


def _executed(path: Path, *scripts: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for script in scripts:
            connection.executescript(script)


def _shop(before: str = "", more: str = "") -> Callable[[Path], bytes]:
    def make(path: Path) -> bytes:
        _executed(path, f"PRAGMA page_size = {PAGE}; {before}", _SHOP, _ROWS, more)
        earlier = path.read_bytes()
        _executed(path, _CHANGES)
        return earlier

    return make


def _left_with_a_wal(path: Path) -> bytes:
    earlier = _shop()(path)
    leave_behind(path, f"c.executescript('PRAGMA journal_mode = WAL; {_CHANGES}')")
    return earlier


def _left_with_a_journal(path: Path) -> bytes:
    earlier = _shop()(path)
    leave_behind(path, f"{SPILL}c.executescript('BEGIN; UPDATE customers SET name = name || 1; {_CHANGES}')")
    return earlier


MAKERS: Mapping[str, Callable[[Path], bytes]] = {
    "rollback journal": _shop(),
    "UTF-16": _shop("PRAGMA encoding = 'UTF-16le';"),
    "auto-vacuum": _shop("PRAGMA auto_vacuum = INCREMENTAL;"),
    "full-text search": _shop(more=_SEARCH),
    "WAL": _left_with_a_wal,
    "hot journal": _left_with_a_journal,
}


def make_whole(name: str, folder: Path) -> Whole:
    path = folder / "shop.sqlite"
    earlier = MAKERS[name](path)
    parts = {end: Path(f"{path}{end}") for end in PARTS}
    return Whole({end: bytearray(part.read_bytes()) for end, part in parts.items() if part.exists()}, earlier)


# ---- what happens to them


@dataclass
class Victim:
    """The files under mutation, and the dice."""

    whole: Whole
    dice: random.Random
    files: Files = field(init=False)

    def __post_init__(self) -> None:
        self.files = {end: bytearray(content) for end, content in self.whole.files.items()}

    @property
    def main(self) -> bytearray:
        return self.files[""]

    def page(self) -> int:
        """Where some page begins."""
        return self.dice.randrange(max(1, len(self.main) // PAGE)) * PAGE

    def some_bytes(self, content: bytearray, first: int, end: int, most: int = 4) -> None:
        """Set up to so many bytes of a range to anything."""
        for _ in range(self.dice.randint(1, most)):
            if (place := self.dice.randrange(first, end)) < len(content):
                content[place] = self.dice.choice((0, 1, 0x7F, 0x80, 0xFF, self.dice.randrange(256)))

    def beside(self) -> bytearray:
        """The WAL or the journal, else the file itself."""
        return self.files[self.dice.choice([end for end in self.files if end] or [""])]


def _cut_off(victim: Victim) -> None:
    del victim.main[victim.dice.randrange(len(victim.main)) :]


def _cut_off_beside(victim: Victim) -> None:
    content = victim.beside()
    del content[victim.dice.randrange(len(content)) :]


def _lose_a_part(victim: Victim) -> None:
    for end in [end for end in victim.files if end][:1]:
        del victim.files[end]


def _headers(first: int, end: int) -> Callable[[Victim], None]:
    return lambda victim: victim.some_bytes(victim.main, first, end)


def _page_header(victim: Victim) -> None:
    page = victim.page()
    start = page + 100 * (page == 0)
    victim.some_bytes(victim.main, start, start + 12)


def _cell_pointers(victim: Victim) -> None:
    page = victim.page()
    start = page + 100 * (page == 0) + 8
    victim.some_bytes(victim.main, start, start + 40)


def _another_page_number(victim: Victim) -> None:
    """Four bytes at a page's start are its overflow chain's or the freelist's next page; of an interior page, cells."""
    place = victim.page() + victim.dice.choice((0, 0, 4, 8, 12, 20))
    victim.main[place : place + 4] = victim.dice.randrange(len(victim.main) // PAGE + 2).to_bytes(4, "big")


def _schema_text(victim: Victim) -> None:
    """One byte of a CREATE statement; in UTF-16 the zero between two letters stays."""
    found = [match.start() for match in re.finditer(rb"C\0?R\0?E\0?A\0?T\0?E", victim.main)]
    if found:
        place = victim.dice.choice(found) + victim.dice.randrange(80)
        victim.main[min(place, len(victim.main) - 1)] = victim.dice.choice(b"()'\",;-xX0 \0\xff")


def _zeroed(victim: Victim) -> None:
    page = victim.page()
    victim.main[page : page + PAGE] = bytes(PAGE)


def _swapped(victim: Victim) -> None:
    a, b = victim.page(), victim.page()
    one, other = victim.main[a : a + PAGE], victim.main[b : b + PAGE]
    victim.main[a : a + PAGE], victim.main[b : b + PAGE] = other, one


def _twice(victim: Victim) -> None:
    a, b = victim.page(), victim.page()
    victim.main[a : a + PAGE] = victim.main[b : b + PAGE]


def _an_earlier_page(victim: Victim) -> None:
    """A write that never reached the disk: an index without its last rows, a table without its last changes."""
    page = victim.page()
    victim.main[page : page + PAGE] = victim.whole.earlier[page : page + PAGE]


MUTATIONS: Mapping[str, Callable[[Victim], None]] = {
    "truncated": _cut_off,
    "neighbour torn": _cut_off_beside,
    "neighbour lost": _lose_a_part,
    "neighbour's bytes": lambda victim: victim.some_bytes(victim.beside(), 0, len(victim.beside()), 8),
    "bytes": lambda victim: victim.some_bytes(victim.main, 0, len(victim.main), 8),
    "file header": _headers(0, 100),
    "page size": _headers(16, 18),
    "encoding": _headers(56, 60),
    "freelist": _headers(32, 40),
    "page header": _page_header,
    "cell pointers": _cell_pointers,
    "page numbers": _another_page_number,
    "schema": _schema_text,
    "zeroed page": _zeroed,
    "swapped pages": _swapped,
    "doubled page": _twice,
    "stale page": _an_earlier_page,
}


def mutate(whole: Whole, seed: int) -> tuple[str, Files]:
    """What was done, and what is left; mostly one thing, sometimes three."""
    dice = random.Random(seed)
    victim = Victim(whole, dice)
    done = dice.choices(list(MUTATIONS), k=dice.choice((1, 1, 1, 2, 3)))
    for name in done:
        if len(victim.main) > PAGE:
            MUTATIONS[name](victim)
    return ", ".join(done), victim.files


# ---- what SQLite says of them


#: pragma.c: rows that break what their table asks for, which damages nothing.
_BROKEN_RULES = re.compile(r"(?:NULL value|\S+ value|CHECK constraint failed) in .*", re.DOTALL)
_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


@dataclass(frozen=True)
class Verdict:
    """The rows of each table that can be named, as SQLite counts them, and the schema's text."""

    rows: Mapping[str, int]
    schema: tuple[str, ...]


def verdict_of(files: Files) -> Verdict | None:
    """None where SQLite itself calls the file damaged, or no database."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.sqlite"
        write(files, path)
        try:
            return _verdict(path)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return None


def _verdict(path: Path) -> Verdict | None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.text_factory = lambda raw: raw.decode(errors="backslashreplace")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # SQLite reads what the last page lacks as zeros, and sees no harm in it.
        size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        if connection.execute(size).fetchone()[0] > path.stat().st_size:
            return None
        messages = [text for (text,) in connection.execute("PRAGMA integrity_check(1000)")]
        if not all(text == "ok" or _BROKEN_RULES.fullmatch(text) for text in messages):
            return None
        tables = connection.execute(_TABLES).fetchall()
        rows = {name: _count(connection, name) for name, _ in tables}
        return Verdict({name: n for name, n in rows.items() if n is not None}, tuple(sql for _, sql in tables))


def _count(connection: sqlite3.Connection, name: str) -> int | None:
    quoted = '"' + name.replace('"', '""') + '"'
    try:
        return int(connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0])
    except sqlite3.OperationalError:
        return None  # its own schema is at odds with it, or it has no name that SQL can say


def write(files: Files, path: Path) -> None:
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    for end, content in files.items():
        Path(f"{path}{end}").write_bytes(content)


# ---- a file that nobody's disk would make


_ENDLESS_PAGE, _LEVELS, _CELLS = 65536, 18, 5000


def endless_schema() -> bytes:
    """A schema's tree of eighteen pages, all of whose five thousand children are the next page: 5000^17 rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.sqlite"
        _executed(path, f"PRAGMA page_size = {_ENDLESS_PAGE}; CREATE TABLE t (a)")
        header = path.read_bytes()[:28] + (_LEVELS + 1).to_bytes(4, "big") + path.read_bytes()[32:100]
    pages = [_interior(child, 100 if child == 2 else 0) for child in range(2, _LEVELS + 2)]
    pages[0][:100] = header
    return b"".join([*pages, _leaf()])


def _interior(child: int, start: int) -> bytearray:
    page, end = bytearray(_ENDLESS_PAGE), _ENDLESS_PAGE
    for place in range(_CELLS):
        key = place + 1
        varint = bytes([key]) if key < 128 else bytes([0x80 | key >> 7, key & 127])
        cell = child.to_bytes(4, "big") + varint
        end -= len(cell)
        page[end : end + len(cell)] = cell
        page[start + 12 + 2 * place : start + 14 + 2 * place] = end.to_bytes(2, "big")
    page[start : start + 12] = struct.pack(">BHHHBI", 5, 0, _CELLS, end, 0, child)
    return page


def _leaf() -> bytearray:
    """One row of sqlite_master; IF NOT EXISTS makes reading it again no error."""
    texts = (b"table", b"t", b"t", b"CREATE TABLE IF NOT EXISTS t (a)")
    kinds = [13 + 2 * len(text) for text in texts]
    record = bytes([6, *kinds[:3], 1, kinds[3]]) + b"".join(texts[:3]) + b"\x02" + texts[3]
    cell = bytes([len(record), 1]) + record
    page, start = bytearray(_ENDLESS_PAGE), _ENDLESS_PAGE - len(cell)
    page[start:] = cell
    page[:10] = struct.pack(">BHHHBH", 13, 0, 1, start, 0, start)
    return page
