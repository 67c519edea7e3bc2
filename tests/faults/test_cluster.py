"""A real Dask cluster that something goes wrong with: workers that are killed, a coordinator that is, a stop.

Scheduler and workers are processes of their own. Whatever happens, the table is what a plain rendering of the source
gives once the run has come to its end, each reject is told once, and nobody writes for a command that is gone.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cut_off import in_short_segments, recorded, running
from dask_cluster import DaskCluster, dask_cluster
from door_faults import delay
from migration import ROW, Migration, said_plainly
from oracle_rows import expected_of

ROWS, REJECTED = 600, 6
#: Short parts, so that a worker comes back often; and a lease that a test can wait for.
PRELOAD = "from migrator.run import writing\nwriting.PART_S = writing.RESUMED_PART_S = 0.1\n"
SHORT_LEASE_S = 2.0
SHORT_LEASE = f"from migrator.run import renewing; renewing.LEASE_S = {SHORT_LEASE_S}\n"


@pytest.fixture
def large(migration: Migration) -> Migration:
    """600 rows, some of them no items, in many small requests that each take a while."""
    with closing(sqlite3.connect(migration.source)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a, b)")
        connection.executemany(
            "INSERT INTO rows VALUES (?, ?, CASE WHEN ? THEN CAST(x'ff' AS TEXT) ELSE 'text' END)",
            ((n, n, n % (ROWS // REJECTED) == 0) for n in range(ROWS)),
        )
    migration.write(ROW, batch_size=2, connections=1)
    migration.door.faults.append(delay(0.02))
    return replace(migration, migrator=in_short_segments(migration.migrator, SHORT_LEASE))


@pytest.fixture
def cluster(large: Migration) -> Iterator[DaskCluster]:
    with dask_cluster(large.folder / "cluster", large.migrator.environment, preload=PRELOAD) as cluster:
        yield cluster


def await_writes(migration: Migration, number: int) -> None:
    give_up = time.monotonic() + 60
    while sum(migration.door.writes.values()) < number:
        assert time.monotonic() < give_up, "nothing is written"
        time.sleep(0.01)


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Beside what is done in here."""
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def goes_on(migration: Migration, *options: str) -> None:
    """The run that was cut off comes to its end, without further trouble, and the table is what it must be."""
    migration.door.faults.clear()
    outcome = migration.run(*options)
    assert outcome.report["resumed"], outcome.stderr
    migration.assert_holds_once(outcome, expected_of(migration.source, ROW))


@pytest.mark.parametrize("on_existing", ["replace", "error"])
def test_52_a_worker_that_is_killed_loses_nothing(large: Migration, cluster: DaskCluster, on_existing: str) -> None:
    """What it wrote of a part that is done again is ours, so that it is no error either."""
    large.write(ROW, batch_size=2, connections=1, on_existing=on_existing)

    def kill() -> None:
        await_writes(large, 100)
        cluster.workers[0].kill()

    with meanwhile(kill):
        outcome = large.run("--cluster", cluster.address)
    large.assert_holds_once(outcome, expected_of(large.source, ROW))
    assert cluster.workers[0].poll() == -signal.SIGKILL
    assert Counter(line["code"] for line in outcome.rejects) == {"invalid_utf8": REJECTED}


def test_53_a_stop_drains_within_a_moment_and_the_run_goes_on(large: Migration, cluster: DaskCluster) -> None:
    with running(large.migrator, "run", str(large.plan), "--cluster", cluster.address) as run:
        await_writes(large, 100)
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 143
    written = sum(large.door.writes.values())
    done, _ = recorded(large.state_file)
    assert 0 < done < ROWS - REJECTED
    time.sleep(0.5)
    assert sum(large.door.writes.values()) == written  # nobody goes on
    goes_on(large, "--cluster", cluster.address)


def test_53_ctrl_c_at_a_terminal_reaches_the_workers_of_a_cluster_of_its_own_and_they_drain(large: Migration) -> None:
    with running(large.migrator, "run", str(large.plan), "--cluster", "local:2") as run:
        await_writes(large, 100)
        os.killpg(run.pid, signal.SIGINT)
        _, stderr = run.communicate(timeout=20)
        assert run.returncode == 130
    assert "WARNING" not in stderr  # no worker was lost
    assert "Traceback" not in stderr
    goes_on(large)


