"""What a case is: a source made on the spot, its mapping, and the same items built by hand for the peers.

Only the standard library is imported: the peers run in environments that do not know migrator.
`items` is what a good engineer would write in a loop of their own. A test holds it equal to what the mapping gives.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

TABLE = "bench"

Item = dict[str, Any]
ToNumber = Callable[[float], Any]
Rows = Iterator[tuple[object, ...]]


def to_decimal(value: float) -> Decimal:
    """boto3 refuses floats."""
    return Decimal(repr(value))


@dataclass(frozen=True)
class Case:
    """One shape of data. `fill` gives the rows of each table, `items` the items that those rows become."""

    name: str
    what: str
    schema: str
    fill: Callable[[int], Mapping[str, Rows]]
    entities: str  #: of the mapping
    items: Callable[[sqlite3.Connection, ToNumber], Iterator[Item]]

    @property
    def mapping(self) -> str:
        return f"version: 1\ntable: {{name: {TABLE}, partition_key: PK, sort_key: SK}}\nentities:\n{self.entities}"

    def make_source(self, path: Path, rows: int) -> None:
        connection = sqlite3.connect(path)
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {self.schema}")
        for table, filling in self.fill(rows).items():
            width = len(connection.execute(f"SELECT * FROM {table}").description)
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", filling)
        connection.commit()
        connection.close()


def iter_items(case: Case, path: str, to_number: ToNumber = to_decimal) -> Iterator[Item]:
    """The case's items, read from a source file."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    yield from case.items(connection, to_number)


def flat_items(
    query: str, key: Callable[[Item], tuple[str, str]], dropped: Iterable[str] = ()
) -> Callable[[sqlite3.Connection, ToNumber], Iterator[Item]]:
    """Every column under its own name, NULLs left out."""

    def items(connection: sqlite3.Connection, to_number: ToNumber) -> Iterator[Item]:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description]
        for values in cursor:
            row = {
                name: to_number(value) if isinstance(value, float) else value
                for name, value in zip(names, values, strict=True)
                if value is not None
            }
            partition, sort = key(row)
            for name in dropped:
                del row[name]
            yield {"PK": partition, "SK": sort, **row}

    return items
