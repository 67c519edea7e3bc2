"""How a command is told to stop: by a signal, by the end of its time, or by the engine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

# timeout(1) signals the process and then its group, so that it comes twice: one wish, not two.
_ECHO_S = 0.5


class Flag(Protocol):
    """An event of `threading` or `multiprocessing`."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...


class StopSignal:
    """Set once, and seen by all workers."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.signal_number: int | None = None
        self._signalled_at = 0.0

    def stop(self, signal_number: int | None = None) -> None:
        if signal_number and not self.signal_number:
            self.signal_number, self._signalled_at = signal_number, time.monotonic()
        self.flag.set()

    def is_repeated(self) -> bool:
        """Whether a signal that comes now is another one: the process is to end at once."""
        return self.signal_number is not None and time.monotonic() - self._signalled_at >= _ECHO_S


@contextmanager
def heeding_signals(stop: StopSignal) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop` for as long as this is open; another one, later, ends the process at once."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_repeated():
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


@contextmanager
def stopping_after(stop: StopSignal, seconds: float | None) -> Iterator[None]:
    """The end of its time stops a command as SIGTERM does."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, stop.stop, (signal.SIGTERM,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
