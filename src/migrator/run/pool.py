"""Worker processes of this machine: how they start, and that none outlives its command.

A command with one worker stays in this process: nothing is gained by a second one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext

from migrator.run.stopping import Flag, StopSignal
from migrator.run.worker import WORKER
from migrator.target.governor import Governor, Pacing, no_pacing

#: Tasks of each worker that are under way or wait for it.
TASKS_PER_WORKER = 2


class Pool:
    """So many processes. Forking is safe only while nothing is open, so that a command begins with them."""

    def __init__(self, count: int, pacing: Pacing = no_pacing) -> None:
        self._count = count
        self._context = _context() if count > 1 else None
        self.stop = StopSignal(self._context.Event() if self._context else threading.Event())
        self.governors = pacing(self._context)

    @property
    def window(self) -> int:
        return self._count * TASKS_PER_WORKER

    def require(self) -> None:
        """They are there: they are ours."""

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        if self._context is None:
            initial = self.stop.flag.is_set, self.governors
            with ThreadPoolExecutor(1, initializer=WORKER.start, initargs=initial) as threads:
                yield threads
            return
        given = self.stop.flag, self.governors
        with ProcessPoolExecutor(self._count, self._context, _start_worker, given) as processes:
            if self._context.get_start_method() == "fork":
                # The first task makes the pool fork all of its processes: now, and before it starts its own thread.
                processes.submit(os.getpid).result()
            yield processes


def _context() -> BaseContext:
    """A forked worker has all imports for nothing, where a spawned one repeats them for half a second of CPU.

    A fork would inherit the locks of other threads, so there must be none. On macOS system libraries forbid it.
    """
    alone = threading.active_count() == 1
    return multiprocessing.get_context("fork" if alone and sys.platform == "linux" else "spawn")


def _start_worker(flag: Flag, governors: Mapping[str, Governor]) -> None:
    # A terminal sends Ctrl-C to every process of the group: the parent decides, workers drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    WORKER.start(flag.is_set, governors)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
