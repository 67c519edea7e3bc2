"""Signals, and a clock that is set while a run is under way: faults 37, 38 and 41."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace

import pytest

from cut_off import held_at_write, in_short_segments, running
from door_faults import Script, delay
from migration import ROW, Migration
from oracle_rows import expected_of

# ---- 37: SIGTERM, and another one


def await_gone(group: int) -> None:
    """Until the process group has no process."""
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("a process of the run is still there")


@pytest.mark.parametrize("parallelism", [1, 2])
def test_37_a_second_signal_ends_a_run_at_once_and_leaves_no_process(filled: Migration, parallelism: int) -> None:
    filled.write(ROW, parallelism=parallelism, batch_size=5, connections=1)
    # The answer is held back until the end of this block: a run that drains waits for it.
    with held_at_write(in_short_segments(filled.migrator), filled.plan, filled.door, 2) as process:
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        await_gone(process.pid)
    filled.assert_holds(filled.run(), expected_of(filled.source, ROW))


def test_37_a_signal_that_comes_twice_at_once_is_one(filled: Migration) -> None:
    filled.write(ROW, batch_size=5, connections=1)
    filled.door.faults.append(delay(0.4))
    with running(in_short_segments(filled.migrator), "run", str(filled.plan)) as process:
        while not filled.door.requests["BatchWriteItem"]:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)  # or the two may reach the process as one
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    filled.door.faults.clear()
    (report,) = filled.state.glob("faults/runs/*/report.json")
    assert json.loads(report.read_text())["status"] == "interrupted"
    filled.assert_holds(filled.resume(), expected_of(filled.source, ROW))


# ---- 38: SIGINT where something is half done

INTERRUPT = "def interrupt(*_, **__): os.kill(os.getpid(), signal.SIGINT)\n"
#: where -> the command, and what makes it interrupt itself there
PLACES = {
    "a row counted by a dry run": (
        ("run", "--dry-run"),
        "from migrator.run.sinks import CountingSink; put = CountingSink.put\n"
        "CountingSink.put = lambda self, items: (interrupt(), put(self, items))[1]\n",
    ),
    "a page read by verify": (
        ("verify",),
        "from migrator.run.actual import ActualStore; add = ActualStore.add_page\n"
        "ActualStore.add_page = lambda *given: (interrupt(), add(*given))[1]\n",
    ),
    "a checkpoint half written": (
        ("run",),
        "add = Checkpoint._add\nCheckpoint._add = staticmethod(lambda *given: (add(*given), interrupt())[0])\n",
    ),
}


@pytest.mark.parametrize(("command", "patch"), PLACES.values(), ids=PLACES)
def test_38_an_interrupt_leaves_the_state_whole(cut: Migration, command: tuple[str, ...], patch: str) -> None:
    expected = expected_of(cut.source, ROW)
    name, *options = command
    with running(in_short_segments(cut.migrator, INTERRUPT + patch), name, str(cut.plan), *options) as process:
        assert process.wait(60) == 130
    with closing(sqlite3.connect(cut.state_file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    cut.assert_holds(cut.resume(), expected)


# ---- 41: the clock

#: The command, where each look at the clock finds it set: by nothing, an hour back, a day on, or two hours back.
UNSTEADY_CLOCK = """
import itertools, time
true, steps = time.time, itertools.cycle([0, -3600, 86400, -7200])
time.time = lambda: true() + next(steps)
from migrator.cli import main
main()
"""


def test_41_a_clock_that_is_set_back_and_forth_changes_neither_data_nor_patience(filled: Migration) -> None:
    filled.write(ROW, batch_size=5, connections=2, give_up_after="60s")
    filled.door.faults.append(Script(41))
    unsteady = replace(filled, migrator=replace(filled.migrator, program=("-c", UNSTEADY_CLOCK)))
    unsteady.assert_holds(unsteady.run(), expected_of(filled.source, ROW))


def test_41_a_run_after_the_clock_was_set_back_is_the_last_one(filled: Migration) -> None:
    filled.write(ROW, keep_runs=1)
    tomorrow = UNSTEADY_CLOCK.replace("[0, -3600, 86400, -7200]", "[86400]")
    first = replace(filled, migrator=replace(filled.migrator, program=("-c", tomorrow))).run()
    second = filled.run()
    assert (first.exit_code, second.exit_code) == (1, 1), first.stderr + second.stderr
    assert second.report["started_at"] < first.report["started_at"]
    kept = [path.name for path in (filled.state / "faults" / "runs").iterdir()]
    assert kept == [second.report["run_id"]]
