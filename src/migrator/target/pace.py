"""A rate in write capacity units: one that is given, and one that follows what a table takes.

Both are token buckets. Whoever finds one not in debt may take more than is there, so no batch is too big for it, and
then all wait until the debt is paid. Nobody takes ahead: a rate that changes holds from then on. The numbers can lie in
memory that processes share: then no worker's share is lost when it has nothing to send.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, MutableSequence
from contextlib import AbstractContextManager
from multiprocessing.context import BaseContext
from multiprocessing.sharedctypes import RawArray
from typing import Any

Clock = Callable[[], float]
UNLIMITED = math.inf

# A pause may save up no more than this: a budget is a rate over few seconds, not an average over a run.
_BURST_S = 0.1
_CUT = 0.7
# Of the rate that was too much: four seconds after a cut it is tried again.
_STEP = 0.1
# A reaction is measured before the next one.
_REACT_EVERY_S = 1.0
# One full batch a second is what the slowest useful worker sends.
_SLOWEST_UNITS_PER_S = 25.0
# What a single partition takes ("Designing partition keys"): assumed where nothing was measured before the throttling.
_PARTITION_UNITS_PER_S = 1_000.0
# A rate that has grown so far beyond what throttled is no brake any more.
_RELEASE = 4.0

_RATE, _LEVEL, _FILLED_AT, _REACTED_AT, _CUT_AT, _WINDOW_AT, _WINDOW_UNITS, _BRAKE = range(8)
_NUMBERS = 8


class Numbers:
    """The state of a bucket, and the lock that guards it. With a context of `multiprocessing` both are shared."""

    def __init__(self, context: BaseContext | None = None) -> None:
        self.lock: AbstractContextManager[Any] = context.Lock() if context else threading.Lock()
        self.values: MutableSequence[float] = RawArray("d", _NUMBERS) if context else [0.0] * _NUMBERS


class Bucket:
    """A token bucket of a rate. It begins empty, so that many short runs of it give no more than one long one.

    >>> bucket = Bucket(100, clock=lambda: 0.0)
    >>> bucket.wait_s(), bucket.take(50), bucket.wait_s()
    (0.0, None, 0.5)
    """

    def __init__(self, units_per_s: float, clock: Clock = time.monotonic, numbers: Numbers | None = None) -> None:
        numbers = numbers or Numbers()
        self._clock = clock
        self._lock, self._values = numbers.lock, numbers.values
        self._values[_RATE] = units_per_s
        self._values[_FILLED_AT] = clock()

    @property
    def units_per_s(self) -> float:
        return self._values[_RATE]

    def wait_s(self) -> float:
        """How long to wait before asking again; 0 is: take."""
        if self._values[_RATE] == UNLIMITED:
            return 0.0
        with self._lock:
            self._fill()
            return max(0.0, -self._values[_LEVEL] / self._values[_RATE])

    def take(self, units: float) -> None:
        """Use so much, as far as can be known before."""
        if self._values[_RATE] != UNLIMITED:
            with self._lock:
                self._values[_LEVEL] -= units

    def settle(self, taken: float, consumed: float) -> None:
        """Correct by what the request really took."""
        with self._lock:
            self._values[_LEVEL] += taken - consumed

    def _change_rate(self, now: float, units_per_s: float) -> None:
        if self._values[_RATE] == UNLIMITED:
            self._values[_LEVEL], self._values[_FILLED_AT] = 0.0, now
        else:
            self._fill()
        self._values[_RATE] = units_per_s

    def _fill(self) -> None:
        values, now = self._values, self._clock()
        rate = values[_RATE]
        values[_LEVEL] = min(rate * _BURST_S, values[_LEVEL] + (now - values[_FILLED_AT]) * rate)
        values[_FILLED_AT] = now


class Pace(Bucket):
    """A bucket whose rate follows what a table takes: as fast as asked for, until the table throttles."""

    def __init__(self, clock: Clock = time.monotonic, numbers: Numbers | None = None) -> None:
        super().__init__(UNLIMITED, clock, numbers)
        self._values[_BRAKE] = UNLIMITED
        self._values[_CUT_AT] = -math.inf
        self._values[_REACTED_AT] = self._values[_WINDOW_AT] = clock()

    def settle(self, taken: float, consumed: float) -> None:
        values = self._values
        with self._lock:
            values[_WINDOW_UNITS] += consumed
            if values[_RATE] == UNLIMITED:
                return
            values[_LEVEL] += taken - consumed
            now = self._clock()
            if consumed and now - values[_REACTED_AT] >= _REACT_EVERY_S:
                self._grow(now)

    def begin_at(self, units_per_s: float) -> None:
        """What the table says that it takes. It may take more."""
        with self._lock:
            self._set_rate(self._clock(), units_per_s)
            self._values[_BRAKE] = units_per_s

    def throttled(self) -> None:
        """The table takes less than this: slow down, once for all requests that were refused together."""
        values = self._values
        with self._lock:
            now = self._clock()
            if now - values[_CUT_AT] < _REACT_EVERY_S:
                return
            ceiling = self._ceiling(now)
            # A series of cuts has one cause: what came before it is where the rate returns to.
            if values[_CUT_AT] < values[_REACTED_AT] or values[_BRAKE] == UNLIMITED:
                values[_BRAKE] = max(ceiling, _SLOWEST_UNITS_PER_S)
            self._set_rate(now, max(ceiling * _CUT, _SLOWEST_UNITS_PER_S))
            values[_CUT_AT] = now

    def _ceiling(self, now: float) -> float:
        """The rate that was too much."""
        values = self._values
        if values[_RATE] != UNLIMITED:
            return values[_RATE]
        measured = values[_WINDOW_UNITS] / max(now - values[_WINDOW_AT], _REACT_EVERY_S)
        return max(measured, _PARTITION_UNITS_PER_S)

    def _grow(self, now: float) -> None:
        brake = self._values[_BRAKE]
        grown = self._values[_RATE] + brake * _STEP
        self._set_rate(now, UNLIMITED if grown > brake * _RELEASE else grown)

    def _set_rate(self, now: float, rate: float) -> None:
        self._change_rate(now, rate)
        self._values[_REACTED_AT] = self._values[_WINDOW_AT] = now
        self._values[_WINDOW_UNITS] = 0.0
