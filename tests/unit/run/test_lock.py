from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from migrator.errors import LockHeldError, StoppedError
from migrator.run.lock import held_since, lock_path, plan_lock

HOLDER = """
import sys
from migrator.run.lock import plan_lock
with plan_lock(sys.argv[1], "shop"):
    print("held", flush=True)
    sys.stdin.read()
"""


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 100.0

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_second_run_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    with plan_lock(tmp_path, "shop"), pytest.raises(LockHeldError) as caught, plan_lock(tmp_path, "shop"):
        pass
    assert f"process {os.getpid()} on {socket.gethostname()}" in str(caught.value)
    assert caught.value.exit_code == 5


def test_another_plan_has_a_lock_of_its_own(tmp_path: Path) -> None:
    with plan_lock(tmp_path, "shop"), plan_lock(tmp_path, "other"):
        pass


def test_the_lock_is_free_after_the_run(tmp_path: Path) -> None:
    for _ in range(2):
        with plan_lock(tmp_path, "shop"):
            pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeldError, match=f"process {holder.pid} "), plan_lock(tmp_path, "shop"):
            pass
        holder.kill()
        holder.wait()
        with plan_lock(tmp_path, "shop"):
            pass


def test_waiting_ends_after_the_time_that_was_set(tmp_path: Path) -> None:
    time_ = FakeTime()
    waiting = plan_lock(tmp_path, "shop", 5.0, clock=time_.clock, sleep=time_.sleep)
    with plan_lock(tmp_path, "shop"), pytest.raises(LockHeldError), waiting:
        pass
    assert time_.now_s == pytest.approx(105.0)


def test_a_lock_that_is_released_in_time_is_taken(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        def release(seconds: float) -> None:
            holder.communicate("")
            time.sleep(0)

        with plan_lock(tmp_path, "shop", 60.0, sleep=release):
            pass


def test_who_looks_whether_it_is_held_turns_no_run_away(tmp_path: Path) -> None:
    path = lock_path(tmp_path, "shop")
    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with plan_lock(tmp_path, "shop", sleep=lambda _: fcntl.flock(looking, fcntl.LOCK_UN)):
            pass


def test_since_when_it_is_held_is_told(tmp_path: Path) -> None:
    assert held_since(tmp_path, "shop") is None
    before = int(time.time())
    with plan_lock(tmp_path, "shop"):
        since = held_since(tmp_path, "shop")
    assert since is not None
    assert before <= since.timestamp() <= time.time()


def test_a_holder_that_wrote_nothing_readable_is_another_process(tmp_path: Path) -> None:
    with plan_lock(tmp_path, "shop"):
        lock_path(tmp_path, "shop").write_text("{", encoding="utf-8")
        with pytest.raises(LockHeldError, match="by another process"), plan_lock(tmp_path, "shop"):
            pass


def test_a_state_folder_that_cannot_be_made_stops_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoppedError, match="state_dir"), plan_lock(tmp_path / "file" / "state", "shop"):
        pass