def test_54_workers_stop_when_their_coordinator_is_killed(large: Migration, tmp_path: Path) -> None:
    # One part is all rows, so that nothing but the end of its lease keeps a worker from writing for a minute.
    large.write(ROW, batch_size=1, connections=1)
    large.door.faults.append(delay(0.1))
    in_one_segment = in_short_segments(large.migrator, SHORT_LEASE + "opened.SEGMENT_ROWS = 10_000\n")
    never = "from migrator.run import writing\nwriting.PART_S = 1e9\n"
    with dask_cluster(tmp_path / "cluster", large.migrator.environment, 1, never) as cluster:
        with running(in_one_segment, "run", str(large.plan), "--cluster", cluster.address) as run:
            await_writes(large, 10)
            run.kill()
            run.wait()
        large.door.await_quiet()
        assert sum(large.door.writes.values()) < ROWS / 4
        goes_on(replace(large, migrator=in_one_segment), "--cluster", cluster.address)


def test_55_a_scheduler_that_is_killed_stops_the_run_which_can_go_on(large: Migration, cluster: DaskCluster) -> None:
    def kill() -> None:
        await_writes(large, 100)
        assert cluster.scheduler
        cluster.scheduler.kill()

    with meanwhile(kill):
        outcome = large.run("--cluster", cluster.address)
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, "cluster_lost")
    assert outcome.report["error"]["retryable"]
    assert said_plainly(outcome.stderr), outcome.stderr
    goes_on(large)


def test_56_a_segment_that_kills_its_workers_stops_the_run(large: Migration, tmp_path: Path) -> None:
    deadly = "import os\nfrom migrator.run import writing\nwriting.write_segment = lambda *given: os._exit(1)\n"
    at_once = {**large.migrator.environment, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with dask_cluster(tmp_path / "cluster", at_once, 1, deadly) as cluster:
        outcome = large.run("--cluster", cluster.address)
    large.assert_stopped(outcome, "worker_died")
    assert outcome.report["error"]["retryable"]
    goes_on(large)


def test_56_a_run_whose_last_worker_is_gone_waits_a_while_and_stops(large: Migration, tmp_path: Path) -> None:
    soon = in_short_segments(large.migrator, SHORT_LEASE + "from migrator.run import cluster; cluster.NOBODY_S = 1\n")
    with dask_cluster(tmp_path / "cluster", large.migrator.environment, 1, PRELOAD) as cluster:

        def kill() -> None:
            await_writes(large, 20)
            cluster.workers[0].kill()

        with meanwhile(kill):
            outcome = replace(large, migrator=soon).run("--cluster", cluster.address)
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, "no_workers"), outcome.stderr
    goes_on(large)


# ---- workers that would do other work

OTHERS = {
    "another version of migrator": ("import migrator\nmigrator.__version__ = '0.0.1'\n", "worker_differs", "0.0.1"),
    "another version of SQLite": ("import sqlite3\nsqlite3.sqlite_version = '3.0'\n", "worker_differs", "SQLite 3.0"),
    "no migrator": ("import sys\nsys.modules['migrator.run.worksite'] = None\n", "worker_differs", "cannot answer"),
    "another file": (
        "from migrator.run import worksite\nworksite.content_of = lambda *given: 'that of another file'\n",
        "source_not_on_worker",
        "has another file there",
    ),
    "no file": (
        "from migrator.run import worksite\nworksite.read_state = lambda path: open(path + '.gone')\n",
        "source_not_on_worker",
        "cannot read it",
    ),
}


@pytest.mark.parametrize(("preload", "code", "words"), OTHERS.values(), ids=OTHERS)
def test_57_one_worker_that_would_do_other_work(
    large: Migration, tmp_path: Path, preload: str, code: str, words: str
) -> None:
    large.door.faults.clear()
    with dask_cluster(tmp_path / "cluster", large.migrator.environment, 1) as cluster:
        cluster.preload = preload
        cluster.start_worker()
        cluster.await_workers()
        outcome = large.run("--cluster", cluster.address)
    assert (outcome.exit_code, outcome.report["error"]["code"]) == (3, code), outcome.stderr
    assert said_plainly(outcome.stderr), outcome.stderr
    assert words in outcome.stderr
    assert outcome.report["error"]["retryable"]


def test_57_a_scheduler_without_workers(large: Migration, tmp_path: Path) -> None:
    soon = in_short_segments(large.migrator, "from migrator.run import cluster; cluster.WORKERS_S = 0.5\n")
    with dask_cluster(tmp_path / "cluster", large.migrator.environment, 0) as cluster:
        outcome = replace(large, migrator=soon).run("--cluster", cluster.address)
    large.assert_stopped(outcome, "no_workers")


def test_57_nobody_where_a_scheduler_should_be(large: Migration) -> None:
    soon = in_short_segments(large.migrator, "from migrator.run import dask_client; dask_client.CONNECT_S = 1\n")
    outcome = replace(large, migrator=soon).run("--cluster", "tcp://127.0.0.1:9")
    large.assert_stopped(outcome, "cluster_unreachable")
