"""What many small files cost beside one file that holds the same rows."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks import sink as sinks
from benchmarks.bench import Bench
from benchmarks.measure import Used, used_by
from benchmarks.report import Claim, Table, number
from benchmarks.subjects import write_plan

TABLES = ("users", "orders", "notes")
ROWS = 50  #: of each table of each file
#: Of the rows that the peers write, so many make a file.
_ROWS_A_FILE = 100
LATENCY_MS = 5
MAPPING = """
table: {name: bench, partition_key: PK, sort_key: SK}
entities:
""" + "".join(
    f'  {table}: {{source: {table}, key: {{PK: "TENANT#{{@stem}}", SK: "{table}#{{id}}"}}}}\n' for table in TABLES
)


def fleet(bench: Bench) -> tuple[Table, list[Claim]]:
    """A run of many files and one of a single file in turn. The sink must count each row once."""
    files = bench.scale.peer_rows // _ROWS_A_FILE
    items = files * ROWS * len(TABLES)
    with bench.work.fresh() as name:
        many, one = Path(name) / "many", Path(name) / "one"
        for number_of_file in range(files):
            _make(many / f"t{number_of_file:05}.sqlite", ROWS)
        _make(one / "all.sqlite", files * ROWS)
        turns = [(_used(many, items), _used(one, items)) for _ in range(bench.scale.turns)]
    found = {f"{files:,} files": [turn[0] for turn in turns], "one file": [turn[1] for turn in turns]}
    note = (
        f"{items:,} rows, {ROWS} in each of {len(TABLES)} tables a file; two workers, the sink at {LATENCY_MS} ms,"
        " medians of several turns, start included."
    )
    rows = [[what, *_medians(used)] for what, used in found.items()]
    return Table("A fleet of small files", note, ["", "CPU s", "seconds"], rows), []


def _medians(used: Sequence[Used]) -> list[str]:
    return [number(median(each.cpu_s for each in used)), number(median(each.wall_s for each in used))]


def _used(place: Path, items: int) -> Used:
    with sinks.running(LATENCY_MS) as sink:
        plan = write_plan(place, MAPPING, place / "*.sqlite")
        used = used_by([sys.executable, "-m", "migrator", "run", plan], sink, place)
        if sink.seen().items != items:
            raise SystemExit(f"the sink counted {sink.seen().items} items of {items}")
    return used


def _make(path: Path, rows: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        for table in TABLES:
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT, total REAL)")
            values = ((n, f"{table} {n}", n + 0.5) for n in range(1, rows + 1))
            database.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", values)
