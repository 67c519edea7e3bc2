"""Time and peak memory of a profile: `python benchmarks/profile.py [ROWS] [--exact]`.

The table has ten columns of the kinds that cost differently: few values and many, text, numbers, no two alike.
"""

from __future__ import annotations

import random
import resource
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from migrator.advise.analysis import analyze
from migrator.advise.formats import format_of
from migrator.source.connection import connect
from migrator.source.profile import profile_table
from migrator.source.reflection import reflect_schema
from migrator.source.snapshot import take_snapshot

TABLE = (
    "CREATE TABLE visits (id INTEGER PRIMARY KEY, name TEXT, email TEXT, city TEXT, created TEXT, seen INTEGER,"
    " price REAL, flag BOOLEAN, token TEXT, note TEXT)"
)


def iter_rows(rows: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)
    for n in range(rows):
        yield (
            n,
            f"Name {n % 50_000}",
            f"u{n}@example.org",
            f"city {int(chance.paretovariate(1)) % 500}",
            f"2024-{n % 12 + 1:02}-{n % 28 + 1:02}T10:00:00Z",
            1_700_000_000 + n,
            round(chance.random() * 100, 2),
            n % 2,
            str(uuid.UUID(int=chance.getrandbits(128))),
            "x" * chance.randrange(200),
        )


def make_source(path: Path, rows: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(TABLE)
    connection.executemany(f"INSERT INTO visits VALUES ({', '.join('?' * 10)})", iter_rows(rows))
    connection.commit()
    connection.close()


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def measured(what: str) -> Iterator[None]:
    started, worked = time.monotonic(), time.process_time()
    yield
    seconds, cpu = time.monotonic() - started, time.process_time() - worked
    print(f"{what}: {seconds:.0f} s, {cpu:.0f} of them its own, peak {peak_mib():.0f} MiB")


def main(rows: int, exact: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "visits.sqlite"
        make_source(path, rows)
        with measured("profile"), connect(take_snapshot(path)) as connection:
            (table,) = reflect_schema(connection, str(path)).tables
            profile_table(connection, table, format_of=format_of, exact=exact)
        with measured("analyze"):
            analyze(path, exact=exact)


if __name__ == "__main__":
    numbers = [argument for argument in sys.argv[1:] if argument.isdecimal()]
    main(int(numbers[0]) if numbers else 1_000_000, "--exact" in sys.argv)
