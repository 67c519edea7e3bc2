"""What is safely done of a plan's unfinished run: one SQLite file a plan, written by the coordinator alone.

A part of a segment is recorded when all of its items are written or accounted for, and its reject lines are on disk;
the sizes of the dead-letter files stand in the same transaction. So a run that is cut off at any moment goes on from
the last record, and repeats no more than the parts that were under way.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from msgspec import Struct, field, to_builtins
from msgspec.json import encode
from msgspec.structs import replace

from migrator.run.booking import add_counts, thinned
from migrator.run.rejects import sqlite_value_from_json, sqlite_value_json
from migrator.run.results import Requests
from migrator.run.setaside import SetAside
from migrator.run.setaside import from_json as set_aside_from_json
from migrator.run.statefile import open_state, state_errors
from migrator.source.snapshot import Snapshot
from migrator.source.text import SqliteValue

#: Latencies kept for the quantiles of the whole run's report: each commit writes them.
_LATENCIES = 256

Ending = Literal["finished", "abandoned", "rolled_back"]


class TableState(Struct, frozen=True):
    """A target table as the run found it."""

    identity: str  #: its TableId, or its creation time where the engine gives none
    found_empty: bool | None  #: None where it could not be looked into


class SavedEntity(Struct, frozen=True):
    """How the report names an entity."""

    entity: str
    table: str
    source: str | None


class Totals(Struct, frozen=True):
    """What is recorded for the run as a whole."""

    rejects_bytes: int = 0  #: sizes of the dead-letter files
    failed_bytes: int = 0
    requests: Requests = field(default_factory=Requests)
    worked_s: float = 0.0  #: over all parts of the run


class SavedRun(Struct, frozen=True):
    """An unfinished run: all that going on with it takes, but for its segments."""

    run_id: str
    started_at: datetime  #: aware
    now_s: int  #: what `{now: …}` means
    guards: Mapping[str, str]  #: what of plan, mappings and command line must not change -> its digest
    target: str  #: digest of the tables' place
    snapshots: tuple[Snapshot, ...]
    tables: Mapping[str, TableState]
    entities: tuple[SavedEntity, ...]  #: in the order of their numbers
    segment_rows: int  #: how the work is cut: segments are known by their numbers
    totals: Totals = field(default_factory=Totals)
    set_aside: tuple[SetAside, ...] = ()  #: files that are left out


class Done(Struct, frozen=True):
    """How far a segment is done."""

    entity: int  #: its number
    rows_done: int
    position: tuple[SqliteValue, ...] | None  #: the last row's rowid or key, where rows are walked by it
    complete: bool
    counts: Mapping[str, float]  #: by the names of `booking.COUNTS`


class Checkpoint:
    """The state file, open."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._connection.row_factory = sqlite3.Row

    def unfinished(self) -> SavedRun | None:
        """The run that was cut off, if there is one: a plan has no two."""
        with state_errors(self.path):
            row = self._connection.execute(
                "SELECT * FROM runs JOIN sources USING (run_id) WHERE status = 'unfinished'"
            ).fetchone()
            return _saved_run(row) if row else None

    def find(self, run_id: str) -> tuple[str, SavedRun] | None:
        """A run of this plan and its status: `unfinished`, or how it ended."""
        with state_errors(self.path):
            row = self._connection.execute(
                "SELECT * FROM runs JOIN sources USING (run_id) WHERE run_id = ?", (run_id,)
            ).fetchone()
            return (row["status"], _saved_run(row)) if row else None

    def statuses(self) -> dict[str, str]:
        """The statuses of the runs that are known."""
        with state_errors(self.path):
            return dict(self._connection.execute("SELECT run_id, status FROM runs").fetchall())

    def run_ids(self) -> list[str]:
        """The runs that are known, in the order in which they began."""
        with state_errors(self.path):
            return [run_id for (run_id,) in self._connection.execute("SELECT run_id FROM runs ORDER BY rowid")]

    def last_standing(self, target: str) -> SavedRun | None:
        """The last run against this target that was not rolled back."""
        with state_errors(self.path):
            query = """SELECT * FROM runs JOIN sources USING (run_id)
                WHERE target = ? AND status <> 'rolled_back' ORDER BY runs.rowid DESC"""
            row = self._connection.execute(query, (target,)).fetchone()
            return _saved_run(row) if row else None

    def segments(self, run_id: str) -> dict[int, Done]:
        """How far each segment of the run is done, by its number; those not begun are left out."""
        with state_errors(self.path):
            query = "SELECT number, entity, rows_done, position, complete, counts FROM segments WHERE run_id = ?"
            return {
                number: Done(entity, rows_done, _position(position), bool(complete), json.loads(counts))
                for number, entity, rows_done, position, complete, counts in self._connection.execute(query, (run_id,))
            }

    def begin(self, run: SavedRun) -> None:
        """Before the first write of a run."""
        with self._transaction() as connection:
            connection.execute(
                """INSERT INTO runs (run_id, status, started_at, now_s, guards, target, tables,
                   entities, segment_rows, rejects_bytes, failed_bytes, requests, worked_s)
                   VALUES (?, 'unfinished', ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, 0)""",
                (
                    run.run_id,
                    run.started_at.isoformat(),
                    run.now_s,
                    json.dumps(run.guards),
                    run.target,
                    json.dumps(to_builtins(run.tables)),
                    json.dumps(to_builtins(run.entities)),
                    run.segment_rows,
                    _requests_json(Requests()),
                ),
            )
            # Apart: of thousands of files it is long, and the row above is written with each record.
            connection.execute("INSERT INTO sources VALUES (?, ?)", (run.run_id, _sources_document(run)))

    def record(self, run_id: str, parts: Iterable[tuple[int, Done]], totals: Totals) -> None:
        """Parts of segments by their numbers: their counts are added to what is recorded of the segment."""
        with self._transaction() as connection:
            for number, done in parts:
                self._add(connection, run_id, number, done)
            connection.execute(
                "UPDATE runs SET rejects_bytes = ?, failed_bytes = ?, requests = ?, worked_s = ? WHERE run_id = ?",
                (totals.rejects_bytes, totals.failed_bytes, _requests_json(totals.requests), totals.worked_s, run_id),
            )

    def pause(self, run_id: str, requests: Requests, worked_s: float) -> None:
        """The run was stopped, and had the time to say what its last parts took."""
        with self._transaction() as connection:
            values = (_requests_json(requests), worked_s, run_id)
            connection.execute("UPDATE runs SET requests = ?, worked_s = ? WHERE run_id = ?", values)

    def end(self, run_id: str, status: Ending, keep_runs: int) -> None:
        """The run will not go on; what it did stands in its report. Of ended runs the last few are kept."""
        with self._transaction() as connection:
            connection.execute("UPDATE runs SET status = ? WHERE run_id = ?", (status, run_id))
            connection.execute("DELETE FROM segments WHERE run_id = ?", (run_id,))
            connection.execute(
                """DELETE FROM runs WHERE status <> 'unfinished' AND run_id NOT IN
                   (SELECT run_id FROM runs ORDER BY run_id = ? DESC, rowid DESC LIMIT ?)""",
                (run_id, keep_runs),
            )
            connection.execute("DELETE FROM sources WHERE run_id NOT IN (SELECT run_id FROM runs)")

    @staticmethod
    def _add(connection: sqlite3.Connection, run_id: str, number: int, done: Done) -> None:
        query = "SELECT counts FROM segments WHERE run_id = ? AND number = ?"
        before = connection.execute(query, (run_id, number)).fetchone()
        counts = add_counts(json.loads(before[0]) if before else {}, done.counts)
        position = None if done.position is None else json.dumps([sqlite_value_json(v) for v in done.position])
        connection.execute(
            "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run_id, number, done.entity, done.rows_done, position, done.complete, json.dumps(counts)),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with state_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:  # commits, or rolls back
                yield self._connection


@contextmanager
def open_checkpoint(path: Path, *, restart: bool = False) -> Iterator[Checkpoint]:
    """The plan's state file, as `statefile.open_state` gives it."""
    with open_state(path, restart=restart) as connection:
        yield Checkpoint(path, connection)


def _saved_run(row: sqlite3.Row) -> SavedRun:
    requests, sources = json.loads(row["requests"]), json.loads(zlib.decompress(row["document"]))
    totals = Totals(row["rejects_bytes"], row["failed_bytes"], Requests(**requests), row["worked_s"])
    return SavedRun(
        run_id=row["run_id"],
        started_at=datetime.fromisoformat(row["started_at"]),
        now_s=row["now_s"],
        guards=json.loads(row["guards"]),
        target=row["target"],
        snapshots=tuple(Snapshot(**snapshot) for snapshot in sources["snapshots"]),
        set_aside=set_aside_from_json(sources["set_aside"]),
        tables={name: TableState(**table) for name, table in json.loads(row["tables"]).items()},
        entities=tuple(SavedEntity(**entity) for entity in json.loads(row["entities"])),
        segment_rows=row["segment_rows"],
        totals=totals,
    )


def _sources_document(run: SavedRun) -> bytes:
    names = ("snapshots", "set_aside")
    document = {name: to_builtins(getattr(run, name)) for name in names}
    return zlib.compress(json.dumps(document).encode())  # not by orjson: a path may hold lone surrogates


def _requests_json(requests: Requests) -> str:
    kept = thinned(requests.latencies_ms, _LATENCIES)
    return encode(replace(requests, latencies_ms=kept)).decode()


def _position(text: str | None) -> tuple[SqliteValue, ...] | None:
    return None if text is None else tuple(map(sqlite_value_from_json, json.loads(text)))
