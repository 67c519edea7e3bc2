"""The state file: what is recorded comes back, and a file that cannot be believed is refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from migrator.errors import StoppedError
from migrator.run.booking import COUNTS
from migrator.run.checkpoint import Done, SavedEntity, SavedRun, TableState, Totals, open_checkpoint
from migrator.run.results import Requests
from migrator.source.snapshot import Snapshot
from migrator.source.text import InvalidText, SqliteValue

RUN = SavedRun(
    run_id="20261121T100000Z-abcdef",
    started_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
    now_s=1_795_000_000,
    guards={"the mapping shop.yaml": "ab12"},
    target="cd34",
    snapshots=(Snapshot("/data/shöp\udcff.sqlite", "/state/copy.sqlite", "ef", "56"),),
    tables={"shop": TableState("id-1", True), "other": TableState("id-2", None)},
    entities=(SavedEntity("items", "shop", None), SavedEntity("Order", "shop", "orders")),
    segment_rows=20_000,
    totals=Totals(requests=Requests(latencies_ms=[])),
)
#: Killed with uncommitted pages in the file and a journal that takes them back.
HALF_WRITTEN = """
import os, sqlite3, sys
state = sqlite3.connect(sys.argv[1], isolation_level=None)
state.execute("PRAGMA cache_size = 1")
state.execute("BEGIN IMMEDIATE")
state.execute("UPDATE segments SET rows_done = 999")
state.execute("UPDATE runs SET guards = ?", ("x" * 1_000_000,))
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop" / "state.sqlite"


def counts(**given: float) -> dict[str, float]:
    return dict.fromkeys(COUNTS, 0) | given


def test_an_unfinished_run_comes_back_as_it_was(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.unfinished() == RUN


def test_without_a_run_there_is_none_to_go_on_with(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.unfinished() is None


@pytest.mark.parametrize("position", [None, (7,), (1.5, "x\0é", b"\x00", InvalidText(b"a\xff"), None, -(2**63))])
def test_a_position_comes_back_with_its_storage_classes(path: Path, position: tuple[SqliteValue, ...] | None) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
        checkpoint.record(RUN.run_id, [(3, Done(1, 20, position, False, counts(read=20)))], Totals())
        found = checkpoint.segments(RUN.run_id)[3]
    assert found.position == position
    assert [type(value) for value in found.position or ()] == [type(value) for value in position or ()]


def test_the_parts_of_a_segment_add_up(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
        checkpoint.record(RUN.run_id, [(0, Done(1, 20, (20,), False, counts(read=20, written=19)))], Totals())
        checkpoint.record(RUN.run_id, [(0, Done(1, 30, None, True, counts(read=10, written=10)))], Totals())
        assert checkpoint.segments(RUN.run_id) == {0: Done(1, 30, None, True, counts(read=30, written=29))}


def test_a_part_and_the_sizes_of_its_dead_letter_files_are_recorded_together(path: Path) -> None:
    totals = Totals(120, 40, Requests(sent=5, latencies_ms=[1.5]), 7.5)
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
        checkpoint.record(RUN.run_id, [], totals)
        saved = checkpoint.unfinished()
    assert saved is not None
    assert saved.totals == totals


def test_a_record_that_is_cut_off_leaves_the_one_before(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
        checkpoint.record(RUN.run_id, [(0, Done(1, 20, (20,), False, counts(read=20)))], Totals())
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, path], check=False)
    assert path.with_name("state.sqlite-journal").stat().st_size > 0
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.segments(RUN.run_id)[0].rows_done == 20
        assert checkpoint.unfinished() == RUN


def test_a_plan_has_no_two_unfinished_runs(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
        with pytest.raises(StoppedError, match="UNIQUE"):
            checkpoint.begin(RUN)


def test_of_ended_runs_the_last_are_kept(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        for _ in range(3):
            checkpoint.begin(RUN)
            checkpoint.end(RUN.run_id, "finished", keep_runs=0)
        assert checkpoint.unfinished() is None
    with closing(sqlite3.connect(path)) as state:
        assert state.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    with open_checkpoint(path):
        pass
    with closing(sqlite3.connect(path)) as state:
        state.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoppedError, match="newer version") as caught, open_checkpoint(path):
        pass
    assert (caught.value.code, path.read_bytes()) == ("checkpoint_newer", before)
    with open_checkpoint(path, restart=True) as checkpoint:
        assert checkpoint.unfinished() is None
    assert [aside.read_bytes() for aside in path.parent.glob("*.aside")] == [before]


def test_a_database_of_somebody_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE runs (x)")
    with pytest.raises(StoppedError) as caught, open_checkpoint(path):
        pass
    assert caught.value.code == "checkpoint_unreadable"


def test_columns_that_say_something_else_are_refused(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
        with closing(sqlite3.connect(path)) as state, state:
            state.execute("UPDATE runs SET entities = '[{}]'")
        with pytest.raises(StoppedError) as caught:
            checkpoint.unfinished()
    assert caught.value.code == "checkpoint_unreadable"


def test_a_file_that_another_program_holds_is_not_taken_for_a_bad_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.run.statefile._WAIT_S", 0.0)
    with open_checkpoint(path) as checkpoint, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoppedError, match="locked") as caught:
            checkpoint.begin(RUN)
    assert (caught.value.code, caught.value.retryable) == ("state_unwritable", True)


def test_a_full_disk_stops_the_run_and_leaves_the_record_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
        checkpoint.record(RUN.run_id, [(0, Done(1, 20, (20,), False, counts(read=20)))], Totals())
    with monkeypatch.context() as full:
        # SQLite lets the file grow no further than it is.
        full.setattr("migrator.run.statefile._PRAGMAS", ("PRAGMA max_page_count = 1",))
        done = Done(1, 30, ("x" * 100_000,), False, counts(read=10))
        with open_checkpoint(path) as checkpoint, pytest.raises(StoppedError, match="is full") as caught:
            checkpoint.record(RUN.run_id, [(0, done)], Totals())
    assert (caught.value.code, caught.value.retryable) == ("state_unwritable", True)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.segments(RUN.run_id)[0].rows_done == 20


def test_the_journal_of_a_file_that_is_gone_is_not_played_back(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        checkpoint.begin(RUN)
    subprocess.run([sys.executable, "-c", HALF_WRITTEN, path], check=False)
    path.unlink()
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.unfinished() is None
