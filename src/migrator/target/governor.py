"""Write capacity: how fast a worker may send.

A token bucket in write capacity units. Its level may go below zero: whoever takes more than is there
waits for as long as the debt needs, so nobody starves and no batch is too big for the bucket.
Throttling lowers the rate, success lets it grow again up to the budget (additive-increase schemes take minutes to
find a table's capacity; this one multiplies both ways).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_CUT = 0.7
_GROWTH = 1.25
# A reaction is measured before the next one.
_REACT_EVERY_S = 1.0
# One full batch a second is what the slowest useful worker sends.
_SLOWEST_UNITS_PER_S = 25.0
# Without a budget, a rate that has grown so far beyond what throttled is no brake any more.
_RELEASE = 4.0


class Governor:
    """Hand out write units.

    >>> governor = Governor(100, clock=lambda: 0.0)
    >>> governor.reserve(100), governor.reserve(50)
    (0.0, 0.5)
    """

    def __init__(self, units_per_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = units_per_s
        self._rate = units_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._level = units_per_s or 0.0
        self._filled_at = self._reacted_at = self._window_at = clock()
        self._window_units = 0.0
        self._brake = 0.0

    @property
    def units_per_s(self) -> float | None:
        """The rate now; None is as fast as the table takes it."""
        return self._rate

    def reserve(self, units: float) -> float:
        """Take units; the seconds to wait before using them."""
        with self._lock:
            if self._rate is None:
                return 0.0
            self._fill(self._rate)
            self._level -= units
            return max(0.0, -self._level / self._rate)

    def settle(self, reserved: float, consumed: float) -> None:
        """Correct a reservation by what the request really took."""
        with self._lock:
            if self._rate is not None:
                self._level += reserved - consumed
            now = self._clock()
            self._window_units += consumed
            if consumed and self._rate is not None and now - self._reacted_at >= _REACT_EVERY_S:
                self._react(now, self._grown(self._rate))

    def throttled(self) -> None:
        """The table takes less than this: slow down, once for all requests that were refused together."""
        with self._lock:
            now = self._clock()
            if self._brake and now - self._reacted_at < _REACT_EVERY_S:
                return
            measured = self._window_units / max(now - self._window_at, _REACT_EVERY_S)
            ceiling = measured if self._rate is None else self._rate
            self._brake = max(ceiling, _SLOWEST_UNITS_PER_S)
            self._react(now, self._within_budget(max(ceiling * _CUT, _SLOWEST_UNITS_PER_S)))

    def _within_budget(self, rate: float) -> float:
        return rate if self._budget is None else min(rate, self._budget)

    def _grown(self, rate: float) -> float | None:
        grown = self._within_budget(rate * _GROWTH)
        if self._budget is None and grown > self._brake * _RELEASE:
            return None
        return grown

    def _fill(self, rate: float) -> None:
        now = self._clock()
        # The bucket holds one second: a pause must not save up a burst.
        self._level = min(rate, self._level + (now - self._filled_at) * rate)
        self._filled_at = now

    def _react(self, now: float, rate: float | None) -> None:
        if self._rate is None:
            self._level, self._filled_at = 0.0, now
        self._rate = rate
        self._reacted_at = self._window_at = now
        self._window_units = 0.0
