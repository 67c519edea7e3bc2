"""Runs a command and says what it and every process it started used: `python tree.py RESULT COMMAND…`.

A process of its own, so that it can be the one that orphans are handed to: a server that a run leaves behind
(multiprocessing's forkserver, its resource tracker) is no child of the command when it ends, and would not be counted.
Needs Linux. RESULT gets the figures as JSON.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_EVERY_S = 0.1
_LOOK_FOR_PROCESSES = 5  #: in every so many samples


def run(command: list[str]) -> dict[str, float]:
    """Wall-clock of the command, CPU (user and system) of all its processes, peak memory of its first and of its
    largest other process."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    leader = subprocess.Popen(command).pid
    peaks: dict[int, int] = {}
    ended = threading.Event()
    sampler = threading.Thread(target=_sample, args=(leader, peaks, ended))
    sampler.start()
    wall_s, cpu_s, exit_code = 0.0, 0.0, -1
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu_s += usage.ru_utime + usage.ru_stime
        if pid == leader:
            wall_s, exit_code = time.monotonic() - started, os.waitstatus_to_exitcode(status)
    ended.set()
    sampler.join()
    own = peaks.pop(leader, 0) / 1024
    largest = max(peaks.values(), default=0) / 1024
    return {"wall_s": wall_s, "cpu_s": cpu_s, "leader_mib": own, "child_mib": largest, "exit_code": exit_code}


def _sample(leader: int, peaks: dict[int, int], ended: threading.Event) -> None:
    """Looking for processes costs more than looking at those that are known, so it is done less often."""
    alive: list[int] = []
    for turn in itertools.count():
        if turn % _LOOK_FOR_PROCESSES == 0:
            alive = [pid for pid in processes_of(leader) if not _is_tracker(pid)]
        for pid in alive:
            peaks[pid] = max(peaks.get(pid, 0), _peak_kib(pid))
        if ended.wait(_EVERY_S):
            return


def processes_of(leader: int) -> set[int]:
    """The process and its living descendants. /proc/PID/task/*/children would be cheaper; not every kernel has it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {leader}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _is_tracker(pid: int) -> bool:
    """multiprocessing's own process beside the workers."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(run(sys.argv[2:])))
