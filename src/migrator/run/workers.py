"""Worker processes: how they start, how they are told to stop, and that none outlives its command.

Everything a worker gets is picklable and the seam is `concurrent.futures.Executor`. A command with one worker
stays in this process: nothing is gained by a second one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from types import FrameType
from typing import Any, Protocol, TypeVar

from migrator.target.governor import Governor

Result = TypeVar("Result")
#: What workers share of the tables' write capacity, made for the context of their processes.
Pacing = Callable[[BaseContext | None], Mapping[str, Governor]]


class Flag(Protocol):
    """An event of `threading` or `multiprocessing`."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...


class Worker:
    """This process as a worker: has its run been told to stop, and how fast may it write?"""

    def __init__(self) -> None:
        self._flag: Flag = threading.Event()
        self.governors: Mapping[str, Governor] = {}  #: by table

    def start(self, flag: Flag, governors: Mapping[str, Governor]) -> None:
        self._flag = flag
        self.governors = governors

    def is_stopped(self) -> bool:
        return self._flag.is_set()


WORKER = Worker()


class StopSignal:
    """Set once, by a signal or by the engine, and seen by all workers."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.signal_number: int | None = None

    def stop(self, signal_number: int | None = None) -> None:
        self.signal_number = self.signal_number or signal_number
        self.flag.set()


class Workers:
    """The workers of one command, and the signal that stops them."""

    def __init__(self, executor: Executor, count: int, stop: StopSignal, governors: Mapping[str, Governor]) -> None:
        self.stop = stop
        self.governors = governors  #: by table
        self._executor = executor
        self._window = count * 2

    def map(self, function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
        """`map_together`, one result at a time."""
        for results in self.map_together(function, tasks, lambda _: None):
            yield from results

    def map_together(
        self,
        function: Callable[..., Result],
        tasks: Iterable[tuple[Any, ...]],
        follow: Callable[[Result], tuple[Any, ...] | None],
    ) -> Iterator[list[Result]]:
        """Run tasks (argument tuples), a few of them ahead, and give results as they come, together or alone.

        Tasks are drawn only when there is room, so that a generator of them may look at what has come back.
        `follow` names the task that goes on where a result ended; it is asked when the result has been dealt with.
        """
        waiting: set[Future[Result]] = set()
        source = iter(tasks)
        exhausted = False
        try:
            while True:
                while not exhausted and len(waiting) < self._window:
                    task = next(source, None)
                    if task is None:
                        exhausted = True
                    else:
                        waiting.add(self._executor.submit(function, *task))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                results = [future.result() for future in done]
                yield results
                followers = (task for task in map(follow, results) if task is not None)
                waiting |= {self._executor.submit(function, *task) for task in followers}
        finally:
            for future in waiting:
                future.cancel()


def no_pacing(context: BaseContext | None) -> Mapping[str, Governor]:
    return {}


@contextmanager
def working(count: int, *, pacing: Pacing = no_pacing, max_duration_s: float | None = None) -> Iterator[Workers]:
    """Workers for one command, which begins with this: forking is safe only while nothing is open.

    SIGINT and SIGTERM ask for a stop; a second one ends the process at once. So does the end of `max_duration_s`.
    """
    context = _context() if count > 1 else None
    stop = StopSignal(context.Event() if context else threading.Event())
    governors = pacing(context)
    with heeding_signals(stop), _executor(count, context, stop, governors) as executor:
        timer = threading.Timer(max_duration_s or 0, stop.stop, (signal.SIGTERM,))
        timer.daemon = True
        if max_duration_s is not None:
            timer.start()
        try:
            yield Workers(executor, count, stop, governors)
        finally:
            timer.cancel()


@contextmanager
def heeding_signals(stop: StopSignal) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop` for as long as this is open; a second one ends the process at once."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.flag.is_set() and stop.signal_number:
            os._exit(128 + number)  # the workers see their parent gone and end too
        stop.stop(number)

    # Only the main thread may set handlers; elsewhere the caller's own are at work.
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, on_signal) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _context() -> BaseContext:
    """A forked worker has all imports for nothing, where a spawned one repeats them for half a second of CPU.

    A fork would inherit the locks of other threads, so there must be none. On macOS system libraries forbid it.
    """
    alone = threading.active_count() == 1
    return multiprocessing.get_context("fork" if alone and sys.platform == "linux" else "spawn")


@contextmanager
def _executor(
    count: int, context: BaseContext | None, stop: StopSignal, governors: Mapping[str, Governor]
) -> Iterator[Executor]:
    if context is None:
        WORKER.start(stop.flag, governors)
        with ThreadPoolExecutor(1) as threads:
            yield threads
        return
    with ProcessPoolExecutor(count, context, _start_worker, (stop.flag, governors)) as processes:
        if context.get_start_method() == "fork":
            # The first task makes the pool fork all of its processes: now, and before it starts its own thread.
            processes.submit(os.getpid).result()
        yield processes


def _start_worker(flag: Flag, governors: Mapping[str, Governor]) -> None:
    # A terminal sends Ctrl-C to every process of the group: the parent decides, workers drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    WORKER.start(flag, governors)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
