"""Runs that end before their time: killed at a write, at a moment or at the worst place of their code."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from command import Migrator, Outcome
from door import Door, Dropped, Forward, Reply, Request
from door_faults import WRITES, before_writes

START_S = 60
#: The command with short segments, so that a small source has many; what else it does is given to it.
DRIVER = """
import os, signal
from migrator.run import opened, writing
from migrator.run.checkpoint import Checkpoint
from migrator.cli import main
opened.SEGMENT_ROWS, writing.PART_S = 20, 0.1
calls = 0
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def dying(method, call, before):
    original = getattr(Checkpoint, method)
    def wrapped(*given, **named):
        global calls
        calls += 1
        if calls == call and before:
            kill()
        done = original(*given, **named)
        if calls == call:
            kill()
        return done
    return staticmethod(wrapped) if method == "_add" else wrapped
{patch}
main()
"""


def in_short_segments(migrator: Migrator, patch: str = "") -> Migrator:
    """The command of `DRIVER`."""
    return replace(migrator, program=("-c", DRIVER.format(patch=patch)))


@contextmanager
def running(migrator: Migrator, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, which is gone afterwards: its workers too, and nothing else."""
    with migrator.start(*arguments, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Held:
    """A fault: the n-th write is taken by the engine, and its answer held back until `release` is set; then lost."""

    def __init__(self, number: int) -> None:
        self.reached, self.release = threading.Event(), threading.Event()
        self._left = number
        self._lock = threading.Lock()

    def __call__(self, request: Request, forward: Forward) -> Reply:
        with self._lock:
            self._left -= request.operation in WRITES
            held = self._left == 0 and request.operation in WRITES
        reply = forward(request)
        if held:
            self.reached.set()
            self.release.wait(START_S)
            raise Dropped
        return reply


@contextmanager
def held_at_write(migrator: Migrator, plan: Path, door: Door, number: int) -> Iterator[subprocess.Popen[str]]:
    """A run whose n-th write was sent and not answered. It gets its answer when this ends."""
    held = Held(number)
    door.faults.append(held)
    with running(migrator, "run", str(plan)) as process:
        try:
            assert held.reached.wait(START_S), "nothing is written"
            yield process
        finally:
            held.release.set()
            door.faults.remove(held)


@contextmanager
def under_way(migrator: Migrator, plan: Path, door: Door) -> Iterator[subprocess.Popen[str]]:
    """A run that stands at its first write until this ends."""
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        go_on.wait(START_S)

    door.faults.append(before_writes(hold))
    with migrator.start("run", str(plan)) as process:
        try:
            assert reached.wait(START_S)
            yield process
        finally:
            go_on.set()


def kill_at_write(migrator: Migrator, plan: Path, door: Door, number: int, state: Path) -> None:
    """A run of short segments that dies when its n-th write was sent and not answered, and one segment recorded."""
    with held_at_write(in_short_segments(migrator), plan, door, number) as process:
        give_up = time.monotonic() + START_S
        while not recorded(state)[0]:
            assert time.monotonic() < give_up, "nothing is recorded"
            time.sleep(0.01)
        process.kill()
        process.wait()


def recorded(state: Path) -> tuple[int, int]:
    """Items written and rows rejected, as a state file has them."""
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=rw", uri=True)) as db:
        counts = [json.loads(counts) for (counts,) in db.execute("SELECT counts FROM segments")]
    return sum(c["written"] for c in counts), sum(c["rejected"] for c in counts)


def run_to_the_end(migrator: Migrator, plan: Path, door: Door, state: Path | None) -> Outcome:
    """Run again, without trouble. What a run to go on with has recorded in its state file is not written again."""
    door.await_quiet()
    unrecorded = sum(door.writes.values()) - (recorded(state)[0] if state else 0)
    door.faults.clear()
    outcome = migrator("run", plan)
    assert state is None or sum(door.writes.values()) - len(door.writes) <= unrecorded
    return outcome
