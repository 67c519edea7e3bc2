"""Worker processes: how they start, how they are told to stop, and that none outlives its run.

Everything a worker gets is picklable and the seam is `concurrent.futures.Executor`. A run with one worker
stays in this process: nothing is gained by a second one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from types import FrameType
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Flag(Protocol):
    """An event of `threading` or `multiprocessing`."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...


class Worker:
    """This process as a worker: has its run been told to stop?"""

    def __init__(self) -> None:
        self._flag: Flag = threading.Event()

    def start(self, flag: Flag) -> None:
        self._flag = flag

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


@contextmanager
def stopping_on_signals(max_duration_s: float | None = None) -> Iterator[StopSignal]:
    """SIGINT and SIGTERM ask for a stop; a second one ends the process at once. So does the end of `max_duration_s`."""
    stop = StopSignal(_CONTEXT.Event())
    timer = threading.Timer(max_duration_s or 0, stop.stop, (signal.SIGTERM,))
    timer.daemon = True
    if max_duration_s is not None:
        timer.start()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.flag.is_set() and stop.signal_number:
            os._exit(128 + number)  # the workers see their parent gone and end too
        stop.stop(number)

    # Only the main thread may set handlers; elsewhere the caller's own are at work.
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, on_signal) for number in signals}
    try:
        yield stop
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


# A forked child would inherit locks and sockets of this process's threads.
_CONTEXT = multiprocessing.get_context("spawn")


@contextmanager
def pool(workers: int, stop: StopSignal) -> Iterator[Executor]:
    """An executor of so many workers that know the stop flag."""
    if workers == 1:
        WORKER.start(stop.flag)
        with ThreadPoolExecutor(1) as threads:
            yield threads
        return
    with ProcessPoolExecutor(workers, _CONTEXT, _start_worker, (stop.flag,)) as processes:
        yield processes


def _start_worker(flag: Flag) -> None:
    # A terminal sends Ctrl-C to every process of the group: the parent decides, workers drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    WORKER.start(flag)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def map_unordered(
    executor: Executor, function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], window: int
) -> Iterator[Result]:
    """`map_together`, one result at a time."""
    for results in map_together(executor, function, tasks, window, lambda _: None):
        yield from results


def map_together(
    executor: Executor,
    function: Callable[..., Result],
    tasks: Iterable[tuple[Any, ...]],
    window: int,
    follow: Callable[[Result], tuple[Any, ...] | None],
) -> Iterator[list[Result]]:
    """Run tasks (argument tuples) with at most `window` under way, and give results as they come, together or alone.

    Tasks are drawn only when there is room, so that a generator of them may look at what has come back.
    `follow` names the task that goes on where a result ended; it is asked when the result has been dealt with.
    """
    waiting: set[Future[Result]] = set()
    source = iter(tasks)
    exhausted = False
    try:
        while True:
            while not exhausted and len(waiting) < window:
                task = next(source, None)
                if task is None:
                    exhausted = True
                else:
                    waiting.add(executor.submit(function, *task))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            results = [future.result() for future in done]
            yield results
            waiting |= {executor.submit(function, *task) for task in map(follow, results) if task is not None}
    finally:
        for future in waiting:
            future.cancel()
